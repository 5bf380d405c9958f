"""Rotation, proved by the verifiers themselves: who holds which key set, as the issuer sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from queue_verifier import KeysUnavailable, Verifier, VerifyError
from running import Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path)
    yield issuer
    issuer.program.stop()


def key(issuer: Issuer, kid: str) -> dict[str, Any]:
    """Return what the issuer says of a key, and who holds it."""
    listed = issuer.operate("GET", "/keys").body
    (found,) = (key for key in listed["keys"] if key["kid"] == kid)
    return dict(found)


def held(issuer: Issuer, kid: str, count: int) -> dict[str, Any]:
    """Return the key once the issuer has noted that `count` verifiers hold it."""
    deadline = time.monotonic() + 30
    while (found := key(issuer, kid))["held_by"] != count:
        assert time.monotonic() < deadline, found
    return found


def test_the_issuer_sees_who_holds_a_new_key_and_waits_for_the_others(issuer: Issuer) -> None:
    with ExitStack() as stack:
        verifiers = [
            stack.enter_context(Verifier(issuer.name, "raptor", jwks_uri=issuer.jwks_uri))
            for _ in range(3)
        ]
        assert all(verifier.ready(30) for verifier in verifiers)
        first = issuer.operate("GET", "/keys").body["keys"][0]["kid"]
        for verifier in verifiers:
            verifier.refresh()  # Asks by the ETag it holds: that proves the set arrived.
        assert held(issuer, first, 3)["missing"] == 0
        kid = str(issuer.operate("POST", "/keys", {}).body["kid"])
        assert (key(issuer, kid)["held_by"], key(issuer, kid)["missing"]) == (0, 3)
        for verifier in verifiers[:2]:
            verifier.refresh()
            verifier.refresh()
        assert held(issuer, kid, 2)["missing"] == 1
        answer = issuer.operate("POST", f"/keys/{kid}/activate", {"wait_for_verifiers": True})
        assert answer.status == 409, answer
        verifiers[2].refresh()
        verifiers[2].refresh()
        assert held(issuer, kid, 3)["missing"] == 0


def test_a_key_revoked_in_an_emergency_is_dead_after_one_refresh(issuer: Issuer) -> None:
    customer = issuer.customer("customer@example.com")
    with Verifier(issuer.name, "raptor", jwks_uri=issuer.jwks_uri) as verifier:
        token = issuer.mint(customer)
        assert verifier.validate_session(token).freshness.cached is False
        assert verifier.validate_session(token).freshness.cached is True
        kid = issuer.operate("GET", "/keys").body["keys"][0]["kid"]
        # A verifier never trades a good set for an empty one: there is a key to follow.
        assert issuer.operate("POST", "/keys", {}).status == 201
        answer = issuer.operate("POST", f"/keys/{kid}/revoke", {"reason": "lost"})
        assert answer.status == 200, answer
        verifier.refresh()
        with pytest.raises(VerifyError) as caught:
            verifier.validate_session(token)
        assert caught.value.code == "key_not_found"
        assert not isinstance(caught.value, KeysUnavailable)
