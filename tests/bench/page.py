"""Rounds → the reference page: tables, ratios, bars; nothing is rounded in our favour."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Rounds = dict[str, list[float]]
OURS = "aws_walk"
# Bare verification under each of our own doors.
BARE = {
    "ring_walk": "ring_bare",
    "aws_walk": "aws_bare",
    "aws_walk_2": "aws_bare_2",
    "jsonwebtoken": "aws_bare",
    "python": "aws_bare",
}
PEERS = (
    *("jsonwebtoken", "jwt_simple", "jose", "jose_16", "fast_jwt"),
    *("pyjwt", "joserfc"),
)
# The memory a verifier may gain between the hundred-thousandth and the millionth token.
GROWTH_KIB = 1024


@dataclass(frozen=True)
class Bar:
    """A promise, what was found, and whether it holds; `holds` is none where nothing was found."""

    promise: str
    found: str
    holds: bool | None

    def row(self) -> str:
        """Return the row of the table."""
        verdict = {True: "reached", False: "**not reached**", None: "not measured"}[self.holds]
        return f"| {self.promise} | {self.found} | {verdict} |"


def render(
    names: dict[str, str],
    rounds: Rounds,
    memory: dict[str, Any] | None,
    facts: dict[str, str],
    token_bytes: int,
) -> str:
    """Return the whole page."""
    count = len(next(iter(rounds.values())))
    parts = [
        "# Benchmarks\n\nWritten by `make bench` (`tests/bench/run.py`); never edited by hand. "
        f"One validation of one {token_bytes}-byte RS256 token under an RSA-2048 key: signature, "
        "issuer, audience and times. The same token and key in every language, each library set "
        "up as its manual shows, keys parsed beforehand. Every round times every subject once, "
        f"{count} rounds; a ratio is taken within a round and its median is quoted, so that the "
        "machine's swings cancel. Figures of another machine differ; compare ratios.",
        table(
            "What was measured", ("", ""), [f"| {name} | {fact} |" for name, fact in facts.items()]
        ),
        table("Bars", ("bar", "found", ""), [bar.row() for bar in bars(names, rounds, memory)]),
        table(
            "One validation",
            ("", "median µs", "p90 µs", "÷ bare of its backend", "÷ our walk"),
            [subject(key, names[key], rounds) for key in rounds],
        ),
    ]
    if memory is not None:
        parts.append(remembered(memory))
    parts.append(
        "## Reading it\n\n`bare` is the RSA verification alone, as the library offers it. `walk` "
        "is `Verifier::validate_session`, nothing remembered. Rows with 2 threads give the time "
        "per validation of both threads together. `÷ our walk` above 1 means slower than "
        "`validate_session` on aws-lc-rs, called from Rust.\n\n"
        "Again on your machine: `make bench`. Without the other languages: "
        "`cargo bench -p queue-verifier --all-features`."
    )
    return "\n\n".join(parts) + "\n"


def table(title: str, head: tuple[str, ...], rows: list[str]) -> str:
    """Return a section with one table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows]
    return f"## {title}\n\n" + "\n".join(lines)


def subject(key: str, name: str, rounds: Rounds) -> str:
    """Return the row of one subject."""
    own = sorted(rounds[key])
    bare = "" if key not in BARE else f"{ratio(rounds, key, BARE[key]):.3f}"
    cells = [
        name,
        f"{statistics.median(own) / 1e3:.2f}",
        f"{own[len(own) * 9 // 10] / 1e3:.2f}",
        bare,
        f"{ratio(rounds, key, OURS):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def ratio(rounds: Rounds, key: str, base: str) -> float:
    """Return the median over the rounds of `key` ÷ `base`."""
    return statistics.median(
        own / other for own, other in zip(rounds[key], rounds[base], strict=True)
    )


def bars(names: dict[str, str], rounds: Rounds, memory: dict[str, Any] | None) -> list[Bar]:
    """Return every bar the project set itself."""
    found = [
        at_most(f"{names[walk]} ≤ 1.08 × bare", rounds, walk, BARE[walk], 1.08)
        for walk in ("ring_walk", "aws_walk")
    ]
    for peer in PEERS:
        value = ratio(rounds, peer, OURS)
        promise = f"{names[OURS]} faster than {names[peer]}"
        found.append(Bar(promise, f"{down(value, 2)} × as fast", value > 1))
    scaling = statistics.median(
        (one / two) / (bare / bare_two)
        for one, two, bare, bare_two in zip(
            *(rounds[key] for key in ("aws_walk", "aws_walk_2", "aws_bare", "aws_bare_2")),
            strict=True,
        )
    )
    both = [ratio(rounds, one, f"{one}_2") for one in ("aws_walk", "aws_bare")]
    found.append(
        Bar(
            "two threads scale as bare verification does, within 3 %",
            f"walk {down(both[0], 2)} ×, bare {both[1]:.2f} ×; of it {down(scaling, 3)}",
            scaling >= 0.97,
        )
    )
    found.append(remembered_bar("a remembered token ≤ 0.3 µs, one thread", rounds, "remembered"))
    found.append(faster(rounds, "PyJWT ÷ ours in Python ≥ 5", "pyjwt", "python", 5))
    found.append(
        faster(rounds, "PyJWT ÷ ours remembered in Python ≥ 150", "pyjwt", "python_remembered", 150)
    )
    found.append(memory_bar(memory))
    return found


def at_most(promise: str, rounds: Rounds, key: str, base: str, limit: float) -> Bar:
    """Hold a ratio under a limit; what is shown is rounded up."""
    value = ratio(rounds, key, base)
    return Bar(promise, f"{up(value, 3)} ×", value <= limit)


def faster(rounds: Rounds, promise: str, peer: str, ours: str, limit: float) -> Bar:
    """Hold a speed-up over a limit; what is shown is rounded down."""
    if ours not in rounds:
        return Bar(promise, "–", None)
    value = ratio(rounds, peer, ours)
    return Bar(promise, down(value, 2), value >= limit)


def remembered_bar(promise: str, rounds: Rounds, key: str) -> Bar:
    """Hold the median of a remembered token under 300 ns."""
    if key not in rounds:
        return Bar(promise, "–", None)
    value = statistics.median(rounds[key])
    return Bar(promise, f"{up(value / 1e3, 3)} µs", value <= 300)


def memory_bar(memory: dict[str, Any] | None) -> Bar:
    """Hold the growth of the memory over the last nine tenths of the tokens."""
    promise = f"from the 100 000th to the 1 000 000th distinct token ≤ {GROWTH_KIB} KiB more"
    if memory is None:
        return Bar(promise, "–", None)
    before, after = (reading["resident_kib"] for reading in memory["readings"][-2:])
    return Bar(promise, f"{after - before} KiB", after - before <= GROWTH_KIB)


def remembered(memory: dict[str, Any]) -> str:
    """Return the section on memory."""
    rows = [
        f"| {reading['tokens']} | {reading['resident_kib']} | {reading['peak_kib']} |"
        for reading in memory["readings"]
    ]
    section = table(
        "Memory under ever new tokens", ("tokens met", "resident KiB", "peak KiB"), rows
    )
    return (
        f"{section}\n\nDistinct ES256 tokens of {memory['token_bytes']} bytes, each judged once by "
        f"a verifier that remembers {memory['remembered']}."
    )


def status_lists(verifier: str, issuer: str) -> str:
    """Return the section on a status list of a million sessions, from what the programs printed."""
    return (
        "## A status list of a million sessions\n\n"
        "At the verifier: the token as it is fetched, what it takes to verify and inflate it, how "
        "many bytes its bits are, and what looking into it adds to one call of a remembered "
        "token. The last row is what two equal rounds differ by, so less than that is nothing.\n\n"
        f"{verifier.strip()}\n\n"
        "At the issuer, for the list that it publishes anew after a revocation:\n\n"
        f"```\n{issuer.strip()}\n```\n\n"
        "Again: `cargo bench -p queue-verifier --all-features --bench status_list`, "
        "`cargo bench -p queue-issuer --bench status_list`. How soon a revocation is refused is a "
        "test, not a benchmark: `tests/e2e/test_revocation.py`.\n"
    )


def up(value: float, digits: int) -> str:
    """Round against us where less is better."""
    return _rounded(value, digits, math.ceil)


def down(value: float, digits: int) -> str:
    """Round against us where more is better."""
    return _rounded(value, digits, math.floor)


def _rounded(value: float, digits: int, towards: Callable[[float], int]) -> str:
    scale: int = 10**digits
    return f"{towards(value * scale) / scale:.{digits}f}"
