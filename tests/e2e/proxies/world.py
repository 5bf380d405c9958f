"""One issuer, its sidecars, the service, and one token of each kind: shared by all proxies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from running import Issuer, call, free_port, sidecar

from .door import Door
from .raw import exchange, head
from .service import Service


class World:
    """Everything but the proxy."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = self._key.public_key()
        self.public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
        # Whoever needs the issuer comes through this door, also by the URL in its tokens.
        self.to_issuer = Door()
        stack.callback(self.to_issuer.close)
        self.issuer = Issuer(
            folder,
            QUEUE_ISSUER_URL=self.to_issuer.url,
            QUEUE_JWT_SIGNING_KEY=pem.decode(),
            QUEUE_ISSUER_STATUS_LIST_TTL="1s",
        )
        stack.callback(self.issuer.program.stop)
        self.to_issuer.lead_to(self.issuer.url)
        self.to_sidecar = Door()
        stack.callback(self.to_sidecar.close)
        # Behind the door the sidecar has another port, so it has to know its name there.
        hosts = self.to_sidecar.url.removeprefix("http://")
        keys = f"{self.to_issuer.url}/.well-known/jwks.json"
        program, self.ready_url = sidecar(
            folder, self.issuer, QUEUE_SIDECAR_JWKS=keys, QUEUE_SIDECAR_HOSTS=hosts
        )
        stack.callback(program.stop)
        # Nobody publishes its keys.
        nowhere = f"http://127.0.0.1:{free_port()}/jwks.json"
        program, self.unready_url = sidecar(
            folder, self.issuer, QUEUE_SIDECAR_JWKS=nowhere, QUEUE_SIDECAR_HOSTS=hosts
        )
        stack.callback(program.stop)
        self.to_sidecar.lead_to(self.ready_url)
        self.service = Service()
        stack.callback(self.service.shutdown)
        self.customer_id = self.issuer.customer("customer@example.com")
        port = int(self.ready_url.rpartition(":")[2])
        eventually(lambda: exchange(port, READY).status == 200)
        self.tokens = self._tokens()

    def _tokens(self) -> dict[str, str]:
        good = self.issuer.mint(self.customer_id)
        revoked = self.issuer.mint(self.customer_id)
        sid = claims(revoked)["sid"]
        url = f"{self.issuer.url}/api/v1/service/sessions/{sid}/revoke"
        assert call("POST", url, token=self.issuer.service_token).status in (200, 204)

        def is_refused() -> bool:
            answer = call("POST", f"{self.ready_url}/v1/validate", token=revoked)
            return answer.code == "status_revoked"

        eventually(is_refused)
        now = int(time.time())
        unsigned = jwt.encode(claims(good), "", algorithm="none", headers={"typ": "at+jwt"})
        return {
            "good": good,
            "admin": self._forge(good, roles=["antlers-user", "admin"]),
            "expired": self._forge(good, iat=now - 900, exp=now - 600),
            "audience": self._forge(good, aud=["velvet"]),
            "issuer": self._forge(good, iss="http://127.0.0.1:1"),
            "kind": self._forge(good, typ="JWT"),
            "stranger": self._forge(good, key=rsa.generate_private_key(65537, 2048)),
            "revoked": revoked,
            "unsigned": unsigned,
            "garbage": "eyJhbGciOiJSUzI1NiJ9.e30.",
        }

    def _forge(self, token: str, *, typ: str = "at+jwt", key: Any = None, **changes: Any) -> str:
        """Return `token` with other claims, signed by the issuer's key, or by `key`."""
        kid = jwt.get_unverified_header(token)["kid"]
        headers = {"kid": kid, "typ": typ}
        payload = {**claims(token), **changes}
        return jwt.encode(payload, key or self._key, algorithm="RS256", headers=headers)


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token nobody doubts."""
    part = token.split(".")[1]
    return dict(json.loads(jwt.utils.base64url_decode(part.encode())))


def eventually(is_true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never came to be"


READY = head("GET", "/readyz", [], host="127.0.0.1")
