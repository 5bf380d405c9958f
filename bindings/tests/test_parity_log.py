from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from queue_verifier.parity import Sample
from queue_verifier.parity.log import DETAILS, ParityLog


class Table:
    """A database that keeps rows by id, and fails when told."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Any, ...]] = {}
        self.fails_at = ""
        self.opened = self.closed = 0

    def connect(self) -> Table:
        self.opened += 1
        self.fail("connect")
        self.waiting: list[tuple[Any, ...]] = []
        return self

    def fail(self, step: str) -> None:
        if self.fails_at == step:
            raise RuntimeError("password=hunter2")

    @contextmanager
    def cursor(self) -> Iterator[Table]:
        yield self

    def execute(self, _sql: str, _values: tuple[Any, ...] = ()) -> None:
        self.fail("execute")

    def executemany(self, _sql: str, rows: list[tuple[Any, ...]]) -> None:
        self.waiting += rows

    def commit(self) -> None:
        self.fail("commit")
        for row in self.waiting:
            self.rows.setdefault(row[0], row)
        # Committed, but the answer is lost.
        self.fail("answer")

    def close(self) -> None:
        self.closed += 1


def wrong(n: int = 0) -> Sample:
    return Sample(60.0 + n, "validate", "legacy_only_valid", "", b"s" * 16, b"t" * 16)


def test_agreements_are_one_row_and_disagreements_are_bounded() -> None:
    table = Table()
    log = ParityLog(table.connect, every=3600)
    for _ in range(10_000):
        log.add(Sample(61.0, "validate", "agree_valid"))
        log.add(wrong())
    log.close()
    weights = [row[5] for row in table.rows.values()]
    assert sorted(weights)[-2:] == [10_000 - DETAILS, 10_000]
    assert weights.count(1) == DETAILS
    assert sum(weights) == 20_000
    assert all(row[6] is None for row in table.rows.values() if row[5] > 1)


@pytest.mark.parametrize("step", ["connect", "execute", "commit", "answer"])
def test_a_row_is_written_once_whatever_fails(step: str, caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    log = ParityLog(table.connect, every=3600)
    log.add(Sample(61.0, "validate", "agree_valid"))
    log.add(wrong())
    table.fails_at = step
    with caplog.at_level(logging.DEBUG):
        assert not log.flush()
    assert "hunter2" not in caplog.text
    log.add(Sample(62.0, "validate", "agree_valid"))
    table.fails_at = ""
    log.close()
    assert sum(row[5] for row in table.rows.values()) == 3
    assert table.closed == table.opened - (step == "connect")


def test_a_database_that_stays_away_costs_bounded_room() -> None:
    table = Table()
    table.fails_at = "connect"
    log = ParityLog(table.connect, every=3600)
    for n in range(10_000):
        log.add(Sample(60.0 * n, "validate", "agree_valid"))
        log.add(wrong(60 * n))
    assert not log.flush()
    assert log.dropped == 16_000
    log.close()
