"""What the issuer reaches: minting beside the bare signature, and over HTTP on a Postgres."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from page import Bar, down, up

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from postgres import Postgres

Phase = dict[str, Any]
# Seconds that one program may take before something is wrong with it.
LONGEST = 1_800


def measure(mint: str, load: str, *, quick: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run both programs; return what they printed."""
    minting = _output(mint, *(["11"] if quick else []))
    print("the issuer under load: some minutes", file=sys.stderr)
    postgres = Postgres()
    try:
        arguments = [postgres.url, str(postgres.pid), *(["1", "1"] if quick else [])]
        loaded = _output(load, *arguments)
    finally:
        postgres.close()
    return minting, loaded


def section(minting: dict[str, Any], loaded: dict[str, Any]) -> str:
    """Return the section on the issuer."""
    phases = [list(rounds) for rounds in zip(*loaded["rounds"], strict=True)]
    cores = int(loaded["cores"])
    count, seconds = len(loaded["rounds"]), loaded["seconds"]
    parts = [
        "## Issuer\n\nMinting: one thread, no database: claims, JSON, the RSA-2048 signature, and "
        "the check of the token by `queue-verifier` against the published set. Held against the "
        f"signature alone over {minting['message_bytes']} bytes, called in turn within each of "
        f"{len(minting['rounds']['mint'])} rounds. Over HTTP: one `queue-issuer` with its default "
        "settings, but for rate limits, on a Postgres with `fsync` and `synchronous_commit` on; "
        "connections are kept alive and each sends its next request when it has its answer, "
        f"{seconds} s a phase, {count} {'round' if count == 1 else 'rounds'}, medians. "
        f"**Client, issuer and Postgres share the {cores} cores of the machine.**",
        "\n".join(
            ["| bar | found |  |", "|---|---|---|", *(bar.row() for bar in bars(minting, phases))]
        ),
        minted(minting),
        over_http(phases, cores),
        "A rate is answers a second of wall time; its share is of the bare signing rate of one "
        "core, measured before and after each phase. The processor time of issuer and Postgres "
        "is what they spent on one answer, until they were idle again, so that it holds the "
        "chaining of audit events behind the answers; the share by it is the signature's time ÷ "
        "the issuer's. A sign-in is two requests with the "
        "authenticator's signature between them, made by the client while the clock runs. The "
        f"floor is what so many clients would wait if the {cores} cores did nothing but sign one "
        "token each.\n\nAgain: `cargo bench -p queue-issuer --bench mint`; `make bench` for both.",
    ]
    return "\n\n".join(parts) + "\n"


def bars(minting: dict[str, Any], phases: list[list[Phase]]) -> list[Bar]:
    """Return the bars of the issuer."""
    mint = float(minting["token_share"])
    wall = max(_median(phase, share) for phase in phases if phase[0]["deed"] == "mint")
    return [
        Bar(
            "mint ≥ 90 % of the bare signing rate of one core",
            f"{down(mint * 100, 1)} %",
            mint >= 0.9,
        ),
        Bar(
            "mint over HTTP with Postgres ≥ 60 % of it, by wall time",
            f"{down(wall * 100, 1)} %",
            wall >= 0.6,
        ),
    ]


def minted(minting: dict[str, Any]) -> str:
    """Return the table of minting."""
    names = {
        "mint_bare": "RSA-2048 signature, bare",
        "mint_unchecked": "claims, JSON and signature",
        "mint": f"mint: with the self-check, {minting['token_bytes']}-byte token",
    }
    bare = minting["rounds"]["mint_bare"]
    rows = []
    for key, name in names.items():
        own = minting["rounds"][key]
        reached = statistics.median(b / o for b, o in zip(bare, own, strict=True))
        rows.append(f"| {name} | {statistics.median(own) / 1e3:.1f} | {down(reached * 100, 1)} % |")
    return "\n".join(["| one thread | median µs | of the bare rate |", "|---|---|---|", *rows])


def over_http(phases: list[list[Phase]], cores: int) -> str:
    """Return the table of what goes over HTTP."""
    head = (
        *("", "clients", "a second", "of one core's signing", "p50 ms", "p99 ms", "floor ms"),
        *("issuer CPU µs", "share by it", "Postgres CPU µs"),
    )
    names = {"mint": "mint a session", "refresh": "refresh", "login": "sign in with a passkey"}
    rows = []
    for phase in phases:
        cells = [
            names[phase[0]["deed"]],
            str(phase[0]["clients"]),
            f"{_median(phase, rate):.0f}",
            f"{down(_median(phase, share) * 100, 1)} %",
            up(_median(phase, lambda one: one["p50_us"]) / 1e3, 1),
            up(_median(phase, lambda one: one["p99_us"]) / 1e3, 1),
            f"{_median(phase, lambda one: floor_ms(one, cores)):.1f}",
            f"{_median(phase, lambda one: cpu(one, 'issuer')):.0f}",
            f"{down(_median(phase, signing) * 100, 1)} %",
            f"{_median(phase, lambda one: cpu(one, 'postgres')):.0f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows])


def rate(phase: Phase) -> float:
    """Return the answers a second."""
    return float(phase["count"] / phase["wall_s"])


def share(phase: Phase) -> float:
    """Return the rate ÷ the bare signing rate of one core."""
    return float(rate(phase) * phase["bare_ns"] / 1e9)


def floor_ms(phase: Phase, cores: int) -> float:
    """Return what the clients would wait if every core did nothing but sign for them."""
    signers = min(cores, phase["clients"])
    return float(phase["clients"] / signers * phase["bare_ns"] / 1e6)


def cpu(phase: Phase, party: str) -> float:
    """Return the microseconds of processor time one answer took."""
    return float(phase[f"{party}_cpu_s"] / phase["count"] * 1e6)


def signing(phase: Phase) -> float:
    """Return the share of the issuer's processor time that a signature alone would take."""
    return float(phase["bare_ns"] / 1e3 / cpu(phase, "issuer"))


def _median(rounds: list[Phase], of: Any) -> float:
    return float(statistics.median(of(one) for one in rounds))


def _output(*command: str) -> dict[str, Any]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=LONGEST)
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed
