"""Three issuers on one Postgres: what one of them does, all of them know."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import re
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from postgres import Postgres
from running import Issuer, call, free_port

REPLICAS = 3
EMAIL = "customer@example.com"
# How soon a change at one replica shows at the others.
SECONDS = 1.0


@dataclass(frozen=True)
class Reply:
    """An answer to a browser, with each cookie it sets."""

    body: Any
    cookies: dict[str, str]


class World:
    """The replicas, and a browser of their page."""

    def __init__(self, folder: Path, database: Postgres, stack: ExitStack) -> None:
        self.database = database
        self.outbox = folder / "queue-data" / "outbox"
        name = f"http://127.0.0.1:{free_port()}"
        self.replicas = []
        for _ in range(REPLICAS):
            replica = Issuer(
                folder,
                database_url=database.url,
                QUEUE_ISSUER_KEK="jsgKfbssMzHccbZ/8L1Rqg7gpY4OS8W7XxradgbR5Z4=",
                QUEUE_ISSUER_URL=name,
                QUEUE_ISSUER_LISTEN="127.0.0.1:0",
            )
            stack.callback(replica.program.stop)
            self.replicas.append(replica)
        self.name = name
        self.customer = self.replicas[0].customer(EMAIL)

    def post(self, replica: Issuer, path: str, body: Any, cookie: str = "") -> Reply:
        """Send what a page of ours sends."""
        request = urllib.request.Request(
            f"{replica.url}/api/v1/auth{path}",
            data=None if body is None else json.dumps(body).encode(),
            method="POST",
            headers={"Origin": self.name, "X-Queue-CSRF": "1", "Cookie": cookie},
        )
        if body is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as response:
            set_cookies = response.headers.get_all("Set-Cookie") or []
            pairs = (one.partition(";")[0].partition("=") for one in set_cookies)
            cookies = {name: value for name, _, value in pairs}
            return Reply(json.loads(response.read()), cookies)

    def sign_in(self) -> tuple[str, str]:
        """Sign in by a code from the mail, asked for at one replica and shown at another."""
        path = "/email/verification"
        asked = self.post(self.replicas[0], path, {"purpose": "recover", "email": EMAIL})
        transaction = f"__Host-queue_lt={asked.cookies['__Host-queue_lt']}"
        shown = f"{path}/{asked.body['verification_id']}/confirm"
        opened = self.post(self.replicas[1], shown, {"code": self.code()}, transaction)
        sid = str(look_into(opened.body["access_token"])["sid"])
        return sid, opened.cookies["__Host-queue_rt"]

    def code(self) -> str:
        def find() -> str | None:
            for path in self.outbox.glob("*.eml"):
                mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                body = mail.get_body(("plain",))
                assert body is not None
                if found := re.search(r"^\s*(\d{8})\s*$", body.get_content(), re.MULTILINE):
                    return found[1]
            return None

        until(lambda: find() is not None, 30)
        found = find()
        assert found is not None
        return found


def look_into(token: str) -> dict[str, Any]:
    """Return the claims of a token, unverified: to look at what was written."""
    return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))


def until(is_true: Callable[[], bool], seconds: float) -> float:
    """Wait until something is so; return how long it took."""
    begin = time.monotonic()
    while not is_true():
        assert time.monotonic() - begin < seconds
    return time.monotonic() - begin


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        database = Postgres()
        stack.callback(database.close)
        yield World(tmp_path_factory.mktemp("replicas"), database, stack)


def test_one_generation_refreshed_at_every_replica_at_once_rotates_once(world: World) -> None:
    sid, token = world.sign_in()
    generation = f"SELECT generation FROM queue_session_refreshes WHERE session_id = '{sid}'"
    events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.refreshed'"
    assert world.database.number(generation) == 1
    for turn in range(1, 11):
        together = threading.Barrier(REPLICAS)

        def refresh(replica: Issuer, token: str, together: threading.Barrier) -> Reply:
            together.wait()
            return world.post(replica, "/token/refresh", None, f"__Host-queue_rt={token}")

        with ThreadPoolExecutor(REPLICAS) as pool:
            asked = [pool.submit(refresh, replica, token, together) for replica in world.replicas]
            replies = [one.result() for one in asked]
        successors = {reply.cookies["__Host-queue_rt"] for reply in replies}
        assert len(successors) == 1
        assert successors != {token}
        (token,) = successors
        assert {look_into(reply.body["access_token"])["sid"] for reply in replies} == {sid}
        assert world.database.number(generation) == turn + 1
        assert world.database.number(events) == turn


def has_key(replica: Issuer, kid: str) -> bool:
    return kid in {key["kid"] for key in call("GET", replica.jwks_uri).body["keys"]}


def test_a_key_published_or_revoked_at_one_replica_is_so_at_the_others(world: World) -> None:
    first, second, third = world.replicas
    made = first.operate("POST", "/keys", {})
    assert made.status == 201, made
    kid = str(made.body["kid"])
    took = [until(partial(has_key, other, kid), SECONDS) for other in (second, third)]
    revoked = second.operate("POST", f"/keys/{kid}/revoke")
    assert revoked.status == 200, revoked
    for other in (first, third):
        took.append(until(partial(lacks_key, other, kid), SECONDS))
    print([round(seconds, 3) for seconds in took])


def lacks_key(replica: Issuer, kid: str) -> bool:
    return not has_key(replica, kid)


def is_revoked(replica: Issuer, path: str, idx: int) -> bool:
    """Look for the bit of a session in what the replica publishes."""
    with urllib.request.urlopen(replica.url + path, timeout=30) as response:
        packed = look_into(response.read().decode())["status_list"]["lst"]
    bits = zlib.decompress(base64.urlsafe_b64decode(packed + "=="))
    return bool(bits[idx // 8] >> (idx % 8) & 1)


def test_a_session_revoked_at_one_replica_is_revoked_in_every_list(world: World) -> None:
    for revoking in world.replicas:
        claims = look_into(world.replicas[0].mint(world.customer))
        place = claims["status"]["status_list"]
        path, idx = place["uri"].removeprefix(world.name), int(place["idx"])
        assert not any(is_revoked(replica, path, idx) for replica in world.replicas)
        answer = call(
            "POST",
            f"{revoking.url}/api/v1/service/sessions/{claims['sid']}/revoke",
            token=revoking.service_token,
        )
        assert answer.status == 200, answer
        # The one that was asked has published it when it answers.
        assert is_revoked(revoking, path, idx)
        for replica in world.replicas:
            print(round(until(partial(is_revoked, replica, path, idx), SECONDS), 3))
