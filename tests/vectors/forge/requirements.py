"""Room 5, last part: what a caller requires of a session that is valid in itself.

RFC 9470 for acr and max_auth_age, RFC 6749 §3.3 for scope.
"""

from __future__ import annotations

from typing import Any

from forge.case import NOW, SERVICE, TENANT, Room, claims, edit, mint

OTHER_TENANT = TENANT[:-1] + "b"


def room() -> Room:
    """Return the cases of the requirements."""
    room = Room("requirements")
    authorized_parties(room)
    tenant(room)
    scope(room)
    roles(room)
    acr(room)
    max_auth_age(room)
    order(room)
    return room


def authorized_parties(room: Room) -> None:
    need = {"authorized_parties": ["antlers", "grotto"]}
    code = "claims_client_not_allowed"
    for name, why, payload in (
        ("client_id", "client_id is listed", claims()),
        (
            "azp",
            "azp is listed, whatever client_id says",
            claims(azp="grotto", client_id="other"),
        ),
        (
            "azp_no_client",
            "azp is listed, no client_id",
            claims("client_id", azp="antlers"),
        ),
        ("service", "a service is listed", SERVICE),
    ):
        room.valid(f"party_{name}", f"V25 {why}", mint(payload), require=need)
    for name, why, payload in (
        ("other", "client_id is not listed", claims(client_id="other")),
        (
            "azp_other",
            "azp is not listed: client_id does not heal it",
            claims(azp="other"),
        ),
        ("absent", "neither azp nor client_id", claims("client_id")),
        ("case", "names compare byte by byte", claims(client_id="Antlers")),
        ("prefix", "a longer name", claims(client_id="antlers2")),
        ("empty", "azp is empty", claims(azp="")),
    ):
        room.refuse(code, f"party_{name}", f"V25 {why}", mint(payload), require=need)


def tenant(room: Room) -> None:
    need = {"tenant": TENANT}
    code = "claims_tenant_mismatch"
    room.valid("tenant", "the tenant is the required one", mint(), require=need)
    for name, why, payload in (
        ("other", "another tenant", claims(tenant_id=OTHER_TENANT)),
        ("absent", "no tenant_id", claims("tenant_id")),
        ("case", "tenants compare byte by byte", claims(tenant_id=TENANT.upper())),
        ("empty", "an empty tenant_id", claims(tenant_id="")),
        ("prefix", "a prefix", claims(tenant_id=TENANT[:-1])),
    ):
        room.refuse(code, f"tenant_{name}", why, mint(payload), require=need)


def scope(room: Room) -> None:
    code = "claims_scope_missing"
    one, two = {"scope": ["read:profile"]}, {"scope": ["write:profile", "read:profile"]}
    room.valid("scope_one", "the scope holds the required value", mint(), require=one)
    room.valid("scope_two", "both are there, in another order", mint(), require=two)
    room.valid(
        "scope_service",
        "a service token's scope",
        mint(SERVICE),
        require={"scope": ["customers:read"]},
    )
    for name, why, payload, need in (
        (
            "one_of_two",
            "every required value must be there",
            claims(scope="read:profile"),
            two,
        ),
        ("absent", "no scope", claims("scope"), one),
        ("empty", "an empty scope", claims(scope=""), one),
        ("longer", "a value that only begins so", claims(scope="read:profile2"), one),
        ("prefix", "a value that is only the beginning", claims(scope="read:"), one),
        ("case", "scope is case-sensitive", claims(scope="Read:Profile"), one),
        (
            "comma",
            "values part at spaces, not commas",
            claims(scope="read:profile,write:profile"),
            one,
        ),
        (
            "tab",
            "nor at tabs (RFC 6749 §3.3)",
            claims(scope="read:profile\twrite:profile"),
            one,
        ),
        (
            "no_break_space",
            "nor at other Unicode spaces",
            claims(scope="read:profile\u00a0x"),
            one,
        ),
        (
            "roles_instead",
            "a role of that name is no scope",
            claims("scope", roles=["read:profile"]),
            one,
        ),
    ):
        room.refuse(code, f"scope_{name}", why, mint(payload), require=need)


def roles(room: Room) -> None:
    code = "claims_role_missing"
    user, both = {"roles": ["antlers-user"]}, {"roles": ["antlers-user", "admin"]}
    room.valid("role_one", "the role is there", mint(), require=user)
    room.valid(
        "role_two",
        "both are there, in another order",
        mint(claims(roles=["x", "admin", "antlers-user"])),
        require=both,
    )
    for name, why, payload, need in (
        ("one_of_two", "every required role must be there", claims(), both),
        ("absent", "no roles", claims("roles"), user),
        ("empty", "no role in the array", claims(roles=[]), user),
        ("case", "roles compare byte by byte", claims(roles=["Antlers-User"]), user),
        ("longer", "a longer name", claims(roles=["antlers-user-x"]), user),
        (
            "two_in_one",
            "one string is one role",
            claims(roles=["antlers-user admin"]),
            user,
        ),
        (
            "scope_instead",
            "a scope of that name is no role",
            claims("roles", scope="antlers-user"),
            user,
        ),
        ("service", "a service token has no roles", SERVICE, user),
    ):
        room.refuse(code, f"role_{name}", why, mint(payload), require=need)


def acr(room: Room) -> None:
    code = "claims_acr_insufficient"
    passkey, recovery = "urn:queue:acr:passkey-uv", "urn:queue:acr:recovery"
    need = {"acr": [passkey]}
    room.valid("acr", "the acr is the required one", mint(), require=need)
    room.valid(
        "acr_listed",
        "the acr is one of those listed",
        mint(claims(acr=recovery)),
        require={"acr": [passkey, recovery]},
    )
    for name, why, payload in (
        ("recovery", "a session by backup code", claims(acr=recovery)),
        ("legacy", "a session of the cutover", claims(acr="urn:queue:acr:legacy")),
        ("absent", "no acr", claims("acr")),
        ("case", "acr compares byte by byte", claims(acr=passkey.upper())),
        ("prefix", "a prefix", claims(acr="urn:queue:acr:passkey")),
        ("two_in_one", "one string is one acr", claims(acr=f"{recovery} {passkey}")),
    ):
        room.refuse(code, f"acr_{name}", why, mint(payload), require=need)


def max_auth_age(room: Room) -> None:
    code = "claims_auth_too_old"
    need: dict[str, Any] = {"max_auth_age": 300}
    for leeway in (0, 30):
        last = NOW - 300 - leeway
        room.valid(
            f"auth_last_leeway_{leeway}",
            f"now = auth_time + 300 + {leeway}",
            mint(claims(auth_time=last)),
            require=need,
            leeway=leeway,
        )
        room.refuse(
            code,
            f"auth_past_leeway_{leeway}",
            f"now is one second past auth_time + 300 + {leeway}",
            mint(claims(auth_time=last - 1)),
            require=need,
            leeway=leeway,
        )
    room.refuse(
        code,
        "auth_absent",
        "V23 no auth_time although an age is required: iat does not stand in",
        mint(claims("auth_time")),
        require=need,
    )
    room.refuse(
        code,
        "auth_in_future",
        "V21 auth_time an hour ahead proves no recent sign-in",
        mint(claims(auth_time=NOW + 3600)),
        require=need,
    )
    room.valid(
        "auth_ahead_within_leeway",
        "auth_time ahead by the leeway, as clocks differ",
        mint(claims(auth_time=NOW + 30)),
        require=need,
    )
    room.refuse(code, "auth_epoch", "V21 auth_time 0", mint(claims(auth_time=0)), require=need)
    room.refuse(
        code,
        "auth_service",
        "V23 a service token has no auth_time",
        mint(SERVICE),
        require=need,
    )
    now = mint(claims(auth_time=NOW))
    room.valid(
        "auth_age_zero",
        "max_auth_age 0 is met by a sign-in just now",
        now,
        require={"max_auth_age": 0},
        leeway=0,
    )
    room.refuse(
        code,
        "auth_age_zero_past",
        "max_auth_age 0, one second ago",
        mint(claims(auth_time=NOW - 1)),
        require={"max_auth_age": 0},
        leeway=0,
    )


def order(room: Room) -> None:
    steps: tuple[tuple[str, str, object, str, object], ...] = (
        (
            "claims_client_not_allowed",
            "authorized_parties",
            ["grotto"],
            "client_id",
            "grotto",
        ),
        ("claims_tenant_mismatch", "tenant", OTHER_TENANT, "tenant_id", OTHER_TENANT),
        ("claims_scope_missing", "scope", ["admin"], "scope", "admin"),
        ("claims_role_missing", "roles", ["admin"], "roles", ["admin"]),
        (
            "claims_acr_insufficient",
            "acr",
            ["urn:queue:acr:none"],
            "acr",
            "urn:queue:acr:none",
        ),
        ("claims_auth_too_old", "max_auth_age", 60, "auth_time", NOW),
    )
    need = {name: value for _, name, value, _, _ in steps}
    met: dict[str, Any] = {}
    for code, name, _, claim, value in steps:
        jws = mint(edit(claims(), met))
        room.refuse(
            code,
            f"order_{name}",
            f"{name} comes before all that is unmet after it",
            jws,
            require=need,
        )
        met[claim] = value
    room.valid("all_met", "every requirement is met", mint(edit(claims(), met)), require=need)
    room.refuse(
        "claims_expired",
        "after_times",
        "the times come before every requirement",
        mint(claims(exp=1)),
        require=need,
    )
    room.valid(
        "none_required",
        "a token without the optional claims serves a caller that requires nothing",
        mint(claims("tenant_id", "scope", "roles", "acr", "auth_time", "amr")),
    )
