from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from queue_verifier import ConfigError, KeysUnavailable
from queue_verifier.cutover import Answer, DualMode, NotComparable, UpstreamUnavailable
from queue_verifier.parity import CLASSES, classify
from test_fork import in_child

KEY = b"k" * 32
CUSTOMER = "0196f3a0-5b1e-7c3d-9a44-2f6f0d1c7e10"
VALID = Answer(True, CUSTOMER, "cookie-of-a-session", 1000.0)
INVALID = Answer(False, CUSTOMER, "cookie-of-a-session")


@pytest.fixture
def dual() -> Iterator[DualMode]:
    dual = DualMode(key=KEY)
    yield dual
    dual.close()


def outcomes(dual: DualMode) -> dict[str, int]:
    """Return the classes once all that was asked is counted."""
    dual.close(10)
    found: dict[str, int] = {}
    for (_, outcome), count in dual.counts().items():
        found[outcome] = found.get(outcome, 0) + count
    return found


def raises(error: Exception) -> Callable[[Answer], Answer]:
    def ask(_legacy: Answer) -> Answer:
        raise error

    return ask


@pytest.mark.parametrize(
    ("legacy", "queue", "outcome"),
    [
        (VALID, Answer(True, CUSTOMER), "agree_valid"),
        (VALID, Answer(True, CUSTOMER, ends_at=1060.0), "agree_valid"),
        (VALID, Answer(True, CUSTOMER, ends_at=1060.1), "different_session_end"),
        (VALID, Answer(True, CUSTOMER, ends_at=939.9), "different_session_end"),
        (VALID, Answer(True, "another"), "different_subject"),
        (VALID, Answer(True, None), "different_subject"),
        (VALID, Answer(False, reason="status_revoked"), "legacy_only_valid"),
        (VALID, Answer(False, reason="queue_late"), "legacy_only_valid"),
        (INVALID, Answer(True, CUSTOMER), "queue_only_valid"),
        (INVALID, Answer(False, reason="session_ended"), "agree_invalid"),
        (INVALID, Answer(False, reason="queue_late"), "queue_late"),
    ],
)
def test_classes(legacy: Answer, queue: Answer, outcome: str) -> None:
    assert classify(legacy, queue, 60.0) == outcome


@pytest.mark.parametrize(
    ("ask", "outcome"),
    [
        (lambda _: VALID, "agree_valid"),
        (raises(NotComparable()), "not_compared"),
        (raises(KeysUnavailable("key_set_unavailable", "x")), "queue_unavailable"),
        (raises(UpstreamUnavailable()), "queue_unavailable"),
        (raises(RuntimeError("x")), "queue_failed"),
        (lambda _: None, "queue_failed"),
    ],
)
def test_what_queue_does_stays_here(
    dual: DualMode, ask: Callable[[Answer], Answer], outcome: str
) -> None:
    dual.compare("validate", VALID, ask)
    assert outcomes(dual) == {outcome: 1}


def test_compare_returns_while_queue_hangs_and_sheds_beyond_its_backlog() -> None:
    dual = DualMode(key=KEY, workers=1, backlog=3)
    asked, release = threading.Event(), threading.Event()

    def hang(_legacy: Answer) -> Answer:
        asked.set()
        assert release.wait(10)
        return VALID

    dual.compare("validate", VALID, hang)
    assert asked.wait(10)
    for _ in range(5):
        dual.compare("validate", VALID, hang)
    # All that came back while the first is still held.
    assert not release.is_set()
    assert dual.counts() == {("validate", "shed"): 2}
    release.set()
    assert outcomes(dual) == {"shed": 2, "agree_valid": 4}


def test_what_still_waits_at_the_end_is_counted() -> None:
    dual = DualMode(key=KEY, workers=1, backlog=8)
    asked, release = threading.Event(), threading.Event()

    def hang(_legacy: Answer) -> Answer:
        asked.set()
        assert release.wait(10)
        return VALID

    for _ in range(5):
        dual.compare("validate", VALID, hang)
    assert asked.wait(10)
    dual.close(0.01)
    assert dual.counts() == {("validate", "shed"): 4}
    dual.compare("validate", VALID, hang)
    assert dual.counts() == {("validate", "shed"): 4}
    release.set()


def test_compare_never_raises(dual: DualMode) -> None:
    dual.compare(None, None, None)  # type: ignore[arg-type]
    dual.compare("Not a route\n", VALID, lambda _: VALID)
    assert outcomes(dual) == {"agree_valid": 1}
    assert dual.counts() == {("other", "agree_valid"): 1}


def test_a_disagreement_that_legacy_no_longer_holds_is_none() -> None:
    by_now = [INVALID]
    for by_now[0], outcome in ((INVALID, "not_compared"), (VALID, "legacy_only_valid")):
        dual = DualMode(key=KEY, recheck=lambda _: by_now[0])
        dual.compare("validate", VALID, lambda _: Answer(False, reason="status_revoked"))
        assert outcomes(dual) == {outcome: 1}


def test_questions_of_a_session_keep_their_order() -> None:
    dual = DualMode(key=KEY, workers=8, backlog=20_000)
    seen: dict[str, list[int]] = {str(n): [] for n in range(20)}

    def ask(n: int) -> Callable[[Answer], Answer]:
        def note(legacy: Answer) -> Answer:
            assert legacy.session is not None
            seen[legacy.session].append(n)
            return legacy

        return note

    for n in range(100):
        for session in seen:
            dual.compare("validate", Answer(True, CUSTOMER, session), ask(n))
    assert outcomes(dual) == {"agree_valid": 2000}
    for order in seen.values():
        assert len(order) == 100
        assert all(before < after for before, after in pairwise(order))


def test_nothing_personal_is_told(caplog: pytest.LogCaptureFixture) -> None:
    dual = DualMode(key=KEY)
    with caplog.at_level(logging.DEBUG, "queue_verifier"):
        dual.compare("validate", VALID, lambda _: Answer(False, reason="ada@example.com"))
        dual.compare("validate", VALID, raises(RuntimeError("ada@example.com")))
        assert outcomes(dual) == {"legacy_only_valid": 1, "queue_failed": 1}
    told = caplog.text + dual.metrics() + repr(VALID)
    for secret in (CUSTOMER, "cookie-of-a-session", "ada@example.com"):
        assert secret not in told
    assert "reason=other" in caplog.text
    assert 'queue_parity_outcomes_total{route="validate",class="legacy_only_valid"} 1' in told
    assert "queue_parity_backlog 0" in told


def test_hashes_need_the_key() -> None:
    one, same, other = (
        DualMode(key=key)._hash(b"subject", CUSTOMER) for key in (KEY, KEY, b"x" * 32)
    )
    assert one == same
    assert one != other
    assert one is not None
    assert len(one) == 16


def test_children_ask_for_themselves() -> None:
    dual = DualMode(key=KEY, workers=1, backlog=10)
    asked, release = threading.Event(), threading.Event()

    def hang(_legacy: Answer) -> Answer:
        asked.set()
        assert release.wait(10)
        return VALID

    dual.compare("validate", VALID, hang)
    dual.compare("validate", VALID, lambda _: VALID)
    assert asked.wait(10)

    def work() -> str:
        dual.compare("validate", VALID, lambda _: VALID)
        return str(outcomes(dual))

    # What the parent has been asked is not asked twice.
    assert in_child(work) == "{'agree_valid': 1}"
    release.set()
    assert outcomes(dual) == {"agree_valid": 2}


def test_routes_are_bounded(dual: DualMode) -> None:
    for n in range(2000):
        dual.compare(f"r{n}", VALID, lambda _: VALID)
        if n % 500 == 0:
            dual.metrics()
    dual.close(10)
    assert len(dual.counts()) <= 64 * len(CLASSES) + len(CLASSES)
    assert sum(dual.counts().values()) == 2000


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"key": b"short"}, "config_parity_key_weak"),
        ({"workers": 0}, "config_bounds_invalid"),
        ({"workers": 8, "backlog": 4}, "config_bounds_invalid"),
    ],
)
def test_settings(settings: dict[str, object], code: str) -> None:
    with pytest.raises(ConfigError, match=code):
        DualMode(**{"key": KEY, **settings})  # type: ignore[arg-type]
