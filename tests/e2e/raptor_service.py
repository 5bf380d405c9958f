"""Raptor under gunicorn, its customers, and an issuer that can be taken away from it."""

from __future__ import annotations

import re
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg

from running import ROOT, Program, free_port

PARITY_KEY = "parity-" + secrets.token_urlsafe(32)
COOKIE = "raptor_session"


class Raptor:
    """The example, started for real."""

    def __init__(self, folder: Path, database_url: str, workers: int = 1, **env: str) -> None:
        self.outbox = folder / "outbox"
        self.address = ("127.0.0.1", free_port())
        self.url = f"http://127.0.0.1:{self.address[1]}"
        settings = {
            "DATABASE_URL": database_url,
            "RAPTOR_SECRET": "s" * 32,
            "RAPTOR_OUTBOX": str(self.outbox),
            "PYTHONUNBUFFERED": "1",
            **env,
        }
        command = [sys.executable, "-m", "gunicorn", "--chdir", str(ROOT / "examples" / "raptor")]
        command += ["--bind", f"127.0.0.1:{self.address[1]}", "--workers", str(workers)]
        command += ["--threads", "8", "--no-control-socket", "raptor:create_app()"]
        self.program = Program(command, env=settings, cwd=folder)
        for _ in range(workers):
            self.program.wait_for("Booting worker")
        self.get("/livez")

    def get(self, path: str, cookie: str = "") -> bytes:
        """Return every byte of an answer but those of its date."""
        return self.call("GET", path, cookie)

    def call(self, method: str, path: str, cookie: str = "", body: str = "") -> bytes:
        """Send one request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: raptor.test\r\nConnection: close\r\n"
        if cookie:
            head += f"Cookie: {COOKIE}={cookie}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection(self.address, timeout=30) as client:
            client.sendall(f"{head}\r\n{body}".encode())
            answer = b""
            while part := client.recv(65536):
                answer += part
        return re.sub(rb"\r\nDate: [^\r]*", b"", answer)

    def sign_in(self, email: str) -> str:
        """Sign in by the code of the mail; return the cookie."""
        before = set(self.outbox.glob("*.eml"))
        assert status(self.call("POST", "/api/auth/login", body=f'{{"email":"{email}"}}')) == 202
        (mail,) = set(self.outbox.glob("*.eml")) - before
        found = re.search(r"\b\d{8}\b", mail.read_text())
        assert found is not None
        body = f'{{"email":"{email}","code":"{found[0]}"}}'
        answer = self.call("POST", "/api/auth/login/verify", body=body)
        assert status(answer) == 200, answer
        cookie = re.search(rf"Set-Cookie: {COOKIE}=([^;]+)".encode(), answer)
        assert cookie is not None
        return cookie[1].decode()

    def counts(self) -> dict[tuple[str, str], int]:
        """Return what the one worker has compared: how often each route and class."""
        pattern = r'^queue_parity_outcomes_total\{route="(\w+)",class="(\w+)"\} (\d+)'
        text = self.get("/metrics").decode()
        return {(a, b): int(n) for a, b, n in re.findall(pattern, text, re.MULTILINE)}


class Away:
    """Stands where the issuer was; `behave` says what each connection meets there."""

    def __init__(self, behave: Callable[[socket.socket, threading.Event], None]) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.reached = threading.Event()
        self.release = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            request = client.recv(65536)
            if b"/api/v1/" in request.split(b"\r\n", 1)[0]:
                self.reached.set()
            self._behave(client, self.release)


def status(answer: bytes) -> int:
    """Return the status of raw bytes."""
    return int(answer.split(b" ", 2)[1])


def customer(database_url: str, customer_id: str, email: str) -> None:
    """Give Raptor a customer whom Queue knows by the same id, as after the backfill."""
    with psycopg.connect(database_url) as db:
        db.execute("INSERT INTO customers (id, email) VALUES (%s, %s)", (customer_id, email))


def samples(database_url: str) -> dict[tuple[str, str], int]:
    """Return what the samples in the database add up to."""
    with psycopg.connect(database_url) as db:
        rows = db.execute(
            "SELECT route, class, sum(weight) FROM queue_parity_samples GROUP BY 1, 2"
        ).fetchall()
    return {(route, outcome): int(count) for route, outcome, count in rows}
