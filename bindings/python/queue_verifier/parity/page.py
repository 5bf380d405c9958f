"""The report as one HTML page that needs nothing else: takes a report, gives text.

The plots are SVG written here; the page has no script.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from html import escape
from math import sqrt

from . import AGREE, CLASSES, DISAGREE, NEUTRAL, UNDECIDED
from .report import Report, Route, percent

__all__ = ["page"]


def page(report: Report) -> str:
    """Return the page."""
    verdict, mark = ("Clean", "good") if report.is_clean else ("Not clean", "bad")
    advice = (
        "Legacy and Queue answered alike. Queue can become the authority."
        if report.is_clean
        else "Something below has to be explained or mended first, and the soak begun again."
    )
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in report.faults)
    body = "".join(_section(route, report) for route in report.routes)
    span = f"{report.start:%d %b %Y %H:%M} – {report.end:%d %b %Y %H:%M} UTC"
    limits = report.limits
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{verdict}: parity of legacy and Queue</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head><body><main>
<header class="{mark}"><p class="over">Parity of legacy auth and Queue, {limits.hours} hours</p>
<h1>{verdict}</h1><p>{advice}</p><ul>{faults}</ul><p class="span">{span}</p></header>
{_overview(report)}
<p class="key"><span class="agree">agree</span><span class="wrong">disagree</span>
<span class="unsure">Queue gave no answer</span><span class="neutral">not compared</span>
<span class="none">nothing seen</span></p>
{body}
<footer>Clean means, on each route: at least {limits.least} comparisons,
{_at_most(limits.disagreements)} disagree, {_at_most(limits.undecided)} left unanswered; and
{_hours(limits.empty_hours)} without a comparison. A late revocation (<code>queue_late</code>) is
agreement of the issuer that a verifier had not heard of yet, and does not count against it.
A bar is as high as the root of its count, so that few are seen beside many.</footer>
</main></body></html>
"""


def _overview(report: Report) -> str:
    rows = ""
    for route in report.routes:
        agreement = "–" if route.agreement is None else percent(route.agreement)
        mark = "bad" if route.faults else "good"
        rows += (
            f'<tr><td><a href="#{escape(route.name)}">{escape(route.name)}</a></td>'
            f"<td>{route.compared:,}</td><td>{agreement}</td>"
            f"<td>{route.total(DISAGREE):,}</td><td>{route.total(UNDECIDED):,}</td>"
            f'<td class="{mark}">{"not clean" if route.faults else "clean"}</td></tr>'
        )
    return (
        "<table><thead><tr><th>route</th><th>compared</th><th>agree</th><th>disagree</th>"
        f"<th>unanswered</th><th>verdict</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _section(route: Route, report: Report) -> str:
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in route.faults)
    said = Counter[str]()
    rows = ""
    for name in CLASSES:
        if not route.classes[name]:
            continue
        reasons = [
            f"{escape(reason)} {count:,}"
            for (outcome, reason), count in route.reasons.most_common()
            if outcome == name and reason
        ]
        said[name] += 1
        rows += (
            f'<tr><td><i class="{_kind(name)}"></i>{name}</td><td>{route.classes[name]:,}</td>'
            f"<td>{', '.join(reasons[:5])}</td></tr>"
        )
    table = f'<table class="classes"><tbody>{rows}</tbody></table>' if said else ""
    return (
        f'<section id="{escape(route.name)}"><h2>{escape(route.name)}</h2>'
        f'<ul class="faults">{faults}</ul>{_plot(route, report)}{table}</section>'
    )


def _plot(route: Route, report: Report) -> str:
    """Draw an hour as a bar, its height the root of its count, so that few are seen beside many."""
    hours = report.limits.hours
    step = _WIDTH / hours
    most = max((sum(hour.values()) for hour in route.hours), default=0)
    scale = _HEIGHT / sqrt(most) if most else 0.0
    shapes = [_ticks(most, scale), _days(report, step)]
    for at, hour in enumerate(route.hours):
        x, width = _LEFT + at * step + 0.5, max(step - 1.0, 1.0)
        shapes.append(_bar(hour, x, width, scale, f"{_hour(report, at)} UTC"))
    label = f"Comparisons of {escape(route.name)} in each of {hours} hours"
    size = f"0 0 {_LEFT + _WIDTH + 4} {_TOP + _HEIGHT + 26}"
    return f'<svg viewBox="{size}" role="img" aria-label="{label}">{"".join(shapes)}</svg>'


def _bar(hour: Counter[str], x: float, width: float, scale: float, when: str) -> str:
    total = sum(hour.values())
    base = _TOP + _HEIGHT
    if not total:
        return (
            f'<rect class="none" x="{x:.1f}" y="{base - 4}" width="{width:.1f}" height="4">'
            f"<title>{when}: nothing seen</title></rect>"
        )
    height = max(sqrt(total) * scale, 3.0)
    parts = {kind: sum(hour[name] for name in names) for kind, names in _KINDS.items()}
    # What is rare and matters is at least as high as can be seen.
    heights = {kind: height * n / total for kind, n in parts.items() if n}
    for kind in ("wrong", "unsure"):
        if kind in heights:
            heights[kind] = max(heights[kind], 5.0)
    said = ", ".join(f"{hour[name]:,} {name}" for name in CLASSES if hour[name])
    shapes, y = "", float(base)
    for kind in _KINDS:
        if kind in heights:
            y -= heights[kind]
            shapes += (
                f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                f'height="{heights[kind]:.1f}"/>'
            )
    if parts["wrong"]:
        shapes += (
            f'<text class="count" x="{x + width / 2:.1f}" y="{y - 4:.1f}">{parts["wrong"]:,}</text>'
        )
    return f"<g><title>{when}: {said}</title>{shapes}</g>"


def _ticks(most: int, scale: float) -> str:
    lines = ""
    for count in sorted({0, _round(most / 4), _round(most)}):
        y = _TOP + _HEIGHT - sqrt(count) * scale
        lines += (
            f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{count:,}</text>'
        )
    return lines


def _days(report: Report, step: float) -> str:
    every = max(6, report.limits.hours // 8)
    marks = ""
    for at in range(0, report.limits.hours, every):
        x = _LEFT + at * step
        marks += (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP + _HEIGHT}" y2="{_TOP + _HEIGHT + 5}"/>'
            f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 18}">{_hour(report, at)}</text>'
        )
    return marks


def _hour(report: Report, at: int) -> str:
    return f"{report.start + timedelta(hours=at):%d %b %H:%M}"


def _round(count: float) -> int:
    """Return the count with its first two digits alone."""
    unit: int = 10 ** max(len(str(int(count))) - 2, 0)
    return int(count) // unit * unit


def _kind(outcome: str) -> str:
    return next(kind for kind, names in _KINDS.items() if outcome in names)


def _at_most(share: float) -> str:
    return f"at most {percent(share)} of them" if share else "none of them"


def _hours(count: int) -> str:
    return f"at most {count} hours" if count else "no hour"


# From the bottom of a bar up.
_KINDS = {"agree": AGREE, "neutral": NEUTRAL, "unsure": UNDECIDED, "wrong": DISAGREE}
_LEFT, _TOP, _WIDTH, _HEIGHT = 52, 18, 840, 130
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6878; --line: #dde3ea; --page: #f6f8fa;
  --card: #fff; --agree: #3f9d6f; --wrong: #d3352c; --unsure: #e8a317; --neutral: #9fb3c8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --soft: #9aa7b6; --line: #313b47;
  --page: #12171d; --card: #1b222b; --neutral: #5d7288; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 32px 20px 48px; }
header, section, main > table { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 18px 24px; margin-bottom: 20px; }
header.good { border-left: 8px solid var(--agree); }
header.bad { border-left: 8px solid var(--wrong); }
h1 { margin: 0; font-size: 34px; } header.good h1, td.good { color: var(--agree); }
header.bad h1, td.bad { color: var(--wrong); } td.good, td.bad { font-weight: 600; }
h2 { margin: 0 0 4px; font: 600 18px ui-monospace, monospace; }
header p, ul { margin: 4px 0; } .over, .span { color: var(--soft); font-size: 14px; }
ul:empty { display: none; } .faults { color: var(--wrong); padding-left: 20px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; font-size: 14px; }
th, td { text-align: right; padding: 5px 12px; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; } th:first-child, td:first-child { text-align: left; }
td a { color: inherit; font-family: ui-monospace, monospace; }
.classes { margin-top: 8px; width: auto; font-size: 14px; }
.classes td:last-child { text-align: left;
  color: var(--soft); } .classes td:first-child { font-family: ui-monospace, monospace; }
svg { display: block; width: 100%; height: auto; } svg line { stroke: var(--line); }
svg text { fill: var(--soft); font-size: 11px; } svg .count { fill: var(--wrong); font-weight: 700;
  text-anchor: middle; }
.key { font-size: 14px; color: var(--soft); margin: 0 4px 16px; } .key span { margin-right: 20px; }
.key span::before, .classes i { content: ""; display: inline-block; width: 11px; height: 11px;
  border-radius: 2px; margin-right: 7px; background: var(--neutral); }
.agree { fill: var(--agree); } .key .agree::before, i.agree { background: var(--agree); }
.wrong { fill: var(--wrong); } .key .wrong::before, i.wrong { background: var(--wrong); }
.unsure { fill: var(--unsure); } .key .unsure::before, i.unsure { background: var(--unsure); }
.neutral { fill: var(--neutral); } .none { fill: none; stroke: var(--wrong); stroke-dasharray: 2; }
.key .none::before { background: none; border: 1px dashed var(--wrong); }
footer { color: var(--soft); font-size: 14px; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
