"""Room 7: the session a valid token becomes, for each profile and algorithm."""

from __future__ import annotations

from forge.case import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    SERVICE,
    SESSION,
    Room,
    claims,
    edit,
    header,
    mint,
    mint_as,
)
from forge.keys import ED, P256, P384, A, Key, kid_of

RSA_ALGS = ("RS384", "RS512", "PS256", "PS384", "PS512")


def room() -> Room:
    """Return valid tokens, each with the members of its session."""
    room = Room("session")
    profiles(room)
    algorithms(room)
    members(room)
    return room


def profiles(room: Room) -> None:
    service = {
        "subject": "grotto",
        "client_id": "grotto",
        "session_id": None,
        "audience": [AUDIENCE],
        "scope": ["customers:read"],
        "token_id": SERVICE["jti"],
        "roles": [],
        "amr": [],
        "acr": None,
        "auth_time": None,
        "authz_ver": None,
    }
    room.valid("customer", "a customer's session (contract §1)", mint(), session=SESSION)
    room.valid(
        "service",
        "a service token: sub is the client, no sid",
        mint(SERVICE),
        session=service,
    )
    room.valid(
        "rfc9068",
        "the same token under profile rfc9068",
        mint(),
        profile="rfc9068",
        session=SESSION,
    )
    foreign = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 60, "sub": "user 1"}
    room.valid(
        "foreign",
        "profile jwt: a token of another kind of issuer",
        mint(foreign, {"alg": "RS256", "typ": "JWT", "kid": kid_of(A)}),
        profile="jwt",
        session={
            "subject": "user 1",
            "expires_at": NOW + 60,
            "client_id": None,
            "issued_at": None,
            "token_id": None,
        },
    )
    room.valid(
        "application_typ",
        "the long media type",
        mint(CLAIMS, header(typ="application/at+jwt")),
        session=SESSION,
    )


def algorithms(room: Room) -> None:
    for alg in RSA_ALGS:
        jws = mint(CLAIMS, header(alg=alg, kid=alg), A, alg)
        room.valid(
            alg.lower(),
            f"{alg}, allowed and bound to the key",
            jws,
            jwks="#a_any_rsa",
            allowed=[alg],
            session=SESSION,
        )
    for alg, key, jwks in (
        ("ES256", P256, "#p256"),
        ("ES384", P384, "#p384"),
        ("EdDSA", ED, "#ed25519"),
    ):
        room.valid(
            alg.lower(),
            f"{alg}, allowed and bound to the key",
            mint_as(alg, key),
            jwks=jwks,
            allowed=[alg],
            session=SESSION,
        )
    every = ["RS256", "ES256", "ES384", "EdDSA"]
    mixed: tuple[tuple[str, Key], ...] = (
        ("RS256", A),
        ("ES256", P256),
        ("ES384", P384),
        ("EdDSA", ED),
    )
    for alg, signer in mixed:
        room.valid(
            f"mixed_{alg.lower()}",
            f"{alg} out of a mixed set",
            mint_as(alg, signer),
            jwks="#mixed",
            allowed=every,
            session=SESSION,
        )


def members(room: Room) -> None:
    def valid(name: str, why: str, payload: dict[str, object], **expected: object) -> None:
        room.valid(name, why, mint(payload), session=edit(SESSION, expected))

    valid(
        "audience_array",
        "every aud is in the session, in its order",
        claims(aud=["antlers", AUDIENCE]),
        audience=["antlers", AUDIENCE],
    )
    valid("roles_many", "roles in their order", claims(roles=["b", "a"]), roles=["b", "a"])
    valid("scope_one", "one scope value", claims(scope="openid"), scope=["openid"])
    valid(
        "acr_recovery",
        "signed in by backup code",
        claims(acr="urn:queue:acr:recovery", amr=["otp"]),
        acr="urn:queue:acr:recovery",
        amr=["otp"],
    )
    valid(
        "acr_legacy",
        "a session minted for the cutover",
        claims("amr", acr="urn:queue:acr:legacy"),
        acr="urn:queue:acr:legacy",
        amr=[],
    )
    valid(
        "unicode",
        "text of any script comes through unchanged",
        claims(
            roles=["\u7ba1\u7406\u8005", "\U0001f98c", "e\u0301"],
            tenant_id="b\u00fccher",
        ),
        roles=["\u7ba1\u7406\u8005", "\U0001f98c", "e\u0301"],
        tenant_id="b\u00fccher",
    )
    valid(
        "escapes",
        "quotes, backslashes and control characters come through unchanged",
        claims(sub='a"b\\c\n\u0000'),
        subject='a"b\\c\n\u0000',
    )
    valid(
        "without_optional",
        "absent claims stay absent",
        claims(
            "client_id",
            "tenant_id",
            "acr",
            "amr",
            "auth_time",
            "authz_ver",
            "roles",
            "scope",
            "status",
        ),
        client_id=None,
        tenant_id=None,
        acr=None,
        amr=[],
        auth_time=None,
        authz_ver=None,
        roles=[],
        scope=[],
    )
    valid(
        "unknown_claims",
        "unknown claims change nothing",
        claims(name="x", email="a@b.test", admin=True, x={"y": [1, None]}),
    )
    valid("not_before", "nbf is no member of the session", claims(nbf=NOW - 20))
    fraction = {
        name: value for name, value in SESSION.items() if name not in ("expires_at", "issued_at")
    }
    room.valid(
        "fractional_times",
        "fractions of a second",
        mint(claims(exp=NOW + 60.5, iat=NOW - 1.25)),
        session=fraction,
    )
