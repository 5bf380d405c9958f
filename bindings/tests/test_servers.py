"""Real servers: a verifier made before gunicorn forks works in every worker, of every kind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from harness import CLAIMS, KeyServer, SigningKey

SERVICE = """
import os
from typing import Annotated

from fastapi import Depends, FastAPI
from flask import Flask, g
from queue_verifier import Session, Verifier
from queue_verifier.integrations import fastapi, flask

verifier = Verifier(os.environ["ISSUER"], "raptor", jwks_uri=os.environ["JWKS_URI"])
assert verifier.ready(10)
made_in = os.getpid()

wsgi = Flask(__name__)
flask.Queue(wsgi, verifier)


def seen(session):
    return {"subject": session.subject, "worker": os.getpid(), "made_in": made_in}


@wsgi.get("/")
@flask.require_session()
def view():
    return seen(g.session)


asgi = FastAPI()
fastapi.Queue(asgi, verifier)


@asgi.get("/")
async def view_async(session: Annotated[Session, Depends(fastapi.require_session())]):
    return seen(session)
"""
GUNICORN = ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "--preload"]


@contextmanager
def served(
    tmp_path: Path, server: KeyServer, command: list[str], at: str
) -> Iterator[tuple[str, list[str]]]:
    """Start `command`; yield the address that it tells, and what it wrote until then."""
    (tmp_path / "service.py").write_text(SERVICE)
    environment = {
        **os.environ,
        "ISSUER": "https://auth.example.test",
        "JWKS_URI": server.jwks_uri,
        "PYTHONWARNINGS": "default",
    }
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-u", "-m", *command],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        written: list[str] = []
        try:
            for line in process.stderr:
                written.append(line)
                if found := re.search(at + r".*(http://127\.0\.0\.1:\d+)", line):
                    yield found.group(1), written
                    break
            else:
                raise AssertionError("".join(written))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def get(url: str, token: str) -> tuple[int, Any]:
    request = Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def fresh(key: SigningKey, **claims: Any) -> str:
    now = int(time.time())
    return key.mint(iat=now, exp=now + 60, auth_time=now, **claims)


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_gunicorn(
    tmp_path: Path, key: SigningKey, other_key: SigningKey, key_server: KeyServer, kind: str
) -> None:
    command = [*GUNICORN, "--workers", "2", "--worker-class", kind, "service:wsgi"]
    with served(tmp_path, key_server, command, "Listening at:") as (url, _):
        # A rotation after the fork: only a worker's own key thread can see it.
        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        workers: set[int] = set()
        for turn in range(200):
            status, body = get(url, fresh((key, other_key)[turn % 2]))
            assert status == 200, body
            assert body["worker"] != body["made_in"]
            workers.add(body["worker"])
            if len(workers) == 2:
                break
        assert len(workers) == 2
        status, body = get(url, fresh(key, aud="velvet"))
        assert (status, body["code"]) == (401, "claims_aud_mismatch")


def test_gunicorn_serves_asgi(tmp_path: Path, key: SigningKey, key_server: KeyServer) -> None:
    command = [*GUNICORN, "--workers", "1", "--worker-class", "asgi", "service:asgi"]
    with served(tmp_path, key_server, command, "Listening at:") as (url, _):
        status, body = get(url, fresh(key))
        assert (status, body["worker"] != body["made_in"]) == (200, True)


def test_uvicorn(
    tmp_path: Path, key: SigningKey, other_key: SigningKey, key_server: KeyServer
) -> None:
    command = ["uvicorn", "--port", "0", "service:asgi"]
    with served(tmp_path, key_server, command, "Uvicorn running on") as (url, _):
        assert get(url, fresh(key))[0] == 200
        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        assert get(url, fresh(other_key))[0] == 200
        status, body = get(url, "no-token")
        assert (status, body["code"]) == (401, "token_malformed")


GEVENT = """
from gevent import monkey

monkey.patch_all()

import json
import os
import sys
import gevent
from queue_verifier import InvalidToken, Verifier

good, unknown = sys.argv[1:]
with Verifier("https://auth.example.test", "raptor", jwks_uri=os.environ["JWKS_URI"]) as verifier:
    assert verifier.ready(10)
    print("ready", flush=True)
    sys.stdin.readline()
    waiting = [gevent.spawn(verifier.validate_session, unknown) for _ in range(20)]
    gevent.sleep(0)
    # The key server answers only once this was read.
    assert not any(greenlet.ready() for greenlet in waiting)
    print(verifier.validate_session(good).subject, flush=True)
    subjects = {greenlet.get(timeout=20).subject for greenlet in waiting}
    print(*subjects, flush=True)
    try:
        verifier.validate_session(good[:-4])
    except InvalidToken as error:
        print(error.code, flush=True)
"""


def test_a_gevent_hub_runs_on_while_a_key_is_fetched(
    key: SigningKey, other_key: SigningKey, key_server: KeyServer
) -> None:
    command = [sys.executable, "-c", GEVENT, fresh(key), fresh(other_key, sub="other")]
    with subprocess.Popen(  # noqa: S603
        command,
        env={**os.environ, "JWKS_URI": key_server.jwks_uri},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        key_server.gate.clear()
        process.stdin.write("\n")
        process.stdin.flush()
        # Said while the fetch hangs: greenlets run.
        assert process.stdout.readline().strip() == CLAIMS["sub"]
        key_server.gate.set()
        assert process.stdout.readline() == "other\n"
        assert process.stdout.readline() == "token_malformed\n"
    assert process.returncode == 0
    assert len(key_server.requests) == 2
