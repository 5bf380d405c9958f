"""HTTP/1.1 by hand: what no client library would send."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

Fields = list[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """The first answer on a connection, and how many there were; no status when it just ended."""

    status: int | None
    fields: Fields
    body: bytes
    count: int

    def get(self, name: str) -> list[str]:
        """Return the values of `name`, in their order."""
        return [value for key, value in self.fields if key.lower() == name]


def head(method: str, target: str, fields: Fields, *, host: str = "service.example") -> bytes:
    """Return the head of a request; the connection is not used again."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in fields]
    if not any(name.lower() == "connection" for name, _ in fields):
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def exchange(port: int, data: bytes) -> Reply:
    """Send `data` on a connection of its own; read until it ends or nothing more comes."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        with suppress(ConnectionError):
            connection.sendall(data)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            # After a whole answer a little silence means that there is no second one.
            connection.settimeout(SILENCE_SECONDS if _answers(received) else PATIENCE_SECONDS)
            try:
                more = connection.recv(65536)
            except (TimeoutError, ConnectionError):
                break
            if not more:
                break
            received += more
            if b"\r\nConnection: close\r\n" in data and _is_whole(received):
                break  # Some hold it open for a while all the same.
    return _first(received)


def _first(received: bytes) -> Reply:
    count = _answers(received)
    if not received.startswith(b"HTTP/1."):
        return Reply(None, [], received, count)
    first, _, body = received.partition(b"\r\n\r\n")
    line, *rest = first.decode("latin-1").split("\r\n")
    fields = [(name, value.strip()) for name, _, value in (item.partition(":") for item in rest)]
    return Reply(int(line.split(" ")[1]), fields, body, count)


def _is_whole(received: bytes) -> bool:
    opening, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", opening, re.IGNORECASE)
    return bool(end) and length is not None and len(body) >= int(length[1])


def _answers(received: bytes) -> int:
    """How many answers begin in `received`; no body of ours holds the version."""
    is_whole = b"\r\n\r\n" in received
    return received.count(b"HTTP/1.1 ") + received.count(b"HTTP/1.0 ") if is_whole else 0


PATIENCE_SECONDS = 15
SILENCE_SECONDS = 0.3
