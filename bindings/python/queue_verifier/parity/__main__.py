"""`python -m queue_verifier.parity report`: whether the soak is clean.

Exit status: 0 clean, 1 not clean, 64 wrong usage, 69 the database cannot be read.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .page import page
from .report import Limits, Row, judge, text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; return the exit status."""
    given = _parser().parse_args(arguments)
    limits = Limits(
        given.hours, given.least, given.disagreements, given.undecided, given.empty_hours
    )
    now = datetime.now(timezone.utc) if given.until is None else given.until
    try:
        connect = _factory(given)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 64
    try:
        rows = read(connect, now, limits)
    except Exception as error:
        # Its words may hold the database's address, and that a password.
        print(f"the samples cannot be read: {type(error).__name__}", file=sys.stderr)
        return 69
    report = judge(rows, now, limits, given.route)
    if given.html is not None:
        given.html.write_text(page(report), encoding="utf-8")
    is_json = given.format == "json"
    sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n" if is_json else text(report))
    return 0 if report.is_clean else 1


def read(connect: Callable[[], Any], now: datetime, limits: Limits) -> list[Row]:
    """Return the counts of the last hours, by hour, route, class and reason."""
    connection = connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(_COUNTS, (now, limits.hours + 1, now))
            return [(hour, name, kind, why, int(n)) for hour, name, kind, why, n in cursor]
    finally:
        connection.close()


def _factory(given: argparse.Namespace) -> Callable[[], Any]:
    if given.connect is not None:
        module, _, name = given.connect.partition(":")
        try:
            factory: Callable[[], Any] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError):
            raise ValueError(f"expected MODULE:FUNCTION, found {given.connect}") from None
        return factory
    url: str | None = given.database_url or os.environ.get("DATABASE_URL_QUEUE")
    if not url:
        raise ValueError("expected --database-url, DATABASE_URL_QUEUE or --connect")
    for name in ("psycopg", "psycopg2"):
        try:
            driver = importlib.import_module(name)
        except ImportError:
            continue
        return lambda: driver.connect(url)
    raise ValueError("expected psycopg or psycopg2, or --connect MODULE:FUNCTION")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m queue_verifier.parity", description=__doc__)
    report = parser.add_subparsers(required=True, parser_class=_Parser).add_parser(
        "report", help="judge the last hours"
    )
    report.add_argument("--hours", type=_hours, default=48, help="how long the soak lasts")
    report.add_argument("--until", type=_time, help="its end, ISO 8601; default: now")
    report.add_argument("--least", type=int, default=100, help="comparisons a route needs")
    report.add_argument("--disagreements", type=_share, default=0.0, help="share that may disagree")
    report.add_argument("--undecided", type=_share, default=0.01, help="share without an answer")
    report.add_argument("--empty-hours", type=int, default=0, help="hours without a comparison")
    report.add_argument("--route", action="append", default=[], help="must be there; repeatable")
    report.add_argument("--format", choices=("text", "json"), default="text")
    report.add_argument("--html", type=Path, help="write a page for people there too")
    report.add_argument("--database-url", help="default: DATABASE_URL_QUEUE")
    report.add_argument("--connect", metavar="MODULE:FUNCTION", help="opens a DB-API connection")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(64)


def _hours(given: str) -> int:
    if not 1 <= int(given) <= 24 * 14:
        raise ValueError
    return int(given)


def _share(given: str) -> float:
    if not 0 <= float(given) <= 1:
        raise ValueError
    return float(given)


def _time(given: str) -> datetime:
    time = datetime.fromisoformat(given.replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


_COUNTS = """
    SELECT date_trunc('hour', observed_at, 'UTC'), route, class, reason, sum(weight)
    FROM queue_parity_samples
    WHERE tenant_id = '00000000-0000-7000-8000-000000000001'
      AND observed_at >= %s::timestamptz - make_interval(hours => %s) AND observed_at < %s
    GROUP BY 1, 2, 3, 4
"""

if __name__ == "__main__":
    sys.exit(main())
