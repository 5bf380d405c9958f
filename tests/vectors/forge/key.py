"""Room 3: which key of the set may verify the token (RFC 7517, RFC 7518 §6, RFC 8725 §3)."""

from __future__ import annotations

from typing import Any

from forge import key_material
from forge.case import CLAIMS, Room, claims, header, mint, mint_as
from forge.keys import (
    ED,
    P256,
    P384,
    RSA1024,
    RSA3072,
    STRANGER,
    A,
    B,
    Json,
    jwk,
    keys,
    kid_of,
    private_members,
)

SPARE = jwk(B)  # keeps a set usable, so that the token and not the set is judged


def room() -> Room:
    """Return the cases of the key room."""
    room = Room("key")
    by_kid(room)
    without_kid(room)
    same_kid(room)
    bound_to_alg(room)
    other_use(room)
    key_material.add(room)
    return room


def by_kid(room: Room) -> None:
    code = "key_not_found"
    kid = kid_of(A)
    for name, why, value in (
        ("unknown", "no JWK has this kid", "nowhere"),
        ("empty", "the empty kid is a kid", ""),
        ("case", "kid compares byte by byte", kid.swapcase()),
        ("prefix", "a prefix of a kid", kid[:-1]),
        ("trailing_space", "a space after the kid", f"{kid} "),
        ("nul_after", "V9 a NUL after the kid", f"{kid}\0"),
        ("traversal", "V9 a path", "../../../../dev/null"),
        ("sql", "V9 SQL", "x' UNION SELECT 'key' --"),
        ("crlf", "V9 a line break, to be escaped in logs", "a\r\nSet-Cookie: b=c"),
        ("url", "V9 a URL is not fetched", "http://127.0.0.1:9/key"),
    ):
        room.refuse(code, f"kid_{name}", why, mint(CLAIMS, header(kid=value)), jwks="#ab")
    for name, value in (
        ("path", "../keys/1"),
        ("unicode", "schl\u00fcssel \U0001f511"),
        ("nul", "a\0b"),
    ):
        room.valid(
            f"kid_opaque_{name}",
            "V9 a strange kid is fine when it is the one in the set",
            mint(CLAIMS, header(kid=value)),
            jwks=keys(jwk(A, kid=value)),
        )
    room.refuse(
        code,
        "kid_not_normalised",
        "two Unicode forms of a letter are two kids",
        mint(CLAIMS, header(kid="cle\u0301")),
        jwks=keys(jwk(A, kid="cl\u00e9")),
    )
    room.refuse(
        code,
        "kid_but_set_without",
        "a JWK without kid serves no token with one, even alone",
        mint(),
        jwks=keys(jwk(A, kid=None)),
    )
    room.refuse(
        code,
        "kid_but_two_without",
        "nor when there are several",
        mint(),
        jwks=keys(jwk(A, kid=None), SPARE),
    )
    room.refuse(
        code,
        "before_signature",
        "the key is looked for before signature and claims",
        mint(claims(exp=1), header(kid="nowhere"), signature=b""),
    )
    room.refuse(
        code,
        "other_issuers_key",
        "V27 V37 a key that is not, or no longer, in this set",
        mint(CLAIMS, header(kid=kid_of(STRANGER)), STRANGER),
        jwks="#ab",
    )
    room.valid("kid_second", "the second key of the set", mint_as("RS256", B), jwks="#ab")


def without_kid(room: Room) -> None:
    code = "header_kid_missing"
    bare = mint(CLAIMS, header("kid"))
    es256 = mint(CLAIMS, header("kid", alg="ES256"), P256, "ES256")
    weak = jwk(RSA1024)
    room.valid("no_kid_one_key", "one usable key", bare)
    room.valid(
        "no_kid_one_key_without_kid",
        "one usable key, itself without kid",
        bare,
        jwks=keys(jwk(A, kid=None)),
    )
    room.valid("no_kid_one_fits", "one key of the set fits the algorithm", bare, jwks="#mixed")
    room.valid(
        "no_kid_one_fits_es256",
        "one key of the set fits the algorithm",
        es256,
        jwks="#mixed",
        allowed=["RS256", "ES256"],
    )
    room.valid(
        "no_kid_other_unusable",
        "the other key of the set is unusable",
        bare,
        jwks=keys(weak, jwk(A)),
    )
    room.refuse(code, "no_kid_two_fit", "V37 two keys fit: none is tried", bare, jwks="#ab")
    room.refuse(
        code,
        "no_kid_two_fit_without_kids",
        "V37 two keys without kid fit",
        bare,
        jwks=keys(jwk(A, kid=None), jwk(B, kid=None)),
    )
    room.refuse(
        code,
        "no_kid_none_fits",
        "no key of the set fits the algorithm",
        bare,
        jwks="#p256",
        allowed=["RS256", "ES256"],
    )


def same_kid(room: Room) -> None:
    kid = kid_of(A)
    room.refuse(
        "key_unusable",
        "same_kid_two_keys",
        "V37 two different keys fit under one kid",
        mint(),
        jwks=keys(jwk(A), jwk(B, kid=kid), jwk(RSA3072)),
    )
    room.refuse(
        "key_unusable",
        "same_kid_two_keys_reversed",
        "V37 whatever their order",
        mint(),
        jwks=keys(jwk(B, kid=kid), jwk(A), jwk(RSA3072)),
    )
    room.valid(
        "same_kid_identical",
        "V37 the same JWK twice is one key",
        mint(),
        jwks=keys(jwk(A), jwk(A)),
    )
    room.valid(
        "same_kid_other_kty",
        "only one of the two fits RS256",
        mint(),
        jwks=keys(jwk(P256, kid=kid), jwk(A)),
        allowed=["RS256", "ES256"],
    )
    room.valid(
        "same_kid_other_alg",
        "only one of the two is bound to RS256",
        mint(),
        jwks=keys(jwk(A, alg="PS256"), jwk(A)),
        allowed=["RS256", "PS256"],
    )


def bound_to_alg(room: Room) -> None:
    def unusable(name: str, why: str, token: str, member: Json, allowed: list[str]) -> None:
        room.refuse("key_unusable", name, why, token, jwks=keys(member, SPARE), allowed=allowed)

    kid = kid_of(A)
    rs512 = mint_as("RS512", A)
    ps256 = mint_as("PS256", A)
    as_es256 = mint(CLAIMS, header(alg="ES256", kid=kid_of(P384)), P384, "ES256")
    unusable(
        "alg_rs512_for_rs256",
        "V3 the JWK says RS512",
        mint(),
        jwk(A, alg="RS512"),
        ["RS256", "RS512"],
    )
    unusable(
        "alg_rs256_for_rs512",
        "V3 the JWK says RS256",
        rs512,
        jwk(A),
        ["RS256", "RS512"],
    )
    unusable(
        "alg_ps256_for_rs256",
        "V6 the JWK says PS256",
        mint(),
        jwk(A, alg="PS256"),
        ["RS256", "PS256"],
    )
    unusable(
        "alg_rs256_for_ps256",
        "V6 the JWK says RS256",
        ps256,
        jwk(A),
        ["RS256", "PS256"],
    )
    unusable(
        "alg_encryption",
        "the JWK's alg is for encryption",
        mint(),
        jwk(A, alg="RSA-OAEP"),
        ["RS256"],
    )
    unusable("alg_hs256", "V2 the RSA JWK says HS256", mint(), jwk(A, alg="HS256"), ["RS256"])
    unusable(
        "alg_lower_case",
        "alg is case-sensitive in a JWK too",
        mint(),
        jwk(A, alg="rs256"),
        ["RS256"],
    )
    unusable(
        "no_alg_two_fit",
        "V3 no alg in the JWK and two allowed ones fit: the token may not choose",
        mint(),
        jwk(A, alg=None),
        ["RS256", "PS256"],
    )
    unusable(
        "no_alg_two_fit_rs384",
        "V3 no alg in the JWK, RS256 and RS384 allowed",
        mint(),
        jwk(A, alg=None),
        ["RS256", "RS384"],
    )
    unusable(
        "kty_ec_for_rs256",
        "V6 an EC key under the kid of an RS256 token",
        mint(),
        jwk(P256, kid=kid),
        ["RS256", "ES256"],
    )
    unusable(
        "kty_okp_for_rs256",
        "V6 an Ed25519 key under the kid of an RS256 token",
        mint(),
        jwk(ED, kid=kid),
        ["RS256", "EdDSA"],
    )
    unusable(
        "kty_rsa_says_es256",
        "V6 RSA numbers in a JWK that says ES256",
        mint_as("ES256", P256, kid=kid),
        jwk(A, alg="ES256"),
        ["RS256", "ES256"],
    )
    unusable(
        "p384_for_es256",
        "V6 a P-384 key that says ES256",
        as_es256,
        jwk(P384, alg="ES256"),
        ["RS256", "ES256"],
    )
    unusable(
        "p384_no_alg_for_es256",
        "V6 a P-384 key without alg fits no ES256",
        as_es256,
        jwk(P384, alg=None),
        ["RS256", "ES256", "ES384"],
    )
    unusable(
        "p256_for_es384",
        "V6 a P-256 key that says ES384",
        mint_as("ES384", P384, kid=kid_of(P256)),
        jwk(P256, alg="ES384"),
        ["RS256", "ES384"],
    )
    both = ["RS256", "ES256"]
    room.valid(
        "no_alg_one_fits",
        "no alg in the JWK, one allowed algorithm fits",
        mint(),
        jwks=keys(jwk(A, alg=None)),
    )
    room.valid(
        "no_alg_one_fits_of_two",
        "RS256 and ES256 allowed: one fits an RSA key",
        mint(),
        jwks=keys(jwk(A, alg=None)),
        allowed=both,
    )
    room.valid(
        "no_alg_p256",
        "one fits a P-256 key",
        mint_as("ES256", P256),
        jwks=keys(jwk(P256, alg=None)),
        allowed=both,
    )
    room.valid(
        "alg_among_two",
        "V3 the JWK's alg settles what the list leaves open",
        ps256,
        jwks=keys(jwk(A, alg="PS256")),
        allowed=["RS256", "PS256"],
    )


def other_use(room: Room) -> None:
    for name, why, members in (
        ("use_enc", "use enc", {"use": "enc"}),
        ("use_case", "use is case-sensitive (RFC 7517 §4.2)", {"use": "SIG"}),
        ("use_unknown", "an unknown use", {"use": "tls"}),
        ("key_ops_sign", "key_ops without verify", {"use": None, "key_ops": ["sign"]}),
        ("key_ops_empty", "key_ops empty", {"use": None, "key_ops": []}),
        (
            "key_ops_case",
            "key_ops is case-sensitive (RFC 7517 §4.3)",
            {"use": None, "key_ops": ["Verify"]},
        ),
        (
            "private_d",
            "V31 the private exponent d is there",
            {"d": private_members(A)["d"]},
        ),
        ("private_p", "V31 the prime p is there", {"p": private_members(A)["p"]}),
        ("private_all", "V31 d, p and q are there", private_members(A)),
        ("kty_missing", "no kty", {"kty": None}),
        ("kty_lower_case", "kty is case-sensitive (RFC 7517 §4.1)", {"kty": "rsa"}),
        ("n_missing", "no modulus", {"n": None}),
        ("e_missing", "no exponent", {"e": None}),
    ):
        whole: dict[str, Any] = {**jwk(A), **members}
        kept = {member: value for member, value in whole.items() if value is not None}
        room.refuse("key_unusable", name, why, mint(), jwks=keys(kept, SPARE))
    for name, members in (
        ("key_ops_verify", {"use": None, "key_ops": ["verify"]}),
        ("key_ops_both", {"use": None, "key_ops": ["sign", "verify"]}),
        ("use_absent", {"use": None}),
        ("use_and_key_ops", {"key_ops": ["verify"]}),
        ("other_members", {"x5c": ["MIIB"], "x5t": "AA", "iat": 1, "note": {"a": []}}),
    ):
        room.valid(
            name,
            "members that do not stand in the way",
            mint(),
            jwks=keys(jwk(A, **members)),
        )
