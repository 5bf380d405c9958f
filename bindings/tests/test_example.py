"""The example service as a newcomer starts it: its own process, settings from the environment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from harness import AUDIENCE, KeyServer, SigningKey
from queue_verifier import Verifier
from queue_verifier.testing import Forge

FOLDER = Path(__file__).parents[2] / "examples" / "flask_app"


def start(environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "app", "--port", "0"]
    return subprocess.Popen(  # noqa: S603
        command, cwd=FOLDER, env=environment, stderr=subprocess.PIPE, text=True
    )


def get(url: str, token: str | None) -> tuple[int, Any]:
    request = Request(url)  # noqa: S310
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_service(key: SigningKey, key_server: KeyServer) -> None:
    key_server.paths = {"/.well-known/jwks.json"}
    now = int(time.time())
    fresh = {"iss": key_server.url, "iat": now, "exp": now + 60}
    with start({"QUEUE_BASE_URL": key_server.url, "QUEUE_AUDIENCE": AUDIENCE}) as service:
        try:
            assert service.stderr is not None
            running = next(line for line in service.stderr if "Running on" in line)
            url = re.search(r"http://127\.0\.0\.1:\d+", running)
            assert url is not None
            base = url.group()
            status, body = get(f"{base}/me", key.mint(**fresh))
            assert (status, body["session_id"]) == (200, body["session_id"])
            assert get(f"{base}/readyz", None) == (200, {"ready": True})
            assert get(f"{base}/livez", None)[0] == 200
            assert get(f"{base}/admin", key.mint(**fresh, roles=["admin"]))[0] == 200
            for path, token, wanted in [
                ("/me", None, (401, "bearer_missing")),
                ("/me", key.mint(**fresh, aud="velvet"), (401, "claims_aud_mismatch")),
                ("/me", key.mint(**{**fresh, "exp": now - 60}), (401, "claims_expired")),
                ("/admin", key.mint(**fresh), (403, "claims_role_missing")),
            ]:
                status, body = get(base + path, token)
                assert (status, body["code"]) == wanted
        finally:
            service.terminate()


def test_wrong_setting() -> None:
    with start({"QUEUE_BASE_URL": "http://auth.example.test"}) as service:
        assert service.stderr is not None
        assert service.stderr.read().startswith("config_jwks_uri_unusable: ")
    assert service.returncode == 64


def test_readme_snippets(key: SigningKey, queue_forge: Forge, queue_verifier: Verifier) -> None:
    """Every Python snippet of the README runs, one after the other, in one namespace."""
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    now = int(time.time())
    issuer = "https://auth.example.com"
    names: dict[str, Any] = {
        "__name__": "snippets",
        "jwks": key.jwks,
        "token": key.mint(iss=issuer, iat=now, exp=now + 60, auth_time=now, scope="invoices:read"),
    }
    snippets = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102
    names["test_invoices"](queue_forge, queue_verifier)
    for value in names.values():
        if isinstance(value, Verifier):
            value.close()
