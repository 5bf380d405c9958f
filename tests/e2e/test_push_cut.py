"""A revocation past what stands between issuer and verifier: a cut push, another replica."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from relay import Cut, Relay
from running import Issuer
from test_revocation import Doors

TTL = 1
# The embedded verifier, the sidecar, the axum service and the Flask service.
VERIFIERS = 4


def until(is_true: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline, what()


def shown(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(taken, 3) for name, taken in seconds.items()}


@pytest.mark.parametrize("how", list(Cut))
def test_where_the_push_is_cut_a_revocation_is_seen_within_the_ttl_and_a_second(
    how: Cut, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        relay = Relay()
        stack.callback(relay.close)
        # Tokens name status lists by the URL of the relay; the rest goes straight to the issuer.
        issuer = Issuer(
            tmp_path, QUEUE_ISSUER_URL=relay.url, QUEUE_ISSUER_STATUS_LIST_TTL=f"{TTL}s"
        )
        stack.callback(issuer.program.stop)
        relay.lead_to(issuer.url)
        doors = Doors(issuer, tmp_path, stack, is_pushed=True, seconds=1)
        token = issuer.mint(doors.customer_id)
        assert {door(token) for door in doors.all.values()} == {"valid"}
        until(lambda: relay.streams >= VERIFIERS, lambda: relay.streams)
        pushed = doors.seconds_to_refusal()
        assert max(pushed.values()) <= 1, pushed
        relay.cut(how)
        cut = doors.seconds_to_refusal()
        print(how.value, "before", shown(pushed), "after", shown(cut))
        assert max(cut.values()) <= TTL + 1, cut
        # The push was really gone, in the way that was meant.
        until(lambda: bool(relay.refused if how is Cut.CLOSED else relay.swallowed), lambda: relay)


def test_a_session_revoked_at_one_replica_is_refused_by_whoever_listens_to_another(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        relay = Relay()
        stack.callback(relay.close)
        # A poll alone would be late by far.
        settings = {"QUEUE_ISSUER_URL": relay.url, "QUEUE_ISSUER_STATUS_LIST_TTL": "30s"}
        revoking, publishing = Issuer(tmp_path, **settings), Issuer(tmp_path, **settings)
        for issuer in (revoking, publishing):
            stack.callback(issuer.program.stop)
        relay.lead_to(publishing.url)
        doors = Doors(revoking, tmp_path, stack, is_pushed=True, seconds=1)
        token = revoking.mint(doors.customer_id)
        assert {door(token) for door in doors.all.values()} == {"valid"}
        until(lambda: relay.streams >= VERIFIERS, lambda: relay.streams)
        seconds = doors.seconds_to_refusal()
        print(shown(seconds))
        assert max(seconds.values()) <= doors.seconds, seconds
