"""A TCP relay before an issuer, which can take the push away and leave the rest."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from enum import Enum


class Cut(Enum):
    """How the push is cut."""

    CLOSED = "closed"
    """Streams end, and asking for one anew ends the connection."""
    SILENT = "silent"
    """Streams stay open, and nothing arrives: a firewall that forgot the connection."""


class Relay:
    """Carries bytes between whoever connects and the issuer it leads to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._target: tuple[str, int] | None = None
        self._cut: Cut | None = None
        self._lock = threading.Lock()
        self._connections: list[tuple[socket.socket, socket.socket]] = []
        self._streams: list[tuple[socket.socket, socket.socket]] = []
        self.refused = 0
        self.swallowed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._target = (host, int(port))

    @property
    def streams(self) -> int:
        """How many streams of events were asked for."""
        return len(self._streams)

    def cut(self, how: Cut) -> None:
        with self._lock:
            self._cut = how
            streams = list(self._streams)
        if how is Cut.CLOSED:
            for pair in streams:
                _end(pair)

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        with self._lock:
            pairs = list(self._connections)
        for pair in pairs:
            _end(pair)

    def _accept(self) -> None:
        with suppress(OSError):  # Closed.
            while True:
                client, _ = self._listener.accept()
                assert self._target is not None
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                pair = (client, server)
                with self._lock:
                    self._connections.append(pair)
                for carry in (self._ask, self._answer):
                    threading.Thread(target=carry, args=(pair,), daemon=True).start()

    def _ask(self, pair: tuple[socket.socket, socket.socket]) -> None:
        client, server = pair
        with suppress(OSError):
            while data := client.recv(65536):
                if b"/events " in data.split(b"\r\n", 1)[0]:
                    with self._lock:
                        how = self._cut
                        self._streams.append(pair)
                    if how is Cut.CLOSED:
                        self.refused += 1
                        break
                server.sendall(data)
        _end(pair)

    def _answer(self, pair: tuple[socket.socket, socket.socket]) -> None:
        client, server = pair
        with suppress(OSError):
            while data := server.recv(65536):
                with self._lock:
                    is_swallowed = self._cut is Cut.SILENT and pair in self._streams
                if is_swallowed:
                    self.swallowed += 1
                    continue
                client.sendall(data)
        _end(pair)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _end(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        _shut(end)
