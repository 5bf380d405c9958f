"""`docs/reference/proxies.md`: how each case ends at each proxy; a test holds it to what happens.

`UPDATE_DOCS=1` writes the columns of the proxies that run.
"""

from __future__ import annotations

import os

from running import ROOT

PAGE = ROOT / "docs" / "reference" / "proxies.md"
START = "| case |"
ORDER = (
    *("nginx", "Caddy", "Traefik", "HAProxy", "Envoy gRPC", "Envoy HTTP", "Apache"),
    *("HAProxy jwt_verify", "Envoy jwt_authn", "Apache JWKS"),
)


def is_documented(name: str, outcomes: dict[str, str]) -> None:
    """Hold the column `name` against `outcomes`."""
    before, rows, after = _read()
    if "UPDATE_DOCS" in os.environ:
        known = {name, *next(iter(rows.values()), {})}
        names = [other for other in ORDER if other in known]
        cells = {
            case: {**rows.get(case, {}), name: outcomes.get(case, "–")}
            for case in dict.fromkeys([*rows, *outcomes])
        }
        _write(before, names, cells, after)
        return
    documented = {case: row.get(name) for case, row in rows.items()}
    assert {case: outcomes.get(case, "–") for case in rows} == documented
    assert set(outcomes) <= set(rows)


def _read() -> tuple[str, dict[str, dict[str, str]], str]:
    text = PAGE.read_text()
    before, _, rest = text.partition(START)
    lines = (START + rest).split("\n")
    end = next((at for at, line in enumerate(lines) if not line.startswith("|")), len(lines))
    head, _, *body = (_cells(line) for line in lines[:end])
    rows = {cells[0]: dict(zip(head[1:], cells[1:], strict=True)) for cells in body}
    return before, rows, "\n".join(lines[end:])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _write(before: str, names: list[str], rows: dict[str, dict[str, str]], after: str) -> None:
    lines = [["case", *names], ["---"] * (len(names) + 1)]
    lines += [[case, *(row.get(name, "–") for name in names)] for case, row in rows.items()]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    PAGE.write_text(f"{before}{body}\n{after}")
