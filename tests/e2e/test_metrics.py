"""What operators load into Prometheus and Grafana, held against real scrapes and by promtool."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import World
from running import ROOT, call

PROMTOOL = Path(sys.executable).parent / "promtool"
DASHBOARD = ROOT / "examples" / "grafana" / "queue-sidecar.json"
ALERTS = ROOT / "examples" / "prometheus" / "queue-alerts.yml"
OURS = re.compile(r"\b(?:queue_sidecar|process)_[a-z0-9_]+")


@pytest.fixture(scope="module")
def scrape(world: World) -> str:
    """Return the metrics of a sidecar that judged tokens of every kind."""
    token = world.issuer.mint(world.customer_id)
    assert call("POST", f"{world.sidecar_url}/v1/validate", token=token).code == "valid"
    assert call("POST", f"{world.sidecar_url}/v1/validate", token="a.b.c").code != "valid"
    return text(f"{world.sidecar_url}/metrics")


def text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        return str(response.read().decode())


def promtool(*arguments: str, stdin: str = "") -> None:
    run = subprocess.run(
        [str(PROMTOOL), *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def names(scrape: str) -> set[str]:
    """Return the name of every sample."""
    lines = scrape.splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if line and line[0] != "#"}


def labels(scrape: str, name: str) -> set[str]:
    """Return the labels that samples of the metric have, and those that every target has."""
    found = re.findall(rf"^{name}\{{(.*)\}} ", scrape, flags=re.MULTILINE)
    pairs = {label for one in found for label in re.findall(r'(\w+)="', one)}
    return pairs | {"instance", "job"}


def expressions(value: Any) -> Iterator[str]:
    """Yield each query of a dashboard, wherever it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("expr", "query") and isinstance(inner, str):
                yield inner
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def test_prometheus_finds_nothing_to_say_about_the_scrape(scrape: str) -> None:
    promtool("check", "metrics", stdin=scrape)


def test_prometheus_finds_nothing_to_say_about_the_scrape_of_the_issuer(world: World) -> None:
    promtool("check", "metrics", stdin=text(f"{world.issuer.url}/metrics"))


def test_every_query_of_the_dashboard_names_what_is_there(scrape: str) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [query for query in expressions(dashboard) if query != "prometheus"]
    assert len(queries) > 20
    known = names(scrape)
    for query in queries:
        asked = OURS.findall(query)
        assert asked, query
        assert set(asked) <= known, query
        for name, inside in re.findall(r"(\w+)\{([^}]*)\}", query):
            asked_for = set(re.findall(r"(\w+)[=!]", inside))
            assert asked_for <= labels(scrape, name), query
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [
        query.replace("$__rate_interval", "5m")
        for query in expressions(dashboard)
        if "label_values" not in query and query != "prometheus"
    ]
    rules = [{"record": f"query:{place}", "expr": query} for place, query in enumerate(queries)]
    # JSON is YAML.
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_every_alert_is_right_and_names_what_is_there(scrape: str) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))
    asked = set(OURS.findall(ALERTS.read_text()))
    assert len(asked) > 8
    assert asked <= names(scrape)


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    issuer = 'instance="a", issuer="https://auth.example.com", job="queue"'
    series = {
        f"queue_sidecar_ready{{{issuer}}}": "1x10 0x20",
        f"queue_sidecar_key_set_stale{{{issuer}}}": "0x30",
        f"queue_sidecar_clock_offset_seconds{{{issuer}}}": "-16x30",
        'queue_sidecar_validations_total{code="valid", instance="a", job="queue"}': "0+6000x30",
        'queue_sidecar_validations_total{code="key_set_unavailable", instance="a", job="queue"}': (
            "0x10 0+600x20"
        ),
        'queue_sidecar_refusals_total{code="overloaded", instance="a", job="queue"}': "0x30",
    }
    # Alert, minute, how many of it fire then.
    cases = [
        ("QueueSidecarNotReady", 10, 0),
        ("QueueSidecarNotReady", 13, 1),
        ("QueueSidecarKeysStale", 29, 0),
        ("QueueSidecarClockApart", 4, 0),
        ("QueueSidecarClockApart", 6, 1),
        ("QueueSidecarUndecided", 9, 0),
        ("QueueSidecarUndecided", 25, 1),
        ("QueueSidecarRefusesMost", 25, 0),
    ]
    firing = 'count(ALERTS{{alertname="{}", alertstate="firing"}}) or vector(0)'
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": line} for name, line in series.items()],
        "promql_expr_test": [
            {
                "expr": firing.format(alert),
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for alert, minute, count in cases
        ],
    }
    file = tmp_path / "alerts-test.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": [test]}))
    promtool("test", "rules", str(file))


def test_every_metric_of_the_scrapes_is_in_the_reference(world: World, scrape: str) -> None:
    reference = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", reference, flags=re.MULTILINE))
    families = re.findall(
        r"^# TYPE (\w+) (\w+)$", scrape + text(f"{world.issuer.url}/metrics"), flags=re.MULTILINE
    )
    assert len(families) > 30
    for name, kind in families:
        assert rows.get(name) == kind, name
    ours = {name for name in rows if OURS.fullmatch(name)}
    assert ours == {name for name, _ in families if OURS.fullmatch(name)}
