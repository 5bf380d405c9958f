"""The service behind the proxies: answers everything, and remembers what reached it."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes

from .raw import Fields


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    target: str
    fields: Fields

    def get(self, name: str) -> list[str]:
        """Return the values of `name`, as a server reads them that takes `_` and `.` for `-`."""
        return [value for key, value in self.fields if folded(key) == name]

    @property
    def meant(self) -> str:
        """The path as the most lenient server reads it."""
        path = re.sub(r"^https?://[^/]*", "", self.target)
        for _ in range(3):
            path = unquote_to_bytes(path).decode("latin-1").replace("\\", "/")
        # `#`, `?` and NUL end a path for some.
        path = re.split(r"[?#\0]", path)[0]
        segments: list[str] = []
        for segment in (part.split(";")[0] for part in path.lower().split("/")):
            if segment == "..":
                del segments[-1:]
            elif segment not in ("", "."):
                segments.append(segment)
        return "/" + "/".join(segments)


def folded(name: str) -> str:
    return re.sub(r"[-_.]", "-", name.lower())


class Service(socketserver.ThreadingTCPServer):
    """Listens on a free port of the loopback."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port: int = self.server_address[1]
        self.seen: list[Seen] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A proxy may hang up as it likes."""

    def take(self) -> list[Seen]:
        """Return what arrived since it was asked last."""
        seen, self.seen = self.seen, []
        return seen


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline(1 << 20):
            target = line.decode("latin-1").rstrip("\r\n").split(" ")[1]
            fields: Fields = []
            while (line := self.rfile.readline(1 << 20)) not in (b"\r\n", b"\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                fields.append((name.strip(), value.strip()))
            seen = Seen(target, fields)
            cast("Service", self.server).seen.append(seen)
            _skip_body(cast("BinaryIO", self.rfile), seen)
            body = json.dumps({"target": target, "fields": fields}).encode()
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                + b"Content-Length: %d\r\n\r\n" % len(body)
                + body
            )


def _skip_body(stream: BinaryIO, seen: Seen) -> None:
    if "chunked" in "".join(seen.get("transfer-encoding")).lower():
        while size := int(stream.readline(64).split(b";")[0] or b"0", 16):
            stream.read(size + 2)
        while stream.readline(65536) not in (b"\r\n", b"\n", b""):
            pass
    for length in seen.get("content-length")[:1]:
        stream.read(int(length))
