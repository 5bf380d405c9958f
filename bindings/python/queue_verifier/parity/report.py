"""The verdict on a soak: takes the counts of `queue_parity_samples`, says whether it is clean.

**Invariant:** silence is not agreement: an hour, or a route, without comparisons is not clean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from . import AGREE, CLASSES, DISAGREE, UNDECIDED

__all__ = ["Limits", "Report", "Route", "judge", "text"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a clean soak is.

    Attributes:
        hours: How long it lasts.
        least: Comparisons that a route needs over these hours.
        disagreements: Share of a route's comparisons that may disagree.
        undecided: Share of a route's questions that Queue may have left unanswered.
        empty_hours: Hours that may pass without a comparison on any route.
    """

    hours: int = 48
    least: int = 100
    disagreements: float = 0.0
    undecided: float = 0.01
    empty_hours: int = 0


@dataclass(slots=True)
class Route:
    """One route over the soak."""

    name: str
    classes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    hours: list[Counter[str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def total(self, classes: Iterable[str]) -> int:
        """Return how many comparisons were of these classes."""
        return sum(self.classes[name] for name in classes)

    @property
    def compared(self) -> int:
        """Return how many times both sides answered."""
        return self.total((*AGREE, *DISAGREE))

    @property
    def agreement(self) -> float | None:
        """Return the share of comparisons that agree."""
        return self.total(AGREE) / self.compared if self.compared else None


@dataclass(slots=True)
class Report:
    """The soak, route by route."""

    start: datetime
    end: datetime
    limits: Limits
    routes: list[Route]
    faults: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against Queue as the authority."""
        return not self.faults and not any(route.faults for route in self.routes)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        limits = {name: getattr(self.limits, name) for name in Limits.__slots__}
        return {
            "clean": self.is_clean,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "limits": limits,
            "faults": self.faults,
            "routes": [
                {
                    "route": route.name,
                    "clean": not route.faults,
                    "faults": route.faults,
                    "compared": route.compared,
                    "agreement": route.agreement,
                    "classes": {name: route.classes[name] for name in CLASSES},
                    "reasons": [
                        {"class": outcome, "reason": reason, "count": count}
                        for (outcome, reason), count in route.reasons.most_common()
                    ],
                    "hours": [dict(hour) for hour in route.hours],
                }
                for route in self.routes
            ],
        }


Row = tuple[datetime, str, str, str, int]
"""An hour, a route, a class, a reason and how often."""


def judge(
    rows: Iterable[Row], now: datetime, limits: Limits, expected: Iterable[str] = ()
) -> Report:
    """Return the report on the whole hours before `now`; `expected` routes must be among them."""
    end = now.astimezone(timezone.utc).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=limits.hours)
    routes = {name: _route(name, limits) for name in expected}
    for hour, name, outcome, reason, count in rows:
        at = int((hour - start) / timedelta(hours=1))
        if not 0 <= at < limits.hours:
            continue
        route = routes.setdefault(name, _route(name, limits))
        route.classes[outcome] += count
        route.hours[at][outcome] += count
        if outcome not in AGREE:
            route.reasons[outcome, reason] += count
    for route in routes.values():
        route.faults = list(_route_faults(route, limits))
    ordered = sorted(routes.values(), key=lambda route: route.name)
    return Report(start, end, limits, ordered, list(_faults(ordered, limits)))


def _route(name: str, limits: Limits) -> Route:
    return Route(name, hours=[Counter() for _ in range(limits.hours)])


def _route_faults(route: Route, limits: Limits) -> Iterable[str]:
    if route.compared < limits.least:
        yield f"{route.compared} comparisons, expected at least {limits.least}"
    wrong = route.total(DISAGREE)
    if wrong > limits.disagreements * route.compared:
        yield f"{wrong} of {route.compared} comparisons disagree"
    asked = route.compared + route.total(UNDECIDED)
    undecided = route.total(UNDECIDED)
    if undecided > limits.undecided * asked:
        yield f"{undecided} of {asked} questions were left unanswered"


def _faults(routes: list[Route], limits: Limits) -> Iterable[str]:
    if not routes:
        yield "no comparison at all"
        return
    decided = (*AGREE, *DISAGREE)
    empty = sum(
        not any(route.hours[at][name] for route in routes for name in decided)
        for at in range(limits.hours)
    )
    if empty > limits.empty_hours:
        yield f"{empty} of {limits.hours} hours without a comparison"


def text(report: Report) -> str:
    """Return the report for a terminal."""
    verdict = "CLEAN" if report.is_clean else "NOT CLEAN"
    span = f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC"
    lines = [f"{verdict}: {report.limits.hours} h, {span}"]
    lines += [f"  {fault}" for fault in report.faults]
    for route in report.routes:
        agreement = "–" if route.agreement is None else percent(route.agreement)
        mark = "clean" if not route.faults else "not clean"
        lines.append(f"\n{route.name}: {mark}; {route.compared} compared, {agreement} agree")
        lines += [f"  ! {fault}" for fault in route.faults]
        lines += [f"  {route.classes[name]:>10}  {name}" for name in CLASSES if route.classes[name]]
        for (outcome, reason), count in route.reasons.most_common(10):
            if reason:
                lines.append(f"  {count:>10}  {outcome}: {reason}")
    return "\n".join(lines) + "\n"


def percent(share: float) -> str:
    """Return a share for people; never 100 % when something is missing."""
    shown = f"{share:.3%}"
    return "just under 100%" if shown == "100.000%" and share < 1 else shown.replace(".000%", "%")
