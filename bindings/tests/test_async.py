from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from harness import AUDIENCE, ISSUER, NOW, KeyServer, SigningKey
from queue_verifier import Backend, InvalidToken, KeysUnavailable, Require, Session, Verifier


def turns(coroutine: Coroutine[Any, Any, Session]) -> Session:
    """Run a coroutine that must not await anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        session: Session = done.value
        return session
    raise AssertionError("awaited with its key at hand")


def test_both_transports(backend: Backend, key: SigningKey) -> None:
    async def story() -> None:
        session = await backend.validate_session_async(key.mint())
        assert session.claims == backend.validate_session(key.mint()).claims
        with pytest.raises(InvalidToken) as caught:
            await backend.validate_session_async(key.mint(), require=Require(scope="admin"))
        assert caught.value.code == "claims_scope_missing"

    asyncio.run(story())


def test_nothing_is_awaited_when_the_key_is_at_hand(verifier: Verifier, key: SigningKey) -> None:
    assert turns(verifier.validate_session_async(key.mint())).issuer == ISSUER
    with pytest.raises(InvalidToken):
        turns(verifier.validate_session_async("no token"))


def test_the_loop_runs_on_while_a_key_is_fetched(
    key: SigningKey, other_key: SigningKey, key_server: KeyServer
) -> None:
    async def story(verifier: Verifier) -> None:
        key_server.gate.clear()
        waiting = [
            asyncio.create_task(verifier.validate_session_async(other_key.mint()))
            for _ in range(50)
        ]
        # Each task has run up to its wait; the server answers only when this coroutine says so.
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        assert (await verifier.validate_session_async(key.mint())).issuer == ISSUER
        key_server.gate.set()
        sessions = await asyncio.gather(*waiting)
        assert {session.issuer for session in sessions} == {ISSUER}

    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        asyncio.run(story(verifier))
    assert len(key_server.requests) == 2


def test_cold_start_waits(key: SigningKey, key_server: KeyServer) -> None:
    key_server.gate.clear()

    async def story(verifier: Verifier) -> None:
        waiting = asyncio.create_task(verifier.validate_session_async(key.mint()))
        await asyncio.sleep(0)
        assert not waiting.done()
        key_server.gate.set()
        assert (await waiting).issuer == ISSUER

    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        asyncio.run(story(verifier))


def test_cold_start_in_vain(key: SigningKey, key_server: KeyServer) -> None:
    key_server.status = 500

    async def story(verifier: Verifier) -> None:
        with pytest.raises(KeysUnavailable) as caught:
            await verifier.validate_session_async(key.mint())
        assert caught.value.code == "key_set_unavailable"

    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        asyncio.run(story(verifier))


def test_a_cancelled_wait_cancels_no_fetch(
    key: SigningKey, other_key: SigningKey, key_server: KeyServer
) -> None:
    async def story(verifier: Verifier) -> None:
        key_server.gate.clear()
        gone = asyncio.create_task(verifier.validate_session_async(other_key.mint()))
        stays = asyncio.create_task(verifier.validate_session_async(other_key.mint()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        key_server.gate.set()
        assert (await stays).issuer == ISSUER

    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        asyncio.run(story(verifier))
    assert len(key_server.requests) == 2


def test_a_loop_that_ended_is_left_alone(other_key: SigningKey, key_server: KeyServer) -> None:
    """The key thread wakes waiters of a closed loop; nobody is there, and nothing breaks."""
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        key_server.gate.clear()

        async def story() -> None:
            asyncio.create_task(verifier.validate_session_async(other_key.mint()))  # noqa: RUF006
            await asyncio.sleep(0)

        asyncio.run(story())
        key_server.gate.set()
        verifier.refresh()
        assert verifier.ready(1)
