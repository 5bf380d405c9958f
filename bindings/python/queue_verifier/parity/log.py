"""Comparisons on their way into `queue_parity_samples`: takes samples, writes few rows.

**Invariant:** adding a sample never waits for the database.
**Invariant:** rows are bounded: a flush writes one row for each minute, route, class and reason,
and besides at most `DETAILS` single disagreements a minute; rows older than `keep_days` go.
**Invariant:** a row is written once: its id is made before the first attempt, attempts repeat it.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from uuid import UUID
from weakref import WeakSet

from . import DISAGREE, Sample

__all__ = ["ParityLog"]

logger = logging.getLogger("queue_verifier.parity")


class ParityLog:
    """Keeps samples in the application's Postgres; one thread of each process writes.

    Args:
        connect: Opens a DB-API connection of psycopg or psycopg2 to the database that holds the
            `queue_*` tables; called in the writing thread.
        every: Seconds between writes.
        keep_days: Rows older than that are deleted, a thousand at a write.
    """

    def __init__(
        self, connect: Callable[[], Any], *, every: float = 10.0, keep_days: int = 14
    ) -> None:
        self._connect = connect
        self._every = every
        self._keep_days = keep_days
        self._begin()
        _live.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._tally: Counter[tuple[int, str, str, str]] = Counter()
        self._details: deque[Sample] = deque()
        self._detailed = Counter[int]()
        self._batch: list[tuple[Any, ...]] = []
        self.dropped = 0

    def add(self, sample: Sample) -> bool:
        """Take one sample; return whether it will be a row of its own."""
        minute = int(sample.observed_at // 60)
        with self._lock:
            self._start()
            is_single = sample.outcome in DISAGREE and self._detailed[minute] < DETAILS
            if is_single:
                self._details.append(sample)
                self._detailed = Counter({minute: self._detailed[minute] + 1})
                if len(self._details) > _MAX_WAITING:
                    self._details.popleft()
                    self.dropped += 1
                return True
            key = (minute, sample.route, sample.outcome, sample.reason)
            if key not in self._tally and len(self._tally) >= _MAX_WAITING:
                self.dropped += 1
                return False
            self._tally[key] += 1
            return False

    def flush(self) -> bool:
        """Write what is waiting; return whether nothing is left."""
        with self._writing:
            with self._lock:
                if not self._batch:
                    self._batch = [_counted(key, n) for key, n in self._tally.items()]
                    self._batch += [_single(sample) for sample in self._details]
                    self._tally.clear()
                    self._details.clear()
            if not self._batch:
                return True
            try:
                self._write(self._batch)
            except Exception as error:
                # The database's words may quote a row, and its address a password.
                logger.warning("parity_samples_not_written error=%s", type(error).__name__)
                return False
            self._batch = []
            return True

    def close(self) -> None:
        """Write what is waiting, once, and end the thread."""
        self._is_closed = True
        self._wake.set()
        while self.flush() and (self._tally or self._details):
            pass

    def _start(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._run, name="queue-parity-log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._wake.wait(self._every):
            self.flush()

    def _write(self, batch: list[tuple[Any, ...]]) -> None:
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '10s'")
                cursor.executemany(_INSERT, batch)
                oldest = datetime.fromtimestamp(time.time() - self._keep_days * 86400, timezone.utc)
                cursor.execute(_FORGET, (oldest,))
            connection.commit()
        finally:
            connection.close()


def _counted(key: tuple[int, str, str, str], n: int) -> tuple[Any, ...]:
    minute, route, outcome, reason = key
    return (_id(), _when(minute * 60), route, outcome, reason, n, None, None)


def _single(sample: Sample) -> tuple[Any, ...]:
    return (
        _id(),
        _when(sample.observed_at),
        sample.route,
        sample.outcome,
        sample.reason,
        1,
        sample.subject_hash,
        sample.session_hash,
    )


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _id() -> str:
    """Return a UUIDv7 (RFC 9562 §5.7)."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(UUID(int=value))


DETAILS = 60
_MAX_WAITING = 2000
_INSERT = """
    INSERT INTO queue_parity_samples
        (id, tenant_id, observed_at, route, class, reason, weight, subject_hash, session_hash)
    VALUES (%s, '00000000-0000-7000-8000-000000000001', %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (id) DO NOTHING
"""
_FORGET = """
    DELETE FROM queue_parity_samples WHERE id IN (
        SELECT id FROM queue_parity_samples
        WHERE tenant_id = '00000000-0000-7000-8000-000000000001' AND observed_at < %s
        LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""

_live: WeakSet[ParityLog] = WeakSet()


def _after_fork_in_child() -> None:
    # What the parent has counted, the parent writes.
    for log in list(_live):
        log._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
