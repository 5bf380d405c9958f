"""Tokens, key servers and a sidecar that is ours: everything on loopback, nothing sleeps."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from queue_verifier import Backend, Require, Session, Verifier, VerifyError
from queue_verifier.problem import problem_of

NOW = 1_800_000_000
ISSUER = "https://auth.example.test"
AUDIENCE = "raptor"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "0196f3a0-5b1e-7c3d-9a44-2f6f0d1c7e10",
    "client_id": "antlers",
    "iat": NOW - 20,
    "exp": NOW + 275,
    "jti": "0196f3a1-77aa-7b01-8c55-90ab12cd34ef",
    "sid": "0196f3a0-61d2-7e88-b0aa-5d6c7b8a9f01",
    "auth_time": NOW - 120,
    "acr": "urn:queue:acr:passkey-uv",
    "amr": ["hwk", "user"],
    "tenant_id": "0196f3a0-0000-7000-8000-00000000a11a",
    "scope": "read:profile write:profile",
    "roles": ["antlers-user"],
    "authz_ver": 7,
}


def code_of(backend: Backend, token: str | bytes, require: Require | None = None) -> str:
    """Return the code that `backend` refuses the token with."""
    with pytest.raises(VerifyError) as caught:
        backend.validate_session(token, require=require)
    return caught.value.code


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """An RSA key that mints tokens and publishes its public half."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.private.public_key().public_numbers()
        n = b64u(numbers.n.to_bytes(256, "big"))
        thumb = json.dumps({"e": "AQAB", "kty": "RSA", "n": n}, separators=(",", ":"))
        self.kid = b64u(hashlib.sha256(thumb.encode()).digest())
        self.jwk = {"kty": "RSA", "n": n, "e": "AQAB", "kid": self.kid, "alg": "RS256"}
        self.jwks: dict[str, Any] = {"keys": [self.jwk]}

    @property
    def pem(self) -> str:
        return (
            self.private.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )

    def mint(self, *drop: str, **changes: Any) -> str:
        claims = {k: v for k, v in {**CLAIMS, **changes}.items() if k not in drop}
        return self.sign(json.dumps(claims).encode())

    def sign(self, payload: bytes, **header: Any) -> str:
        header = {"alg": "RS256", "typ": "at+jwt", "kid": self.kid, **header}
        message = f"{b64u(json.dumps(header).encode())}.{b64u(payload)}"
        signature = self.private.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{message}.{b64u(signature)}"


class LoopbackServer:
    """An HTTP/1.1 server on a free loopback port; ends with its `with` block."""

    def __init__(self) -> None:
        server = self
        self.requests: list[tuple[str, str, bytes]] = []
        self.connections = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length)
                server.requests.append((self.command, self.path, body))
                status, headers, answer = server.respond(self.command, self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = answer  # noqa: N815
            do_POST = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # A client that went away is part of some tests.

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class KeyServer(LoopbackServer):
    """Publishes a JWK Set, and the discovery document that leads there."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        super().__init__()
        self.jwks = jwks
        self.status = 200
        self.paths = {"/jwks.json", "/.well-known/openid-configuration"}
        self.gate = threading.Event()
        self.gate.set()
        """Cleared: requests wait."""
        self.asked = threading.Semaphore(0)
        """Released once for each request that came in."""

    @property
    def jwks_uri(self) -> str:
        return f"{self.url}/jwks.json"

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.asked.release()
        self.gate.wait(30)
        if path not in self.paths:
            return 404, {}, b""
        document: dict[str, Any] = self.jwks
        if path == "/.well-known/openid-configuration":
            document = {"issuer": self.url, "jwks_uri": self.jwks_uri}
        headers = {"Content-Type": "application/json", "Cache-Control": "max-age=300"}
        return self.status, headers, json.dumps(document).encode()


class FakeSidecar(LoopbackServer):
    """Answers as the sidecar does, from a verifier in this process."""

    def __init__(self, verifier: Verifier) -> None:
        super().__init__()
        self.verifier = verifier
        self.override: Callable[[str], tuple[int, dict[str, str], bytes]] | None = None

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.override is not None:
            return self.override(path)
        if path == "/readyz":
            return 200 if self.verifier.ready(0) else 503, {}, b""
        if path == "/v1/status":
            return 200, {}, json.dumps(self.verifier.status()).encode()
        assert len(body) <= 64 * 1024, "more than the sidecar reads"
        question = json.loads(body)
        require = Require(**question["require"]) if "require" in question else None
        try:
            session = self.verifier.validate_session(question["token"], require=require)
        except VerifyError as error:
            problem = problem_of(error, require)
            return problem.status, problem.headers, json.dumps(problem.body).encode()
        return 200, {}, json.dumps(session_json(session)).encode()


def session_json(session: Session) -> dict[str, Any]:
    members = {item.name: getattr(session, item.name) for item in fields(session)}
    members["freshness"] = asdict(session.freshness)
    members["claims"] = dict(session.claims)
    return members
