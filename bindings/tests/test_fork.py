"""gunicorn prefork: a verifier made before the fork works in every child."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable

import pytest

from harness import AUDIENCE, ISSUER, NOW, FakeSidecar, KeyServer, SigningKey
from queue_verifier import SidecarVerifier, Verifier

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")


def in_child(work: Callable[[], str]) -> str:
    """Run `work` in a forked child; return what it returned."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Forking with threads is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, work().encode())
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return answer


def test_keys_are_fetched_in_the_child(
    key: SigningKey, other_key: SigningKey, key_server: KeyServer
) -> None:
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)

        def work() -> str:
            # A rotation after the fork: only a living key thread can see it.
            return verifier.validate_session(other_key.mint()).issuer

        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        assert in_child(work) == ISSUER
        assert verifier.validate_session(key.mint()).issuer == ISSUER


def test_fork_while_a_fetch_is_under_way(key: SigningKey, key_server: KeyServer) -> None:
    key_server.gate.clear()
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert key_server.asked.acquire(timeout=10)
        key_server.gate.set()
        assert in_child(lambda: verifier.validate_session(key.mint()).issuer) == ISSUER
        assert verifier.validate_session(key.mint()).issuer == ISSUER


def test_grandchildren(key: SigningKey, key_server: KeyServer) -> None:
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:

        def work() -> str:
            return in_child(lambda: verifier.validate_session(key.mint()).issuer)

        assert in_child(work) == ISSUER


def test_a_child_remembers_nothing_of_its_parent(verifier: Verifier, key: SigningKey) -> None:
    token = key.mint()
    verifier.validate_session(token)

    def work() -> str:
        first, again = (verifier.validate_session(token) for _ in range(2))
        return f"{first.freshness.cached} {again.freshness.cached}"

    assert in_child(work) == "False True"
    assert verifier.validate_session(token).freshness.cached


def test_keys_given_as_settings(verifier: Verifier, key: SigningKey) -> None:
    assert in_child(lambda: verifier.validate_session(key.mint()).issuer) == ISSUER


def test_closed_stays_closed(key_server: KeyServer) -> None:
    verifier = Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW)
    verifier.close()
    assert in_child(lambda: str(verifier.ready(0))) == "False"


def test_sidecar_connections_are_not_shared(sidecar: FakeSidecar, key: SigningKey) -> None:
    with SidecarVerifier(sidecar.url) as backend:
        backend.validate_session(key.mint())
        assert in_child(lambda: backend.validate_session(key.mint()).issuer) == ISSUER
        assert sidecar.connections == 2
        assert backend.validate_session(key.mint()).issuer == ISSUER
        assert sidecar.connections == 2
