"""Part of room 6: lists that are the issuer's word, and lists that are not."""

from __future__ import annotations

from forge.case import NOW, Room, mint
from forge.keys import B, b64u
from forge.status_list import packed, status_list, stored


def documents(room: Room) -> None:
    def refused(name: str, why: str, *lists: str) -> None:
        room.config_error(f"list_{name}", why, status_lists=list(lists))

    room.valid(
        "list_long_typ",
        "the long media type",
        mint(),
        status_lists=[status_list(head={"typ": "application/statuslist+jwt"})],
    )
    room.valid(
        "list_without_iss",
        "the draft asks for no iss",
        mint(),
        status_lists=[status_list(0, 1, "iss")],
    )
    room.valid(
        "list_without_optional",
        "no exp and no ttl",
        mint(),
        status_lists=[status_list(0, 1, "exp", "ttl")],
    )
    room.valid(
        "list_last_second",
        "the last second before exp and leeway",
        mint(),
        status_lists=[status_list(exp=NOW - 29)],
    )
    refused("expired", "exp and leeway reached", status_list(exp=NOW - 30))
    refused("future", "iat beyond the leeway", status_list(iat=NOW + 31))
    refused("stranger", "V27 another key under the kid", status_list(key=B))
    refused("unknown_kid", "a kid that the set lacks", status_list(head={"kid": "x"}))
    refused("none", "V1 no signature", status_list(head={"alg": "none"}))
    refused("typ_jwt", "V26 typ JWT", status_list(head={"typ": "JWT"}))
    refused("typ_token", "V26 typ of an access token", status_list(head={"typ": "at+jwt"}))
    refused("token", "V26 an access token as a list", mint())
    refused("other_issuer", "iss of another issuer", status_list(iss="https://other.test"))
    refused("no_sub", "sub is required", status_list(0, 1, "sub"))
    refused("no_iat", "iat is required", status_list(0, 1, "iat"))
    refused("ttl_zero", "ttl is positive", status_list(ttl=0))
    refused("bits_3", "bits are 1, 2, 4 or 8", status_list(status_list={"bits": 3, "lst": "eNo"}))
    refused("lst_no_zlib", "lst is zlib", status_list(status_list={"bits": 1, "lst": "AAAA"}))
    good = packed(1, {})
    trailing = {"bits": 1, "lst": good["lst"] + "AAAA"}
    refused("lst_trailing", "nothing behind the stream", status_list(status_list=trailing))
    broken = {"bits": 1, "lst": b64u(stored(bytes(590))[:-1] + b"\x00")}
    refused("lst_checksum", "the checksum holds", status_list(status_list=broken))
    cut = {"bits": 1, "lst": b64u(stored(bytes(590))[:-5])}
    refused("lst_cut", "the stream is whole", status_list(status_list=cut))
    refused("twice", "two documents for one list", status_list(), status_list(1))
    refused("second_bad", "one bad list among good ones", status_list(), "x.y.z")
