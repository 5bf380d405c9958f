from __future__ import annotations

import time
from typing import Any

import pytest

from harness import AUDIENCE, ISSUER, NOW, SigningKey
from queue_verifier import InvalidToken, Verifier


class Clock:
    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (NOW + 275 + 29, None),
        (NOW + 275 + 29.9, None),
        (NOW + 275 + 30, "claims_expired"),
        (NOW - 20 - 30, None),
        (NOW - 20 - 31, "claims_issued_in_future"),
        (float("inf"), "claims_expired"),
        (float("nan"), "claims_expired"),
        (-1, "claims_issued_in_future"),
    ],
)
def test_boundaries(key: SigningKey, now: float, code: str | None) -> None:
    clock = Clock()
    with Verifier(ISSUER, AUDIENCE, jwks=key.jwks, clock=clock) as verifier:
        clock.now = now
        if code is None:
            assert verifier.validate_session(key.mint()).issuer == ISSUER
            return
        with pytest.raises(InvalidToken) as caught:
            verifier.validate_session(key.mint())
        assert caught.value.code == code


def test_a_clock_that_raises_is_heard(key: SigningKey) -> None:
    def broken() -> float:
        raise LookupError("no time")

    with Verifier(ISSUER, AUDIENCE, jwks=key.jwks, clock=broken) as verifier:
        for _ in range(2):
            with pytest.raises(LookupError):
                verifier.validate_session(key.mint())


def test_a_clock_of_another_type(key: SigningKey) -> None:
    noon: Any = lambda: "noon"  # noqa: E731
    verifier = Verifier(ISSUER, AUDIENCE, jwks=key.jwks, clock=noon)
    with verifier, pytest.raises(TypeError):
        verifier.validate_session(key.mint())


def test_the_machine_clock_is_the_default(key: SigningKey) -> None:
    now = int(time.time())
    with Verifier(ISSUER, AUDIENCE, jwks=key.jwks) as verifier:
        assert verifier.validate_session(key.mint(iat=now, exp=now + 60)).expires_at == now + 60
        with pytest.raises(InvalidToken):
            verifier.validate_session(key.mint(iat=now, exp=now - 60))
