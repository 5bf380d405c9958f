"""Raptor on its road to Queue: proxy, dual mode, parity report, and the way back."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest

from postgres import Postgres
from raptor_service import PARITY_KEY, Away, Raptor, customer, samples, status
from running import Issuer, call


class World:
    """One Postgres with the tables of both, an issuer, and Raptors as a test needs them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        postgres = Postgres()
        stack.callback(postgres.close)
        self.database_url = postgres.url
        self.issuer = Issuer(
            folder,
            database_url=postgres.url,
            QUEUE_ISSUER_STATUS_LIST_TTL="1s",
            QUEUE_ISSUER_KEK=base64.b64encode(secrets.token_bytes(32)).decode(),
        )
        stack.callback(self.issuer.program.stop)
        self.plain = Raptor(folder, postgres.url)
        stack.callback(self.plain.program.stop)
        self.emails = 0

    def customer(self) -> tuple[str, str]:
        """Return id and address of a new customer of both."""
        self.emails += 1
        email = f"customer{self.emails}@example.com"
        customer_id = self.issuer.customer(email)
        customer(self.database_url, customer_id, email)
        return customer_id, email

    def dual(self, base_url: str | None = None, workers: int = 1, **env: str) -> Raptor:
        """Start a Raptor in dual mode, with Queue where `base_url` says."""
        settings = {
            "QUEUE_BASE_URL": base_url or self.issuer.url,
            "QUEUE_ISSUER": self.issuer.name,
            "QUEUE_SERVICE_TOKEN_RAPTOR": self.issuer.service_token,
            "QUEUE_PARITY_KEY": PARITY_KEY,
            **env,
        }
        raptor = Raptor(self.folder, self.database_url, workers, **settings)
        self.stack.callback(raptor.program.stop)
        return raptor


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("raptor"), stack)


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def forget_samples(world: World) -> None:
    with psycopg.connect(world.database_url) as db:
        db.execute("DELETE FROM queue_parity_samples")


def same_answers(world: World, raptor: Raptor, email: str) -> None:
    """Everything legacy answers is what a Raptor without Queue answers, byte for byte."""
    cookie = world.plain.sign_in(email)
    for path in ("/api/auth/validate", "/api/auth/me", "/api/auth/sessions", "/orders"):
        for known in (cookie, "unknown", ""):
            assert raptor.get(path, known) == world.plain.get(path, known)
    # What changes something is done once by each, to sessions alike.
    ends = [world.plain.sign_in(email) for _ in range(2)]
    logout = [
        one.call("POST", "/api/auth/logout", end)
        for one, end in zip((raptor, world.plain), ends, strict=True)
    ]
    assert logout[0] == logout[1]
    assert status(logout[0]) == 204
    for end in ends:
        answer = raptor.get("/api/auth/validate", end)
        assert answer == world.plain.get("/api/auth/validate", end)
        assert status(answer) == 401


def test_parity_of_a_healthy_queue(world: World) -> None:
    forget_samples(world)
    raptor = world.dual()
    customer_id, email = world.customer()
    same_answers(world, raptor, email)
    cookie = raptor.sign_in(email)
    for _ in range(3):
        assert status(raptor.get("/orders", cookie)) == 200
    eventually(lambda: raptor.counts().get(("validate", "agree_valid"), 0) >= 7)
    assert status(raptor.call("POST", "/api/auth/logout", cookie)) == 204
    assert status(raptor.get("/orders", cookie)) == 401
    eventually(lambda: sum(raptor.counts().values()) == 13)
    counts = raptor.counts()
    assert counts["issue", "agree_valid"] == 1
    assert counts["logout", "agree_invalid"] == 2
    wrong = {"legacy_only_valid", "queue_only_valid", "different_subject", "different_session_end"}
    assert not wrong & {outcome for _, outcome in counts}, counts
    assert not {"queue_unavailable", "queue_failed", "shed"} & {one for _, one in counts}, counts
    assert raptor.program.stop() == 0
    # What was counted in memory was written before the worker ended.
    assert samples(world.database_url) == counts
    said = "".join(raptor.program.lines)
    assert email not in said
    assert customer_id not in said
    assert cookie not in said


def test_a_customer_suspended_in_queue_alone_is_found(world: World) -> None:
    forget_samples(world)
    raptor = world.dual()
    customer_id, email = world.customer()
    cookie = raptor.sign_in(email)
    eventually(lambda: raptor.counts().get(("issue", "agree_valid")) == 1)
    answer = call(
        "PATCH",
        f"{world.issuer.url}/api/v1/customers/{customer_id}",
        token=world.issuer.service_token,
        body={"state": "suspended"},
    )
    assert answer.status == 200, answer

    def found() -> bool:
        assert status(raptor.get("/orders", cookie)) == 200
        return ("validate", "legacy_only_valid") in raptor.counts()

    eventually(found)
    raptor.program.stop()
    said = "".join(raptor.program.lines)
    assert (
        "parity_disagreement route=validate class=legacy_only_valid reason=status_revoked" in said
    )
    assert customer_id not in said
    with psycopg.connect(world.database_url) as db:
        rows = db.execute(
            "SELECT DISTINCT reason, octet_length(subject_hash), octet_length(session_hash)"
            " FROM queue_parity_samples WHERE class = 'legacy_only_valid' AND weight = 1"
        ).fetchall()
    assert rows == [("status_revoked", 16, 16)]


def hangs(_client: socket.socket, release: threading.Event) -> None:
    release.wait()


def lies(client: socket.socket, _release: threading.Event) -> None:
    client.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 19\r\n\r\n{"access_token":"x"')


def fails(client: socket.socket, _release: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}")


def closes(_client: socket.socket, _release: threading.Event) -> None:
    """Let go at once."""


@pytest.mark.parametrize("behave", [hangs, lies, fails, closes])
def test_legacy_answers_whatever_queue_does(
    world: World, behave: Callable[[socket.socket, threading.Event], None]
) -> None:
    _, email = world.customer()
    away = Away(behave)
    # Longer than a client of the test waits: an answer that waited for Queue would not come at all.
    raptor = world.dual(away.url, QUEUE_PARITY_TIMEOUT="120")
    try:
        same_answers(world, raptor, email)
        assert away.reached.wait(30)
        if behave is hangs:
            # Every answer came while Queue held the first question.
            assert not away.release.is_set()
            assert not {one for _, one in raptor.counts()} - {"not_compared"}
        away.release.set()
        eventually(lambda: ("validate", "queue_unavailable") in raptor.counts())
        assert {outcome for _, outcome in raptor.counts()} <= {"queue_unavailable", "not_compared"}
    finally:
        away.close()
        raptor.program.stop()


def test_legacy_answers_while_nobody_listens(world: World) -> None:
    _, email = world.customer()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    raptor = world.dual(url)
    same_answers(world, raptor, email)
    eventually(lambda: ("validate", "queue_unavailable") in raptor.counts())
    raptor.program.stop()


def test_workers_share_one_shadow_of_a_session(world: World) -> None:
    forget_samples(world)
    # The application is made once and forked: nothing that it holds may be a thread of the parent.
    raptor = world.dual(workers=2, GUNICORN_CMD_ARGS="--preload")
    customer_id, email = world.customer()
    cookie = world.plain.sign_in(email)
    for _ in range(40):
        assert status(raptor.get("/orders", cookie)) == 200
    assert raptor.program.stop() == 0
    assert samples(world.database_url) == {("validate", "agree_valid"): 40}
    with psycopg.connect(world.database_url) as db:
        row = db.execute(
            "SELECT count(*) FROM queue_sessions WHERE customer_id = %s", (customer_id,)
        ).fetchone()
    assert row == (1,)


def test_queue_behind_raptor(world: World) -> None:
    raptor = world.dual(FLAG_QUEUE_V1="on")
    customer_id, email = world.customer()
    token = world.issuer.mint(customer_id)
    for path, bearer in (("/auth/me", token), ("/auth/me", None), ("/nothing", None)):
        through = call("GET", f"{raptor.url}/api/v1{path}", token=bearer)
        direct = call("GET", f"{world.issuer.url}/api/v1{path}", token=bearer)
        assert through.status == direct.status
        for answer in (through, direct):
            answer.body.pop("instance", None)
        assert through.body == direct.body
        kind = through.headers["content-type"]
        assert kind == direct.headers["content-type"]
        assert through.headers.get("www-authenticate") == direct.headers.get("www-authenticate")
    # Raptor's own token opens nothing for who comes through it.
    assert call("GET", f"{raptor.url}/api/v1/customers/{customer_id}").code == "bearer_missing"
    # A session of either kind is good while both flags are on.
    assert call("GET", f"{raptor.url}/orders", token=token).body["customer_id"] == customer_id
    assert status(raptor.get("/orders", world.plain.sign_in(email))) == 200
    raptor.program.stop()


def streams(client: socket.socket, release: threading.Event) -> None:
    client.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
    )
    release.wait()
    # Then it breaks off in the middle of an event.
    client.sendall(b"9\r\ndata")


def test_events_come_through_gunicorn_as_they_are_and_end_cut(world: World) -> None:
    away = Away(streams)
    raptor = world.dual(away.url, FLAG_QUEUE_V1="on")
    try:
        with socket.create_connection(raptor.address, timeout=30) as client:
            client.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: raptor.test\r\n\r\n")
            answer = b""
            while b"data: 1\n\n" not in answer:
                part = client.recv(65536)
                assert part, answer
                answer += part
            away.release.set()
            while part := client.recv(65536):
                answer += part
        # Not the chunk of length zero that says it was all.
        assert not answer.endswith(b"0\r\n\r\n")
    finally:
        away.close()
        raptor.program.stop()


def test_each_step_has_its_way_back(world: World) -> None:
    customer_id, email = world.customer()
    cookie, token = world.plain.sign_in(email), world.issuer.mint(customer_id)

    def doors(**flags: str) -> tuple[int, int, int, int]:
        raptor = world.dual(None, 1, **flags)
        seen = (
            call("GET", f"{raptor.url}/api/v1/auth/me", token=token).status,
            call("GET", f"{raptor.url}/orders", token=token).status,
            status(raptor.get("/orders", cookie)),
            status(raptor.get("/api/auth/me", cookie)),
        )
        raptor.program.stop()
        return seen

    assert doors() == (404, 401, 200, 200)
    assert doors(FLAG_QUEUE_V1="on") == (200, 200, 200, 200)
    assert doors(FLAG_QUEUE_V1="on", FLAG_RAPTOR_AUTH_LEGACY="off") == (200, 200, 401, 404)
    assert doors(FLAG_QUEUE_V1="off", FLAG_RAPTOR_AUTH_LEGACY="on") == (404, 401, 200, 200)


def report(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    until = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
    command = [sys.executable, "-m", "queue_verifier.parity", "report", "--until", until]
    env = {**os.environ, "DATABASE_URL_QUEUE": world.database_url}
    return subprocess.run(
        [*command, *arguments], env=env, capture_output=True, text=True, check=False
    )


def test_report_judges_what_raptor_wrote(world: World, tmp_path: Path) -> None:
    forget_samples(world)
    assert report(world).returncode == 1
    with psycopg.connect(world.database_url) as db:
        db.execute(
            "INSERT INTO queue_parity_samples (id, tenant_id, observed_at, route, class, weight)"
            " SELECT gen_random_uuid(), '00000000-0000-7000-8000-000000000001',"
            "        now() - make_interval(hours => n), 'validate', 'agree_valid', 1000"
            " FROM generate_series(0, 48) n"
        )
    page = tmp_path / "parity.html"
    clean = report(world, "--html", str(page), "--format", "json", "--route", "validate")
    assert clean.returncode == 0, clean
    assert json.loads(clean.stdout)["routes"][0]["compared"] == 48_000
    assert "<h1>Clean</h1>" in page.read_text()
    with psycopg.connect(world.database_url) as db:
        db.execute(
            "INSERT INTO queue_parity_samples (id, tenant_id, observed_at, route, class, weight)"
            " VALUES (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', now(),"
            "         'validate', 'queue_only_valid', 1)"
        )
    wrong = report(world)
    assert wrong.returncode == 1
    assert re.search(r"1 of 48001 comparisons disagree", wrong.stdout)
    away = report(world, "--database-url", "postgres:///nobody?host=/nowhere&password=hunter2")
    assert away.returncode == 69
    assert "hunter2" not in away.stderr
    forget_samples(world)


def test_mapping_shows_legacy_rows_to_the_backfill(world: World) -> None:
    customer_id, email = world.customer()
    world.plain.sign_in(email)
    sql = (Path(__file__).parents[2] / "examples" / "raptor" / "mapping.sql").read_text()
    with psycopg.connect(world.database_url) as db:
        for _ in range(2):
            db.execute(sql)
        row = db.execute(
            "SELECT customer_id::text, email, state FROM queue_legacy_customers WHERE email = %s",
            (email,),
        ).fetchone()
        assert row == (customer_id, email, "active")
        done = db.execute(
            "UPDATE queue_legacy_sessions SET migrated_to_queue = now()"
            " WHERE customer_id = %s AND migrated_to_queue IS NULL",
            (customer_id,),
        )
        assert done.rowcount == 1
        db.execute("SELECT * FROM queue_legacy_credentials")
