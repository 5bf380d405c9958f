"""A raw HTTP server for what no framework would do, and a Flask application on a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from flask import Flask
from werkzeug.serving import make_server

Behaviour = Callable[[socket.socket], None]


class RawServer:
    """Reads one request a connection, keeps it, and lets `behave` answer."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.reads_bodies = True
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            self.requests.append(read_request(client) if self.reads_bodies else client.recv(100))
            self.behave(client)
            client.close()


def answering(head: str, body: bytes = b"") -> Behaviour:
    """Return the behaviour of a server that answers so."""

    def behave(client: socket.socket) -> None:
        client.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)

    return behave


def read_request(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    names = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if names.get(b"transfer-encoding") == b"chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += client.recv(65536)
    while len(body) < int(names.get(b"content-length", 0)):
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(app: Flask) -> Iterator[tuple[str, int]]:
    """Serve `app` on a free port, a thread for each connection."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield "127.0.0.1", server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Send bytes, return all that comes back."""
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(request)
        answer = b""
        while part := client.recv(65536):
            answer += part
        return answer
