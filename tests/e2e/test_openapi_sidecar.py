"""The document of the sidecar, and what it really answers to requests made from it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric import rsa
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import unsupported_method

from running import BINARIES, ROOT, Program

DOCUMENT = ROOT / "docs" / "reference" / "openapi-sidecar.json"
ISSUER, AUDIENCE, KID = "https://auth.example.com", "raptor", "key-1"
SECRET = "secret-of-the-caller"
CONFIG = {
    "seed": 9457,
    "generation": {
        "deterministic": True,
        "max-examples": 20,
        "database": "none",
        "with-security-parameters": False,
    },
    "phases": {"stateful": {"enabled": False}},
    "checks": {
        # Whose token is sent is chosen here, not there.
        "ignored_auth": {"enabled": False},
        "positive_data_acceptance": {"enabled": False},
        "missing_required_header": {"enabled": False},
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]},
        # A field of a form that nobody knows is ignored (RFC 6749), and so is one of Kubernetes.
        "negative_data_rejection": {"enabled": False},
    },
}
attacked = schemathesis.openapi.from_path(DOCUMENT, config=SchemathesisConfig.from_dict(CONFIG))


class World:
    """A sidecar under attack, a token it takes, and what came of it."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.http = requests.Session()
        self.http.trust_env = False
        self.answers: Counter[tuple[str, int]] = Counter()

    def attack(self, case: Any) -> None:
        """Send the case as it is, then with a good token wherever one may be."""
        self._send(case, {})
        self._send(case, {"Authorization": f"Bearer {self.token}"})
        body = case.body
        if isinstance(body, dict):
            body = dict(body)
            if "token" in body:
                body["token"] = self.token
            if isinstance(body.get("spec"), dict):
                body["spec"] = {**body["spec"], "token": self.token, "audiences": [AUDIENCE]}
            if isinstance(body.get("tokens"), list):
                body["tokens"] = [*body["tokens"][:255], self.token]
            case.body = body
            self._send(case, {})
            self._send(case, {"Authorization": f"Bearer {SECRET}"})

    def _send(self, case: Any, headers: dict[str, str]) -> None:
        # Two routes answer every method there is; OpenAPI has names for a few.
        is_any = case.operation.path in ("/v1/auth", "/envoy/{rest}")
        answer = case.call_and_validate(
            base_url=self.url,
            session=self.http,
            headers=headers,
            timeout=30,
            excluded_checks=[unsupported_method] if is_any else [],
        )
        name = case.operation.definition.raw["operationId"]
        self.answers[name, answer.status_code] += 1
        if answer.status_code >= 500 and case.method != "HEAD":
            # `fresh` asks for a status list, and this sidecar has none.
            assert answer.json()["code"] == "status_unavailable", name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("openapi-sidecar")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public = {name: value for name, value in public.items() if name != "key_ops"}
    jwks = {"keys": [{**public, "kid": KID, "alg": "RS256", "use": "sig"}]}
    (folder / "jwks.json").write_text(json.dumps(jwks))
    (folder / "callers").write_text(f"raptor:{SECRET}\n")
    program = Program(
        [str(BINARIES / "queue-sidecar")],
        env={
            "QUEUE_SIDECAR_LISTEN": "127.0.0.1:0",
            "QUEUE_SIDECAR_ISSUER": ISSUER,
            "QUEUE_SIDECAR_AUDIENCE": AUDIENCE,
            "QUEUE_SIDECAR_JWKS": str(folder / "jwks.json"),
            "QUEUE_SIDECAR_INTROSPECT_CALLERS": str(folder / "callers"),
        },
        cwd=folder,
    )
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "somebody",
        "client_id": "antlers",
        "iat": now,
        "exp": now + 3600,
        "jti": "a-token",
        "sid": "a-session",
        "auth_time": now,
        "scope": "openid",
        "roles": ["billing"],
    }
    token = jwt.encode(claims, key, "RS256", headers={"typ": "at+jwt", "kid": KID})
    try:
        port = program.wait_for(r"127\.0\.0\.1:(\d+)").group(1)
        yield World(f"http://127.0.0.1:{port}", token)
    finally:
        program.stop()


@attacked.parametrize()
def test_sidecar_answers_as_documented(case: Any, world: World) -> None:
    world.attack(case)


def test_every_route_was_reached(world: World) -> None:
    reached = {name for name, status in world.answers if status == 200}
    missed = {name for name, _ in world.answers} - reached
    assert missed == set()
