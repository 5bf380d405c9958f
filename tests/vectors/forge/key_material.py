"""Room 3, second part: the numbers of a key and the sets it comes in (RFC 7518 §6)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from forge.case import CLAIMS, Room, header, mint, mint_as, text
from forge.keys import (
    E3,
    ED,
    EVEN_MODULUS,
    P256,
    RSA1024,
    RSA2047,
    RSA3072,
    RSA4096,
    RSA8192,
    RSA8193,
    SETS,
    A,
    B,
    Json,
    Key,
    RsaKey,
    b64u,
    jwk,
    keys,
    kid_of,
    number,
    private_members,
)
from forge.token import bent

MAX_SET = 262_144
SPARE = jwk(B)  # keeps a set usable, so that the token and not the set is judged


def add(room: Room) -> None:
    """Add the cases about key material and whole sets."""
    rsa_numbers(room)
    other_kinds(room)
    usable(room)
    static_sets(room)


def rsa_numbers(room: Room) -> None:
    def unusable(
        name: str, why: str, key: RsaKey, signer: RsaKey | None = None, **members: Any
    ) -> None:
        kid = f"rsa {name}"
        token = mint(CLAIMS, header(kid=kid), signer or key)
        room.refuse(
            "key_unusable",
            name,
            why,
            token,
            jwks=keys(jwk(key, kid=kid, **members), SPARE),
        )

    def exponent(e: int) -> RsaKey:
        return replace(E3, e=e)

    unusable("bits_1024", "V28 1024 bits", RSA1024)
    unusable("bits_2047", "V28 2047 bits, one below the least", RSA2047)
    unusable("bits_8193", "V28 8193 bits, one above the most", RSA8193)
    unusable("e_1", "V28 e = 1: the signature is the padded hash itself", exponent(1))
    unusable("e_3", "V28 e = 3", E3)
    unusable("e_over_32_bits", "V28 e = 2^32 + 1", exponent(2**32 + 1))
    most = math.lcm(*(p - 1 for p in E3.primes))
    unusable(
        "e_huge",
        "V28 an exponent of 2048 bits makes each check slow",
        exponent(65537 + most),
    )
    for name, e in (("e_0", 0), ("e_2", 2), ("e_even", 65536)):
        unusable(name, f"V28 e = {e}", exponent(e), exponent(65537))
    unusable("e_empty", "V28 e is empty", A, e="")
    unusable("n_even", "V28 an even modulus that verifies all the same", EVEN_MODULUS)
    modulus = A.n.to_bytes(256, "big")
    unusable(
        "n_leading_zero",
        "V28 a zero octet before the modulus (RFC 7518 §6.3.1.1)",
        A,
        n=b64u(b"\0" + modulus),
    )
    unusable("n_padded", "V15 the modulus with padding", A, n=number(A.n) + "==")
    unusable("n_spare_bits", "V15 non-zero spare bits in the modulus", A, n=bent(number(A.n)))
    unusable(
        "n_standard_alphabet",
        "V15 the modulus in the standard alphabet",
        A,
        n=number(A.n).replace("-", "+").replace("_", "/"),
    )
    unusable("n_newline", "V15 a line break after the modulus", A, n=number(A.n) + "\n")
    unusable("n_empty", "V28 an empty modulus", A, n="")
    unusable("n_number", "the modulus as a JSON number", A, n=65537)


def other_kinds(room: Room) -> None:
    def unusable(name: str, why: str, alg: str, signer: Key, member: Json) -> None:
        room.refuse(
            "key_unusable",
            name,
            why,
            mint_as(alg, signer, kid=member["kid"]),
            jwks=keys(member, SPARE),
            allowed=list(dict.fromkeys(["RS256", alg])),
        )

    oct_key: Json = {
        "kty": "oct",
        "kid": kid_of(A),
        "k": b64u(text(jwk(A))),
        "alg": "RS256",
    }
    unusable("oct", "V5 a symmetric key under the kid", "RS256", A, oct_key)
    unusable(
        "oct_empty",
        "V5 an empty symmetric key",
        "RS256",
        A,
        {**oct_key, "k": "", "alg": "HS256"},
    )
    x25519 = jwk(ED, crv="X25519")
    unusable("okp_x25519", "V6 an X25519 key does not sign", "EdDSA", ED, x25519)
    unusable(
        "okp_x_short",
        "an Ed25519 key of 31 bytes",
        "EdDSA",
        ED,
        jwk(ED, x=jwk(ED)["x"][:-2]),
    )
    unusable(
        "okp_private",
        "V31 the private half d of an Ed25519 key",
        "EdDSA",
        ED,
        jwk(ED, d=jwk(ED)["x"]),
    )
    point = P256.public_key().public_numbers()
    unusable(
        "ec_private",
        "V31 the private half d of an EC key",
        "ES256",
        P256,
        jwk(P256, d=number(point.x)),
    )
    unusable("ec_y_missing", "half a point", "ES256", P256, jwk(P256, y=None))
    short = b64u(point.x.to_bytes(32, "big")[1:])
    unusable(
        "ec_x_short",
        "a coordinate of 31 bytes (RFC 7518 §6.2.1.2)",
        "ES256",
        P256,
        jwk(P256, x=short),
    )
    long = b64u(b"\0" + point.x.to_bytes(32, "big"))
    unusable(
        "ec_x_long",
        "a coordinate of 33 bytes, a zero in front",
        "ES256",
        P256,
        jwk(P256, x=long),
    )
    unusable("ec_crv_unknown", "a curve nobody knows", "ES256", P256, jwk(P256, crv="P-257"))
    off = jwk(P256, y=number(point.y ^ 1))
    unusable(
        "ec_off_curve",
        "V29 a point that is not on the curve",
        "ES256",
        P256,
        off,
    )


def usable(room: Room) -> None:
    for name, key in (("3072", RSA3072), ("4096", RSA4096), ("8192", RSA8192)):
        room.valid(
            f"bits_{name}",
            f"V28 RSA of {name} bits",
            mint_as("RS256", key),
            jwks=keys(jwk(key)),
        )
    room.valid("bits_2048", "V28 RSA of 2048 bits, the least", mint())
    for name, e in (("5", 5), ("65537", 65537), ("32_bits", 2**32 - 1)):
        key = replace(E3, e=e)
        room.valid(
            f"e_allowed_{name}",
            f"V28 e = {e}: odd, above 3, not above 2^32",
            mint_as("RS256", key),
            jwks=keys(jwk(key)),
        )
    for name, other in (
        ("weak", jwk(RSA1024)),
        ("oct", {"kty": "oct", "kid": "o", "k": "AA"}),
        ("unknown_kty", {"kty": "AKP", "kid": "p", "alg": "ML-DSA-44", "pub": "AA"}),
        ("private", {**jwk(B), **private_members(B)}),
        ("no_members", {}),
        ("null", None),
    ):
        room.valid(
            f"sibling_{name}",
            "one bad JWK is skipped, the others serve",
            mint(),
            jwks=keys(other, jwk(A)),
        )
    room.valid(
        "set_members",
        "unknown members of the set are ignored",
        mint(),
        jwks={**SETS["#a"], "note": [1]},
    )
    room.valid(
        "hundred",
        "V33 100 keys are allowed",
        mint(),
        jwks="#hundred",
        allowed=["RS256", "ES256"],
    )


def static_sets(room: Room) -> None:
    private = {**jwk(A), **private_members(A)}
    for name, why, jwks in (
        ("empty", "V33 no keys", {"keys": []}),
        ("no_member", "V33 an object without keys", {}),
        ("keys_null", "keys is null", {"keys": None}),
        ("keys_object", "keys is an object", {"keys": {"0": jwk(A)}}),
        (
            "only_oct",
            "V5 the only key is symmetric",
            {"keys": [{"kty": "oct", "kid": kid_of(A), "k": "AA"}]},
        ),
        ("only_weak", "V28 the only key has 1024 bits", keys(jwk(RSA1024))),
        ("only_e_3", "V28 the only key has e = 3", keys(jwk(E3))),
        ("only_private", "V31 the only key is a private one", keys(private)),
        ("only_encryption", "the only key is for encryption", keys(jwk(A, use="enc"))),
        (
            "only_other_alg",
            "the only key is bound to an algorithm that is not allowed",
            keys(jwk(A, alg="RS512")),
        ),
        (
            "only_ambiguous",
            "V3 the only key has no alg and two allowed ones fit",
            keys(jwk(A, alg=None)),
        ),
    ):
        allowed = ["RS256", "PS256"] if name == "only_ambiguous" else ["RS256"]
        room.config_error(f"config_{name}", why, jwks=jwks, allowed=allowed)
    room.config_error(
        "config_hundred_and_one",
        "V33 101 keys",
        jwks="#hundred_and_one",
        allowed=["RS256", "ES256"],
    )
    good = text(SETS["#a"]).decode("ascii")
    for name, why, parts in (
        ("no_json", "V33 an HTML page", [["<html>no</html>", 1]]),
        ("empty_text", "V33 no bytes", [["", 1]]),
        ("root_array", "the top level is an array", [["[]", 1]]),
        ("cut_short", "the text ends early", [[good[:-1], 1]]),
        ("trailing_text", "text after the object", [[f"{good}x", 1]]),
        (
            "size_over",
            "V33 one byte over 256 KiB",
            [[good, 1], [" ", MAX_SET + 1 - len(good)]],
        ),
    ):
        room.config_error(f"config_{name}", why, jwks_parts=parts)
    at: list[list[object]] = [[good, 1], [" ", MAX_SET - len(good)]]
    room.valid(
        "set_size_at_limit",
        "V33 256 KiB exactly, most of it whitespace",
        mint(),
        jwks_parts=at,
    )
