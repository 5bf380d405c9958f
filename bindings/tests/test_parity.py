from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from queue_verifier.parity.__main__ import main
from queue_verifier.parity.page import page
from queue_verifier.parity.report import Limits, Report, Row, judge, percent, text

NOW = datetime(2026, 11, 24, 17, 30, tzinfo=timezone.utc)
END = NOW.replace(minute=0)


def rows(count: int = 100, outcome: str = "agree_valid", route: str = "validate") -> list[Row]:
    hours = [END - timedelta(hours=n) for n in range(1, 49)]
    return [(hour, route, outcome, "", count) for hour in hours]


def at(hours_ago: int, outcome: str, count: int = 1, reason: str = "") -> Row:
    return (END - timedelta(hours=hours_ago), "validate", outcome, reason, count)


def faults(report: Report) -> list[str]:
    return [*report.faults, *(fault for route in report.routes for fault in route.faults)]


def test_clean() -> None:
    report = judge(rows(), NOW, Limits())
    assert report.is_clean
    assert (report.end, report.end - report.start) == (END, timedelta(hours=48))
    assert report.routes[0].agreement == 1.0
    assert text(report).startswith("CLEAN: 48 h")


@pytest.mark.parametrize(
    "outcome",
    ["legacy_only_valid", "queue_only_valid", "different_subject", "different_session_end"],
)
def test_one_disagreement_is_not_clean(outcome: str) -> None:
    report = judge([*rows(), at(5, outcome, reason="status_revoked")], NOW, Limits())
    assert faults(report) == ["1 of 4801 comparisons disagree"]
    assert f"{outcome}: status_revoked" in text(report)
    assert judge([*rows(), at(5, outcome)], NOW, Limits(disagreements=0.001)).is_clean


@pytest.mark.parametrize("outcome", ["queue_unavailable", "queue_failed", "shed"])
def test_unanswered_questions_spoil_it_beyond_a_share(outcome: str) -> None:
    assert judge([*rows(), at(5, outcome, 48)], NOW, Limits()).is_clean
    report = judge([*rows(), at(5, outcome, 49)], NOW, Limits())
    assert faults(report) == ["49 of 4849 questions were left unanswered"]


@pytest.mark.parametrize("outcome", ["queue_late", "not_compared"])
def test_neutral_comparisons_do_neither(outcome: str) -> None:
    assert judge([*rows(), at(5, outcome, 10_000)], NOW, Limits()).is_clean
    assert "no comparison" not in text(judge(rows(1, outcome), NOW, Limits()))
    report = judge(rows(100, outcome), NOW, Limits())
    assert faults(report) == [
        "48 of 48 hours without a comparison",
        "0 comparisons, expected at least 100",
    ]


def test_silence_is_not_agreement() -> None:
    assert faults(judge([], NOW, Limits())) == ["no comparison at all"]
    assert faults(judge(rows()[1:], NOW, Limits())) == ["1 of 48 hours without a comparison"]
    assert judge(rows()[1:], NOW, Limits(empty_hours=1)).is_clean
    assert faults(judge(rows(2), NOW, Limits())) == ["96 comparisons, expected at least 100"]
    expected = judge(rows(), NOW, Limits(), ["logout"])
    assert faults(expected) == ["0 comparisons, expected at least 100"]


def test_the_hour_that_has_not_ended_and_older_ones_do_not_count() -> None:
    outside = [at(0, "legacy_only_valid"), at(49, "legacy_only_valid")]
    assert judge([*rows(), *outside], NOW, Limits()).is_clean


def test_nothing_is_rounded_to_all() -> None:
    assert percent(1.0) == "100%"
    assert percent(0.999_999_9) == "just under 100%"
    assert percent(0.987_65) == "98.765%"


def test_the_page_needs_nothing_else_and_shows_what_is_rare() -> None:
    drawn = page(judge([*rows(100_000), at(5, "legacy_only_valid")], NOW, Limits()))
    assert "<h1>Not clean</h1>" in drawn
    assert not re.search(r"<script|<link|@import|https?://|src=", drawn)
    assert drawn.count("<svg ") == 1
    heights = [float(high) for high in re.findall(r'class="wrong"[^>]* height="([\d.]+)"', drawn)]
    assert heights == [5.0]
    assert "23 Nov 12:00" not in drawn.split("<svg")[0]
    assert "legacy_only_valid" in drawn


def test_the_page_is_inert() -> None:
    hostile: Row = (END - timedelta(hours=1), "<b>x</b>", "shed", "<i>", 1)
    drawn = page(judge([hostile], NOW, Limits()))
    assert "<b>" not in drawn
    assert "<i>" not in drawn


def test_json_has_every_class() -> None:
    said = judge(rows(), NOW, Limits()).to_json()
    assert said["clean"] is True
    assert said["routes"][0]["classes"]["queue_only_valid"] == 0
    assert len(said["routes"][0]["hours"]) == 48


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["report", "--hours", "0"],
        ["report", "--disagreements", "2"],
        ["report", "--format", "xml"],
        ["report", "--connect", "no_such_module:connect"],
        ["report", "--connect", ":"],
    ],
)
def test_wrong_usage(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL_QUEUE", raising=False)
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 64


def test_an_unreadable_database_tells_no_secret() -> None:
    command = [sys.executable, "-m", "queue_verifier.parity", "report", "--connect", "os:abort_"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 64
    command[-1] = "json:loads"
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (69, "the samples cannot be read: TypeError\n")
