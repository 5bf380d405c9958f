"""Room 5: issuer, audience, times and presence (RFC 7519 §4.1, RFC 9068 §2.2 and §4)."""

from __future__ import annotations

from typing import Any

from forge import claims_types
from forge.case import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    SERVICE,
    Room,
    claims,
    edit,
    header,
    mint,
    raw_claims,
)

FOREIGN = header(typ="JWT")


def room() -> Room:
    """Return the cases of the claims room, except the requirements."""
    room = Room("claims")
    missing(room)
    issuer(room)
    audience(room)
    times(room)
    odd_times(room)
    sender_constrained(room)
    order(room)
    claims_types.add(room)
    return room


def missing(room: Room) -> None:
    code = "claims_missing"
    for name in ("iss", "aud", "exp", "iat", "sub", "jti"):
        room.refuse(
            code,
            f"session_no_{name}",
            f"V24 profile session requires {name}",
            mint(claims(name)),
        )
    room.refuse(code, "session_no_sid", "a customer session names its sid", mint(claims("sid")))
    room.refuse(
        code,
        "session_no_sid_no_client",
        "without client_id it is no service token",
        mint(claims("sid", "client_id")),
    )
    room.refuse(code, "session_empty", "no claim at all", mint({}))
    room.refuse(
        code,
        "service_other_client",
        "a service token's sub equals its client_id",
        mint(edit(SERVICE, {"client_id": "other"})),
    )
    room.valid("service", "a service token has no sid (contract §1)", mint(SERVICE))
    room.valid(
        "service_with_sid",
        "sid may be there when sub equals client_id",
        mint({**SERVICE, "sid": "s"}),
    )
    room.valid(
        "session_no_client",
        "profile session does not require client_id",
        mint(claims("client_id")),
    )
    for name in ("iss", "aud", "exp", "iat", "sub", "client_id", "jti"):
        room.refuse(
            code,
            f"rfc9068_no_{name}",
            f"RFC 9068 §2.2 requires {name}",
            mint(claims(name)),
            profile="rfc9068",
        )
    room.valid(
        "rfc9068_no_sid",
        "RFC 9068 does not know sid",
        mint(claims("sid")),
        profile="rfc9068",
    )
    for name in ("iss", "aud", "exp"):
        room.refuse(
            code,
            f"foreign_no_{name}",
            f"profile jwt requires {name}",
            mint(claims(name), FOREIGN),
            profile="jwt",
        )
    least = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 60}
    room.valid(
        "foreign_least",
        "profile jwt requires nothing else",
        mint(least, FOREIGN),
        profile="jwt",
    )
    cased = mint(claims("exp", EXP=NOW + 60))
    room.refuse(code, "case_variant", "V18 'EXP' is another member, so exp is missing", cased)
    room.valid(
        "case_variant_ignored",
        "V18 EXP, Iss and AUD are unknown members",
        mint(claims(EXP=1, Iss="x", AUD="x")),
    )


def issuer(room: Room) -> None:
    code = "claims_iss_mismatch"
    for name, value in (
        ("other", "https://other.queue.test"),
        ("trailing_slash", f"{ISSUER}/"),
        ("prefix", ISSUER[:-1]),
        ("longer", f"{ISSUER}.example"),
        ("upper_case", ISSUER.replace("issuer", "Issuer")),
        ("http", ISSUER.replace("https", "http")),
        ("port", f"{ISSUER}:443"),
        ("space", f" {ISSUER}"),
        ("empty", ""),
        ("nul", f"{ISSUER}\0"),
        ("look_alike", ISSUER.replace("i", "\u0456")),
        ("comma_list", f"https://other.queue.test,{ISSUER}"),
    ):
        room.refuse(
            code,
            f"iss_{name}",
            "V24 iss compares byte by byte",
            mint(claims(iss=value)),
        )
    escaped = raw_claims(rf'"iss":"{ISSUER.replace("/", chr(92) + "/")}"', "iss")
    room.valid("iss_escaped", "JSON escapes are undone before comparing", mint(escaped))


def audience(room: Room) -> None:
    code = "claims_aud_mismatch"
    for name, value in (
        ("other", "antlers"),
        ("array_other", ["antlers", "grotto"]),
        ("empty", ""),
        ("array_empty_string", [""]),
        ("upper_case", "Raptor"),
        ("prefix", "rapto"),
        ("longer", "raptor2"),
        ("space", "raptor "),
        ("two_in_one", "raptor antlers"),
        ("comma", "raptor,antlers"),
        ("star", "*"),
        ("issuer", ISSUER),
    ):
        room.refuse(
            code,
            f"aud_{name}",
            "V24 no aud equals the configured one exactly",
            mint(claims(aud=value)),
        )
    for name, array in (
        ("array_one", [AUDIENCE]),
        ("array_many", ["antlers", AUDIENCE, "grotto"]),
        ("array_twice", [AUDIENCE, AUDIENCE]),
    ):
        room.valid(f"aud_{name}", "one aud of the array is ours", mint(claims(aud=array)))


def times(room: Room) -> None:
    for leeway in (0, 30):
        suffix = f"leeway_{leeway}"
        for name, code, value, good in (
            ("exp_last", "claims_expired", {"exp": NOW - leeway + 1}, True),
            ("exp_reached", "claims_expired", {"exp": NOW - leeway}, False),
            ("exp_past", "claims_expired", {"exp": NOW - leeway - 1}, False),
            ("nbf_reached", "claims_not_yet_valid", {"nbf": NOW + leeway}, True),
            ("nbf_first", "claims_not_yet_valid", {"nbf": NOW + leeway + 1}, False),
            ("iat_reached", "claims_issued_in_future", {"iat": NOW + leeway}, True),
            ("iat_first", "claims_issued_in_future", {"iat": NOW + leeway + 1}, False),
        ):
            why = f"V22 {value} at now {NOW} with leeway {leeway}"
            jws = mint(claims(**value))
            if good:
                room.valid(f"{name}_{suffix}", why, jws, leeway=leeway)
            else:
                room.refuse(code, f"{name}_{suffix}", why, jws, leeway=leeway)
    room.refuse("claims_expired", "exp_hour_ago", "an hour ago", mint(claims(exp=NOW - 3600)))
    room.valid("nbf_past", "nbf in the past", mint(claims(nbf=NOW - 20)))
    early: dict[str, Any] = {"iat": 8, "auth_time": 5}
    room.valid(
        "leeway_above_now",
        "V22 leeway above now: nothing wraps around",
        mint(claims(exp=5, **early)),
        now=10,
    )
    room.refuse(
        "claims_expired",
        "leeway_above_now_expired",
        "V22 expired 30 s before, near the epoch",
        mint(claims(exp=5, **early)),
        now=35,
    )
    room.valid(
        "leeway_above_now_not_yet",
        "V22 35 s before exp, near the epoch",
        mint(claims(exp=5, **early)),
        now=34,
    )


def odd_times(room: Room) -> None:
    for name, why, member in (
        (
            "exp_fraction",
            "a NumericDate may have a fraction (RFC 7519 §2)",
            f'"exp":{NOW}.75',
        ),
        (
            "exp_fraction_half_past_bound",
            "half a second is left: times compare as real numbers",
            f'"exp":{NOW - 30}.5',
        ),
        ("exp_fraction_zero", "a fraction of zero", f'"exp":{NOW + 60}.0'),
        ("exp_exponent", "an exponent", '"exp":1.80000006e9'),
        ("exp_exponent_upper", "an upper-case exponent with sign", '"exp":18E+8'),
        ("exp_over_32_bits", "V21 2^32 + 1 does not wrap to 1", '"exp":4294967297'),
        ("exp_largest", "V21 2^53 is the largest date", '"exp":9007199254740992'),
    ):
        room.valid(name, why, mint(raw_claims(member, "exp")))
    for name, why, member in (
        ("exp_zero", "the epoch", '"exp":0'),
        ("exp_minus_zero", "V21 -0 is 0", '"exp":-0'),
        ("exp_fraction_small", "V21 1.5", '"exp":1.5'),
        ("exp_tiny", "V21 5e-324", '"exp":5e-324'),
        ("exp_underflow", "V21 1e-400 is 0", '"exp":1e-400'),
        ("exp_fraction_past", "half a second past the bound", f'"exp":{NOW - 31}.5'),
    ):
        room.refuse("claims_expired", name, why, mint(raw_claims(member, "exp")))
    room.refuse(
        "claims_not_yet_valid",
        "nbf_fraction",
        "half a second early: times compare as real numbers",
        mint(claims(nbf=NOW + 30.5)),
    )
    room.valid(
        "nbf_fraction_reached",
        "a fraction below the bound",
        mint(claims(nbf=NOW + 29.5)),
    )
    room.refuse(
        "claims_issued_in_future",
        "iat_fraction",
        "half a second early",
        mint(claims(iat=NOW + 30.5)),
    )
    room.valid("nbf_negative", "nbf may be before 1970", mint(claims(nbf=-1)))
    room.valid("iat_negative", "iat may be before 1970", mint(claims(iat=-1)))
    room.refuse(
        "claims_not_yet_valid",
        "nbf_largest",
        "V21 2^53 is a date, far away",
        mint(claims(nbf=2**53)),
    )
    room.refuse(
        "claims_issued_in_future",
        "iat_milliseconds",
        "V21 milliseconds instead of seconds",
        mint(claims(iat=NOW * 1000)),
    )
    room.valid(
        "nbf_most_negative",
        "V21 -2^53 is the earliest date",
        mint(claims(nbf=-(2**53))),
    )


def sender_constrained(room: Room) -> None:
    code = "claims_sender_constrained"
    for name, value in (
        ("jkt", {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        ("x5t", {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        ("unknown", {"x": 1}),
        ("empty", {}),
    ):
        room.refuse(
            code,
            f"cnf_{name}",
            "a token bound to a key is no bearer token (RFC 7800, RFC 9449)",
            mint(claims(cnf=value)),
        )
    room.valid(
        "cnf_nested",
        "cnf inside another claim is not the claim",
        mint(claims(act={"cnf": {}})),
    )


def order(room: Room) -> None:
    wrong: dict[str, Any] = {
        "iss": "x",
        "aud": "x",
        "exp": 1,
        "nbf": NOW + 900,
        "iat": NOW + 900,
        "cnf": {},
    }
    needs = {"scope": ["admin"]}
    steps = (
        ("claims_iss_mismatch", "iss"),
        ("claims_aud_mismatch", "aud"),
        ("claims_expired", "exp"),
        ("claims_not_yet_valid", "nbf"),
        ("claims_issued_in_future", "iat"),
        ("claims_sender_constrained", "cnf"),
    )
    for index, (code, name) in enumerate(steps):
        left = {member: wrong[member] for _, member in steps[index:]}
        room.refuse(
            code,
            f"order_{name}",
            f"{name} comes before all that is wrong after it",
            mint(claims(**left)),
            require=needs,
        )
    room.refuse(
        "claims_missing",
        "order_missing",
        "presence comes before iss",
        mint(edit(CLAIMS, wrong, ("jti",))),
    )
    room.refuse(
        "claims_malformed",
        "order_malformed",
        "form comes before presence",
        mint(edit(CLAIMS, {**wrong, "roles": 1}, ("jti",))),
    )
