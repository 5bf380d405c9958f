"""Dual mode: takes the answer that legacy gave, asks Queue the same, counts how the two differ.

**Invariant:** the legacy answer never waits: `compare` only puts a question into a bounded backlog,
and when that is full the question is shed and counted.
**Invariant:** nothing that Queue does, or that happens here, reaches the caller.
**Invariant:** questions about one session are asked in the order in which they came.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING
from weakref import WeakSet

from .errors import ConfigError, KeysUnavailable
from .parity import CLASSES, DISAGREE, Answer, Sample, classify, word
from .upstream import UpstreamUnavailable

if TYPE_CHECKING:
    from .parity.log import ParityLog

__all__ = ["DualMode", "NotComparable"]

logger = logging.getLogger("queue_verifier.parity")


class NotComparable(Exception):
    """Queue has nothing to say about this request; an ask raises it."""


class DualMode:
    """Asks Queue in the background what legacy has answered already; one for each application.

    Args:
        key: At least 32 secret bytes: ids are kept as hashes under it.
        log: Where samples go; None counts them in this process only.
        recheck: Legacy's answer by now, asked in the background before a disagreement counts: a
            session that ended between the two answers is none.
        workers: Threads that ask. A worker that hangs holds its share of the sessions up, no more.
        backlog: Questions that may wait in this process.
        tolerance: Seconds that the ends of a session may lie apart.

    Raises:
        ConfigError: `config_parity_key_weak`, `config_bounds_invalid`.
    """

    def __init__(
        self,
        *,
        key: bytes,
        log: ParityLog | None = None,
        recheck: Callable[[Answer], Answer] | None = None,
        workers: int = 4,
        backlog: int = 1000,
        tolerance: float = 60.0,
    ) -> None:
        if len(key) < 32:
            raise ConfigError("config_parity_key_weak", "expected at least 32 secret bytes")
        if not 1 <= workers <= 64 or not workers <= backlog <= 100_000:
            raise ConfigError("config_bounds_invalid", "expected 1 to 64 workers and a backlog")
        self._key = key
        self._log = log
        self._recheck = recheck
        self._workers = workers
        self._room = backlog // workers
        self._tolerance = tolerance
        self._begin()
        _live.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._lanes: list[Queue[_Question | None]] | None = None
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._counts: Counter[tuple[str, str]] = Counter()

    def compare(self, route: str, legacy: Answer, ask: Callable[[Answer], Answer]) -> None:
        """Have Queue asked what legacy answered; return at once, and never raise.

        Args:
            route: What was asked: `validate`, `issue`, `logout`; a word of the program's.
            legacy: The answer that legacy gave.
            ask: Gives Queue's answer, in the background. Raises `NotComparable` when there is
                none to give, `KeysUnavailable` or `UpstreamUnavailable` when Queue is away.
        """
        try:
            route = route if _ROUTE.fullmatch(route) else "other"
            question = _Question(route, legacy, ask, time.time())
            lane = self._lane(legacy)
            if lane is None:
                return
            try:
                lane.put_nowait(question)
            except Full:
                self._count(question, "shed", "")
        except Exception as error:
            logger.warning("parity_compare_failed error=%s", type(error).__name__)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how often each (route, class) was seen in this process."""
        with self._lock:
            return dict(self._counts)

    def metrics(self) -> str:
        """Return the counts of this process as Prometheus text."""
        lines = [
            "# HELP queue_parity_outcomes_total Comparisons of legacy's answer and Queue's.",
            "# TYPE queue_parity_outcomes_total counter",
        ]
        for (route, outcome), count in sorted(self.counts().items()):
            labels = f'route="{route}",class="{outcome}"'
            lines.append(f"queue_parity_outcomes_total{{{labels}}} {count}")
        waiting = sum(lane.qsize() for lane in self._lanes or ())
        dropped = 0 if self._log is None else self._log.dropped
        lines += [
            "# HELP queue_parity_backlog Questions that wait to be asked.",
            "# TYPE queue_parity_backlog gauge",
            f"queue_parity_backlog {waiting}",
            "# HELP queue_parity_samples_dropped_total Samples that found no room on their way to"
            " the database.",
            "# TYPE queue_parity_samples_dropped_total counter",
            f"queue_parity_samples_dropped_total {dropped}",
        ]
        return "\n".join(lines) + "\n"

    def close(self, timeout: float = 2.0) -> None:
        """Ask what still waits, for at most `timeout` seconds, and write what was counted."""
        with self._lock:
            self._is_closed = True
            lanes, self._lanes = self._lanes, None
            threads, self._threads = self._threads, []
        deadline = time.monotonic() + timeout
        for lane in lanes or ():
            with suppress(Full):
                lane.put_nowait(None)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for lane in lanes or ():
            self._empty(lane)
            lane.put_nowait(None)
        if self._log is not None:
            self._log.close()

    def _empty(self, lane: Queue[_Question | None]) -> None:
        while True:
            try:
                question = lane.get_nowait()
            except Empty:
                return
            if question is not None:
                self._count(question, "shed", "")

    def _lane(self, legacy: Answer) -> Queue[_Question | None] | None:
        with self._lock:
            if self._is_closed:
                return None
            if self._lanes is None:
                self._lanes = [Queue(self._room) for _ in range(self._workers)]
                self._threads = [
                    threading.Thread(
                        target=self._run, args=(lane,), name="queue-parity", daemon=True
                    )
                    for lane in self._lanes
                ]
                for thread in self._threads:
                    thread.start()
            return self._lanes[hash(legacy.session) % self._workers]

    def _run(self, lane: Queue[_Question | None]) -> None:
        while (question := lane.get()) is not None:
            try:
                outcome, reason = self._judge(question)
            except NotComparable:
                outcome, reason = "not_compared", ""
            except KeysUnavailable as fault:
                outcome, reason = "queue_unavailable", fault.code
            except UpstreamUnavailable:
                outcome, reason = "queue_unavailable", ""
            except Exception as error:
                logger.warning("parity_ask_failed error=%s", type(error).__name__)
                outcome, reason = "queue_failed", ""
            self._count(question, outcome, reason)

    def _judge(self, question: _Question) -> tuple[str, str]:
        queue = question.ask(question.legacy)
        outcome = classify(question.legacy, queue, self._tolerance)
        if outcome in DISAGREE and self._recheck is not None:
            now = self._recheck(question.legacy)
            if (now.is_valid, now.subject) != (question.legacy.is_valid, question.legacy.subject):
                return "not_compared", "moved"
        return outcome, "" if outcome == "queue_late" else word(queue.reason)

    def _count(self, question: _Question, outcome: str, reason: str) -> None:
        with self._lock:
            route = question.route
            if len(self._counts) >= _MAX_COUNTS and (route, outcome) not in self._counts:
                route = "other"
            self._counts[route, outcome] += 1
        sample = Sample(question.asked_at, route, outcome, reason)
        if outcome in DISAGREE:
            subject = self._hash(b"subject", question.legacy.subject)
            session = self._hash(b"session", question.legacy.session)
            sample = Sample(question.asked_at, route, outcome, reason, subject, session)
        is_kept = self._log is None or self._log.add(sample)
        if outcome in DISAGREE and is_kept:
            logger.warning(
                "parity_disagreement route=%s class=%s reason=%s subject=%s session=%s",
                route,
                outcome,
                reason,
                _hex(sample.subject_hash),
                _hex(sample.session_hash),
            )

    def _hash(self, what: bytes, text: str | None) -> bytes | None:
        if text is None:
            return None
        return hmac.digest(self._key, what + b":" + text.encode(), "sha256")[:16]


class _Question:
    __slots__ = ("ask", "asked_at", "legacy", "route")

    def __init__(
        self, route: str, legacy: Answer, ask: Callable[[Answer], Answer], asked_at: float
    ) -> None:
        self.route = route
        self.legacy = legacy
        self.ask = ask
        self.asked_at = asked_at


def _hex(digest: bytes | None) -> str:
    return "" if digest is None else digest.hex()


_ROUTE = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_MAX_COUNTS = 64 * len(CLASSES)

_live: WeakSet[DualMode] = WeakSet()


def _after_fork_in_child() -> None:
    # Threads and their locks stayed in the parent, and so did the questions: the parent asks them.
    for dual in list(_live):
        dual._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
