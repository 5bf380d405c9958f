"""Room 6: what a status list says of a session, and how old it may be when it says so."""

from __future__ import annotations

import json

from forge.case import (
    CLAIMS,
    ISSUER,
    NOW,
    SERVICE,
    SESSION,
    Room,
    claims,
    header,
    mint,
    raw_claims,
)
from forge.keys import A, kid_of
from forge.status_documents import documents
from forge.status_list import IDX, SIZE, URI, packed, status_list


def room() -> Room:
    """Return sessions beside lists that were given."""
    room = Room("status")
    statuses(room)
    bounds(room)
    ages(room)
    claim(room)
    documents(room)
    return room


def statuses(room: Room) -> None:
    for bits in (1, 2, 4, 8):
        room.valid(
            f"valid_{bits}_bit",
            f"status 0 of {bits} bits",
            mint(),
            status_lists=[status_list(bits=bits)],
            session=SESSION,
        )
        room.refuse(
            "status_revoked",
            f"revoked_{bits}_bit",
            f"V43 status 1 of {bits} bits",
            mint(),
            status_lists=[status_list(1, bits)],
        )
    for bits, status in ((2, 3), (4, 3), (4, 11), (4, 12), (4, 15), (8, 64), (8, 128), (8, 255)):
        room.refuse(
            "status_revoked",
            f"unknown_{status}_of_{bits}_bit",
            f"status {status} is not ours to know: only 0 lets a session through",
            mint(),
            status_lists=[status_list(status, bits)],
        )
    for bits in (2, 4, 8):
        room.refuse(
            "status_suspended",
            f"suspended_{bits}_bit",
            f"status 2 of {bits} bits",
            mint(),
            status_lists=[status_list(2, bits)],
        )
    neighbours = {IDX - 1: 1, IDX + 1: 1, IDX - 8: 1, IDX + 8: 1}
    room.valid(
        "neighbours_revoked",
        "the sessions around it are revoked, it is not",
        mint(),
        status_lists=[status_list(status_list=packed(1, neighbours))],
    )
    room.refuse(
        "status_revoked",
        "service_token",
        "a service's own token is looked up too",
        mint(SERVICE),
        status_lists=[status_list(1)],
    )
    room.refuse(
        "status_revoked",
        "rfc9068",
        "and a token under profile rfc9068",
        mint(),
        profile="rfc9068",
        status_lists=[status_list(1)],
    )
    foreign = {name: CLAIMS[name] for name in ("iss", "aud", "exp", "sub", "status")}
    room.refuse(
        "status_revoked",
        "foreign",
        "and a foreign issuer's",
        mint(foreign, {"alg": "RS256", "typ": "JWT", "kid": kid_of(A)}),
        profile="jwt",
        status_lists=[status_list(1)],
    )
    room.refuse(
        "claims_expired",
        "expired_and_revoked",
        "claims decide before the status does",
        mint(claims(exp=NOW - 31)),
        status_lists=[status_list(1)],
    )


def bounds(room: Room) -> None:
    def at(idx: int) -> str:
        return mint(claims(status={"status_list": {"idx": idx, "uri": URI}}))

    last = SIZE - 1
    room.valid("idx_first", "index 0", at(0), status_lists=[status_list()])
    room.valid("idx_last", "the last index", at(last), status_lists=[status_list()])
    room.refuse(
        "status_revoked",
        "idx_last_revoked",
        "the last index, revoked",
        at(last),
        status_lists=[status_list(status_list=packed(1, {last: 1}))],
    )
    for name, idx in (("size", SIZE), ("2_31", 2**31), ("2_32_less_1", 2**32 - 1)):
        room.refuse(
            "status_unavailable",
            f"idx_{name}",
            "an index beyond the list: it may have grown",
            at(idx),
            status_lists=[status_list()],
        )
    for name, uri in (("other", f"{ISSUER}/status-lists/2"), ("slash", f"{URI}/"), ("empty", "")):
        room.refuse(
            "status_unavailable",
            f"uri_{name}",
            "no list of this URI is given",
            mint(claims(status={"status_list": {"idx": IDX, "uri": uri}})),
            status_lists=[status_list()],
        )
    second = status_list(1, sub=f"{ISSUER}/status-lists/2")
    room.valid(
        "two_lists_first",
        "the list of its own URI judges it",
        mint(),
        status_lists=[status_list(), second],
    )
    room.refuse(
        "status_revoked",
        "two_lists_second",
        "the list of its own URI judges it",
        mint(claims(status={"status_list": {"idx": IDX, "uri": f"{ISSUER}/status-lists/2"}})),
        status_lists=[status_list(), second],
    )


def ages(room: Room) -> None:
    room.valid(
        "age_at_bound",
        "60 s old, the default bound",
        mint(),
        status_lists=[status_list(iat=NOW - 60)],
    )
    room.refuse(
        "status_unavailable",
        "age_past_bound",
        "61 s old: nobody can tell",
        mint(),
        status_lists=[status_list(iat=NOW - 61)],
    )
    room.refuse(
        "status_revoked",
        "age_past_bound_revoked",
        "a revocation is final, however old the news",
        mint(),
        status_lists=[status_list(1, iat=NOW - 61)],
    )
    room.refuse(
        "status_unavailable",
        "age_past_bound_suspended",
        "a suspension may have been lifted since",
        mint(),
        status_lists=[status_list(2, 2, iat=NOW - 61)],
    )
    room.valid(
        "age_accepted",
        "61 s old, accepted by policy",
        mint(),
        status_lists=[status_list(iat=NOW - 61)],
        status_policy={"when_stale": "accept"},
    )
    room.refuse(
        "status_revoked",
        "age_accepted_revoked",
        "an old list that is accepted revokes",
        mint(),
        status_lists=[status_list(1, iat=NOW - 61)],
        status_policy={"when_stale": "accept"},
    )
    room.refuse(
        "status_suspended",
        "age_accepted_suspended",
        "and suspends",
        mint(),
        status_lists=[status_list(2, 2, iat=NOW - 61)],
        status_policy={"when_stale": "accept"},
    )
    for name, age, bound in (("wide", 3600, 3600), ("narrow", 1, 1)):
        room.valid(
            f"bound_{name}",
            f"a bound of {bound} s, reached",
            mint(),
            status_lists=[status_list(iat=NOW - age)],
            status_policy={"max_age": bound},
        )
        room.refuse(
            "status_unavailable",
            f"bound_{name}_passed",
            f"a bound of {bound} s, passed",
            mint(),
            status_lists=[status_list(iat=NOW - age - 1)],
            status_policy={"max_age": bound},
        )


def claim(room: Room) -> None:
    lists = [status_list()]
    for name, why, drop in (("absent", "no status claim", ("status",)),):
        room.valid(name, f"{why}: not refused for it", mint(claims(*drop)), status_lists=lists)
        room.refuse(
            "claims_missing",
            f"{name}_required",
            f"{why}, and the policy asks for one",
            mint(claims(*drop)),
            status_lists=lists,
            status_policy={"required": True},
        )
    other = claims(status={"identifier_list": {"id": "x"}})
    room.valid(
        "other_mechanism",
        "a status of a mechanism that is unknown here",
        mint(other),
        status_lists=lists,
    )
    room.refuse(
        "claims_missing",
        "other_mechanism_required",
        "the same, and the policy asks for a status list",
        mint(other),
        status_lists=lists,
        status_policy={"required": True},
    )
    room.valid(
        "extra_members",
        "members beside idx and uri",
        mint(claims(status={"status_list": {"idx": IDX, "uri": URI, "x": [1]}, "y": {}})),
        status_lists=lists,
    )
    room.valid(
        "required",
        "the policy asks for a status list, and it is there",
        mint(),
        status_lists=lists,
        status_policy={"required": True},
    )
    entry = {"idx": IDX, "uri": URI}
    wrong: tuple[tuple[str, object], ...] = (
        ("null", None),
        ("string", "valid"),
        ("array", [entry]),
        ("list_null", {"status_list": None}),
        ("list_array", {"status_list": [IDX, URI]}),
        ("list_empty", {"status_list": {}}),
        ("no_idx", {"status_list": {"uri": URI}}),
        ("no_uri", {"status_list": {"idx": IDX}}),
        ("idx_negative", {"status_list": entry | {"idx": -1}}),
        ("idx_fraction", {"status_list": entry | {"idx": 0.5}}),
        ("idx_float", {"status_list": entry | {"idx": 4711.0}}),
        ("idx_string", {"status_list": entry | {"idx": "4711"}}),
        ("idx_true", {"status_list": entry | {"idx": True}}),
        ("idx_null", {"status_list": entry | {"idx": None}}),
        ("idx_2_32", {"status_list": entry | {"idx": 2**32}}),
        ("idx_2_64", {"status_list": entry | {"idx": 2**64 + IDX}}),
        ("uri_number", {"status_list": entry | {"uri": 1}}),
        ("uri_null", {"status_list": entry | {"uri": None}}),
        ("uri_long", {"status_list": entry | {"uri": URI + "x" * (2049 - len(URI))}}),
    )
    for name, value in wrong:
        room.refuse(
            "claims_malformed",
            f"claim_{name}",
            "V20 a status claim of another form",
            mint(claims(status=value)),
            status_lists=lists,
        )
    text = json.dumps(entry, separators=(",", ":"))
    for name, member in (
        ("status", f'"status":{{"status_list":{text}}},"status":{{}}'),
        ("status_list", f'"status":{{"status_list":{text},"status_list":{text}}}'),
        ("idx", f'"status":{{"status_list":{{"idx":0,"idx":{IDX},"uri":"{URI}"}}}}'),
        ("uri", f'"status":{{"status_list":{{"idx":{IDX},"uri":"x","uri":"{URI}"}}}}'),
        ("other", f'"status":{{"status_list":{text},"x":1,"x":1}}'),
    ):
        room.refuse(
            "claims_malformed",
            f"twice_{name}",
            f"V18 {name} twice",
            mint(raw_claims(member, "status")),
            status_lists=lists,
        )
    room.refuse(
        "claims_malformed",
        "claim_malformed_foreign",
        "in a foreign issuer's token too",
        mint(claims(status=7), header(typ="JWT")),
        profile="jwt",
        status_lists=lists,
    )
    room.refuse(
        "claims_malformed",
        "claim_malformed_without_lists",
        "and where nobody looks it up",
        mint(claims(status={"status_list": {"idx": -1, "uri": URI}})),
    )
