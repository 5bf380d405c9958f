"""A program that times its subjects on command.

It is sent the fixture (one line of JSON, unless it makes the fixture), answers with one line of
JSON that names its subjects (pairs of id and name), and from then on answers `ID CALLS` with the
nanoseconds a call took.
"""

from __future__ import annotations

import json
import subprocess
from types import TracebackType
from typing import Any


class Child:
    """One such program, ended with the `with` block."""

    def __init__(self, command: list[str], fixture: dict[str, Any] | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if fixture is not None:
            self._send(json.dumps(fixture))
        self.ready: dict[str, Any] = json.loads(self._receive())
        self.subjects: dict[str, str] = dict(self.ready["subjects"])

    def round(self, subject: str, calls: int) -> float:
        """Return the nanoseconds a call took, on average of `calls` calls."""
        self._send(f"{subject} {calls}")
        return float(self._receive())

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _receive(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        return line

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
