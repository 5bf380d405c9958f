"""The issuer and its Postgres, killed in the middle of writes: what was answered is there."""

from __future__ import annotations

import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from postgres import Postgres
from running import BINARIES, Answer, Issuer, call, free_port

WRITES = 1_000
THREADS = 8
# Rows that lack what the same transaction should have written.
EVENT = "(SELECT 1 FROM customer_audit_events WHERE target_id = x.id::TEXT AND action ="
HALF_MADE = (
    "queue_customers x WHERE id NOT IN (SELECT customer_id FROM queue_customer_emails)",
    "queue_customers x WHERE id NOT IN (SELECT customer_id FROM queue_customer_roles)",
    f"queue_customers x WHERE NOT EXISTS {EVENT} 'customer.created')",
    "queue_sessions x WHERE id NOT IN (SELECT session_id FROM queue_session_statuses)",
    f"queue_sessions x WHERE NOT EXISTS {EVENT} 'session.minted')",
    f"queue_sessions x WHERE (revoked_at IS NULL) = EXISTS {EVENT} 'session.revoked')",
    "queue_sessions x JOIN queue_customers c ON c.id = customer_id AND c.state <> 'active'"
    " WHERE revoked_at IS NULL",
)


class Load:
    """Mixed writes, each tried until it is answered; what was answered is written down."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.customers: list[str] = []
        self.sessions: list[str] = []
        self.revoked: list[str] = []
        self.suspended: list[str] = []
        self.done = 0
        self._lock = threading.Lock()
        self._reached = threading.Condition(self._lock)

    def run(self, number: int) -> None:
        """Make a customer and sessions, end one of them, perhaps the customer too."""
        body = {"email": f"customer{number}@example.com"}
        customer = str(self._until_done("POST", "/customers", f"c{number}", body)["id"])
        self._note(self.customers, customer)
        minted = []
        for turn in range(2):
            asked = {"customer_id": customer}
            answer = self._until_done("POST", "/service/sessions", f"s{number}-{turn}", asked)
            minted.append(str(answer["session"]["session_id"]))
            self._note(self.sessions, minted[-1])
        self._until_done("POST", f"/service/sessions/{minted[0]}/revoke", None, None)
        self._note(self.revoked, minted[0])
        if number % 2:
            self._until_done("PATCH", f"/customers/{customer}", None, {"state": "suspended"})
            self._note(self.suspended, customer)

    def wait_for(self, writes: int) -> None:
        """Wait until so many writes were answered."""
        with self._reached:
            assert self._reached.wait_for(lambda: self.done >= writes, timeout=120), self.done

    def _note(self, known: list[str], what: str) -> None:
        with self._reached:
            known.append(what)
            self.done += 1
            self._reached.notify_all()

    def _until_done(self, method: str, path: str, key: str | None, body: object) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                answer: Answer = call(
                    method, f"{self.url}/api/v1{path}", token=self.token, body=body, **headers
                )
            except (urllib.error.URLError, OSError, ValueError):
                # Killed before it answered, or in the middle of it.
                time.sleep(0.01)
                continue
            if answer.status in (200, 201):
                return answer.body
            assert answer.status == 503, answer


@pytest.fixture
def database() -> Iterator[Postgres]:
    postgres = Postgres()
    yield postgres
    postgres.close()


def play(folder: Path, database: Postgres, kill: Callable[[Issuer], Issuer]) -> None:
    """Write, kill twice on the way, and hold what was answered against what is there."""
    issuer = begin(folder, database, f"127.0.0.1:{free_port()}")
    load = Load(issuer.url, issuer.service_token)
    rounds = WRITES * 2 // 9 + 1
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(load.run, number) for number in range(rounds)]
        for writes in (WRITES // 3, WRITES * 2 // 3):
            load.wait_for(writes)
            issuer = kill(issuer)
        for one in running:
            one.result()
    assert load.done >= WRITES
    look(database, load)
    verify = [str(BINARIES / "queue-issuer"), "audit", "verify"]
    done = subprocess.run(
        verify, env=issuer.environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert issuer.program.stop() == 0


def begin(folder: Path, database: Postgres, address: str, **env: str) -> Issuer:
    return Issuer(
        folder,
        database_url=database.url,
        QUEUE_ISSUER_KEK="jsgKfbssMzHccbZ/8L1Rqg7gpY4OS8W7XxradgbR5Z4=",
        QUEUE_ISSUER_LISTEN=address,
        QUEUE_ISSUER_URL=f"http://{address}",
        **env,
    )


def look(database: Postgres, load: Load) -> None:
    """Nothing that was answered is lost, nothing is half-made."""
    revoked = " AND revoked_at IS NOT NULL AND revoked_version IS NOT NULL"
    session = "queue_sessions JOIN queue_session_statuses ON session_id = queue_sessions.id"
    for ids, table, more in (
        (load.customers, "queue_customers", ""),
        (load.sessions, session, ""),
        (load.revoked, session, revoked),
        (load.suspended, "queue_customers", " AND state = 'suspended'"),
    ):
        listed = ", ".join(f"'{one}'" for one in ids)
        column = "id" if table == "queue_customers" else "queue_sessions.id"
        found = database.number(f"SELECT COUNT(*) FROM {table} WHERE {column} IN ({listed}){more}")
        assert found == len(set(ids)) == len(ids)
    for half in HALF_MADE:
        assert database.number(f"SELECT COUNT(*) FROM {half}") == 0, half
    # A write that was tried again was done once.
    assert database.number("SELECT COUNT(*) FROM queue_customers") == len(load.customers)
    assert database.number("SELECT COUNT(*) FROM queue_sessions") == len(load.sessions)


def test_a_killed_issuer_loses_nothing_it_answered(tmp_path: Path, database: Postgres) -> None:
    def kill(issuer: Issuer) -> Issuer:
        issuer.program.kill()
        address = issuer.url.removeprefix("http://")
        again = {
            "QUEUE_SERVICE_TOKEN_RAPTOR": issuer.service_token,
        }
        return begin(tmp_path, database, address, **again)

    play(tmp_path, database, kill)


def test_a_killed_postgres_loses_nothing_the_issuer_answered(
    tmp_path: Path, database: Postgres
) -> None:
    def kill(issuer: Issuer) -> Issuer:
        database.kill()
        database.start()
        return issuer

    play(tmp_path, database, kill)
