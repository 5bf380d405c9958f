"""Room 2: the protected header (RFC 7515 §4, RFC 8725 §3, RFC 9068 §2.1).

Every token here is signed over the header as it stands, so only the header can refuse it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from forge import header_text
from forge.case import (
    CLAIMS,
    Room,
    claims,
    header,
    mint,
    mint_as,
    signing_input,
    text,
)
from forge.keys import (
    P256,
    SETS,
    STRANGER,
    jwk,
    kid_of,
    public_der,
    public_pem,
)


def room() -> Room:
    """Return the cases of the header room."""
    room = Room("header")
    header_text.add(room)
    members(room)
    never_read(room)
    critical(room)
    algorithms(room)
    types(room)
    return room


def members(room: Room) -> None:
    wrong: dict[str, Any] = {
        "null": None,
        "number": 1,
        "array": ["RS256"],
        "object": {"a": 1},
        "true": True,
    }
    for member in ("alg", "kid", "typ"):
        for kind, value in wrong.items():
            jws = mint(CLAIMS, header(**{member: value}))
            room.refuse(
                "header_malformed",
                f"{member}_{kind}",
                f"V1 V9 {member} is {kind}, not a string",
                jws,
            )
    room.refuse("header_malformed", "alg_missing", "V1 no alg", mint(CLAIMS, header("alg")))
    room.refuse(
        "header_malformed",
        "alg_case_variant_only",
        "V18 'Alg' is another member, so alg is missing",
        mint(CLAIMS, header("alg", Alg="RS256")),
    )
    room.refuse("header_malformed", "empty_object", "no member at all", mint(CLAIMS, b"{}"))
    room.valid(
        "case_variants_ignored",
        "V18 Alg, KID and TYP are unknown members",
        mint(CLAIMS, header(Alg="none", KID="x", TYP="x")),
    )
    reordered = dict(reversed(header().items()))
    room.valid(
        "members_reordered",
        "the order of members means nothing",
        mint(CLAIMS, reordered),
    )


def never_read(room: Room) -> None:
    attacker = jwk(STRANGER)
    away = "http://127.0.0.1:9/keys"
    for name, extra in (
        ("jwk", {"jwk": attacker}),
        ("jku", {"jku": away}),
        ("x5u", {"x5u": away}),
        ("x5c", {"x5c": ["MIIB"]}),
        ("x5t", {"x5t": "AA", "x5t#S256": "AA"}),
        ("all_wrong_typed", {"jku": 1, "jwk": [], "x5c": None, "x5u": {}, "x5t": 0}),
    ):
        good = mint(CLAIMS, header(**extra))
        room.valid(
            f"ignored_{name}",
            f"V8 {name} in the header is never read: the key comes from the set",
            good,
        )
    forged = mint(CLAIMS, header(jwk=attacker), STRANGER)
    room.refuse(
        "signature_invalid",
        "embedded_jwk_forgery",
        "V8 signed by the key in the header under a known kid",
        forged,
    )
    other = mint(CLAIMS, header(jwk=attacker, kid=kid_of(STRANGER)), STRANGER)
    room.refuse(
        "key_not_found",
        "embedded_jwk_own_kid",
        "V8 signed by the key in the header under its own kid",
        other,
    )
    bare = mint(CLAIMS, header("kid", jwk=attacker), STRANGER)
    room.refuse(
        "header_kid_missing",
        "embedded_jwk_no_kid",
        "V8 an embedded key does not stand in for the kid",
        bare,
        jwks="#ab",
    )
    remote = mint(CLAIMS, header(jku=away, kid=kid_of(STRANGER)), STRANGER)
    room.refuse(
        "key_not_found",
        "jku_forgery",
        "V8 nothing is fetched for an unknown kid with jku",
        remote,
    )


def critical(room: Room) -> None:
    code = "header_crit_unsupported"
    values: dict[str, Any] = {
        "unknown": ["urn:example:x"],
        "registered": ["alg"],
        "exp": ["exp"],
        "b64": ["b64"],
        "empty_array": [],
        "string": "exp",
        "null": None,
        "false": False,
        "object": {},
        "numbers": [1],
        "absent_param": ["nowhere"],
    }
    for name, value in values.items():
        room.refuse(
            code,
            f"crit_{name}",
            "V11 crit is refused whatever it says",
            mint(CLAIMS, header(crit=value, exp=1)),
        )
    for name, why, jws in (
        ("b64_false", "V12 b64 false without crit", mint(CLAIMS, header(b64=False))),
        (
            "b64_true",
            "V12 b64 true, its default, without crit",
            mint(CLAIMS, header(b64=True)),
        ),
        ("b64_null", "V12 b64 null", mint(CLAIMS, header(b64=None))),
        (
            "b64_false_crit",
            "V12 b64 false, listed in crit (RFC 7797 §6)",
            mint(CLAIMS, header(b64=False, crit=["b64"])),
        ),
        (
            "crit_before_alg",
            "crit is looked at before alg",
            mint(CLAIMS, header(crit=["exp"], alg="none")),
        ),
        (
            "crit_before_typ",
            "crit is looked at before typ",
            mint(CLAIMS, header(crit=["exp"], typ="JWT")),
        ),
        (
            "b64_before_alg",
            "b64 is looked at before alg",
            mint(CLAIMS, header(b64=False, alg="HS256")),
        ),
    ):
        room.refuse(code, name, why, jws)


def algorithms(room: Room) -> None:
    code = "header_alg_not_allowed"
    spellings = (
        "none",
        "None",
        "nOnE",
        "NONE",
        "",
        "rs256",
        "Rs256",
        "RS256 ",
        " RS256",
        "RS256\0",
        "RS 256",
    )
    for index, alg in enumerate(spellings):
        jws = mint(CLAIMS, header(alg=alg))
        room.refuse(
            code,
            f"alg_spelling_{index:02}",
            f"V1 alg {alg!r} under a true RS256 signature",
            jws,
        )
    room.refuse(
        code,
        "none_unsigned",
        "V1 alg none with an empty signature",
        mint(CLAIMS, header(alg="none"), signature=b""),
    )
    room.refuse(
        code,
        "none_unsigned_no_kid",
        "V1 alg none, no kid, empty signature",
        mint(CLAIMS, {"alg": "none", "typ": "at+jwt"}, signature=b""),
    )
    others = (
        "HS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "Ed25519",
        "RSA-OAEP",
        "dir",
    )
    for alg in others:
        room.refuse(
            code,
            f"alg_{alg.lower().replace('-', '_')}",
            f"{alg} is not allowed by [RS256]",
            mint(CLAIMS, header(alg=alg)),
        )
    public_jwk = SETS["#a"]["keys"][0]
    secrets = (
        ("pem", public_pem("rsa2048_a")),
        ("pem_stripped", public_pem("rsa2048_a").strip()),
        ("pem_leading_newline", b"\n" + public_pem("rsa2048_a")),
        ("der", public_der("rsa2048_a")),
        ("jwk", text(public_jwk)),
        ("empty", b""),
    )
    for name, secret in secrets:
        head = header(alg="HS256")
        mac = hmac.new(secret, signing_input(head, CLAIMS), hashlib.sha256).digest()
        room.refuse(
            code,
            f"hs256_{name}",
            f"V2 V5 HMAC with the public key as secret ({name})",
            mint(CLAIMS, head, signature=mac),
        )
    room.refuse(
        code,
        "allow_list_binds",
        "V4 RS256 with its right key, but only ES256 is allowed",
        mint(),
        jwks="#mixed",
        allowed=["ES256"],
    )
    room.refuse(
        code,
        "es256_not_listed",
        "V4 ES256 with its right key, but only RS256 is allowed",
        mint_as("ES256", P256),
        jwks="#mixed",
    )
    room.refuse(
        code,
        "alg_before_typ",
        "alg is looked at before typ",
        mint(CLAIMS, header(alg="none", typ="JWT")),
    )
    room.refuse(
        code,
        "alg_before_key",
        "alg is looked at before the key and the signature",
        mint(claims(exp=1), header(alg="HS256", kid="nowhere"), signature=b""),
    )


def types(room: Room) -> None:
    code = "header_typ_mismatch"
    for profile in ("session", "rfc9068"):
        for name, typ in (
            ("plain", "at+jwt"),
            ("upper", "AT+JWT"),
            ("mixed", "At+jWt"),
            ("application", "application/at+jwt"),
            ("application_mixed", "Application/AT+JWT"),
        ):
            jws = mint(CLAIMS, header(typ=typ))
            room.valid(
                f"typ_{profile}_{name}",
                f"V26 {typ} (RFC 9068 §4, RFC 2045 §5.1)",
                jws,
                profile=profile,
            )
        room.refuse(
            code,
            f"typ_{profile}_absent",
            "V26 typ is absent",
            mint(CLAIMS, header("typ")),
            profile=profile,
        )
        room.refuse(
            code,
            f"typ_{profile}_jwt",
            "V26 an ID token's typ",
            mint(CLAIMS, header(typ="JWT")),
            profile=profile,
        )
    for index, typ in enumerate(
        (
            "",
            "rt+jwt",
            "logout+jwt",
            "statuslist+jwt",
            "at+jwt ",
            "at+jwt;v=1",
            "application/application/at+jwt",
            "text/at+jwt",
            "at-jwt",
            "appl\u0131cation/at+jwt",
        )
    ):
        room.refuse(
            code,
            f"typ_other_{index}",
            f"V26 typ {typ!r} is another kind of token",
            mint(CLAIMS, header(typ=typ)),
        )
    for name, head in (
        ("absent", header("typ")),
        ("jwt", header(typ="JWT")),
        ("jwt_lower", header(typ="jwt")),
    ):
        room.valid(
            f"typ_foreign_{name}",
            "profile jwt: typ JWT in any case, or absent",
            mint(CLAIMS, head),
            profile="jwt",
        )
    for name, typ in (("at", "at+jwt"), ("empty", ""), ("id", "id+jwt")):
        room.refuse(
            code,
            f"typ_foreign_{name}",
            "V26 profile jwt: any other typ is refused",
            mint(CLAIMS, header(typ=typ)),
            profile="jwt",
        )
    room.refuse(
        code,
        "typ_before_key",
        "typ is looked at before the key",
        mint(CLAIMS, header(typ="JWT", kid="nowhere")),
    )
