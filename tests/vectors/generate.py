"""Write `queue/*.jsonl` from the fixture keys, or check that the committed files are current.

    python3 generate.py            write the files
    python3 generate.py --check    exit 1 when a committed file differs

Needs Python 3.10+ and `cryptography` with RFC 6979 signing (43 or later on OpenSSL 3.2 or later).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from forge import claims, header, key, requirements, session, signature, status, token
from forge.case import AUDIENCE, ISSUER, NOW, Room
from forge.keys import SETS, Json

HERE = Path(__file__).parent
ROOMS = (
    token.room,
    header.room,
    key.room,
    signature.room,
    claims.room,
    requirements.room,
    status.room,
    session.room,
)


def main() -> int:
    """Write or compare every file; return the exit status."""
    parser = argparse.ArgumentParser(description="write queue/*.jsonl")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check: bool = parser.parse_args().check
    stale = []
    for build in ROOMS:
        room = build()
        path = HERE / "queue" / f"{room.name}.jsonl"
        made = lines(room).encode("ascii")
        if check:
            if not path.is_file() or path.read_bytes() != made:
                stale.append(path.name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(made)
            print(f"{path.name}: {len(room.cases)} cases")
    for name in stale:
        print(f"{name}: differs from what the generator makes", file=sys.stderr)
    return 1 if stale else 0


def lines(room: Room) -> str:
    """Return the text of one file: the meta line, then a line per case."""
    named = {case["jwks"] for case in room.cases if isinstance(case.get("jwks"), str)}
    outcomes = Counter(
        case.get("code", "config_error" if case.get("config_error") else case["expected"])
        for case in room.cases
    )
    meta: Json = {
        "file": f"queue/{room.name}.jsonl",
        "licence": "Apache-2.0, as the project; made by generate.py, no third-party text",
        "now": NOW,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "count": len(room.cases),
        "by_outcome": dict(sorted(outcomes.items())),
        "defs": {name: SETS[name] for name in SETS if name in named},
    }
    rows: list[Json] = [{"meta": meta}, *room.cases]
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
