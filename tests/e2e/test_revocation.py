"""A session revoked at the running issuer, as every door sees it: by push, and by poll alone."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from queue_verifier import SidecarVerifier, Verifier, VerifyError
from running import Issuer, axum_service, call, flask_service, sidecar

Door = Callable[[str], str]


class Doors:
    """An issuer, and each way its tokens are checked: a token → `valid` or a code."""

    def __init__(
        self, issuer: Issuer, folder: Path, stack: ExitStack, *, is_pushed: bool, seconds: float
    ) -> None:
        self.issuer, self.is_pushed, self.seconds = issuer, is_pushed, seconds
        self.customer_id = issuer.customer("customer@example.com")
        urls = []
        for start in (sidecar, axum_service, flask_service):
            program, url = start(folder, issuer)
            stack.callback(program.stop)
            urls.append(url)
        sidecar_url, axum_url, flask_url = urls
        self.embedded = stack.enter_context(
            Verifier(issuer.name, "raptor", jwks_uri=issuer.jwks_uri)
        )
        self.asking = stack.enter_context(SidecarVerifier(sidecar_url, timeout=10))
        assert self.embedded.ready(30)
        self.all: dict[str, Door] = {
            "python": lambda token: code(self.embedded, token),
            "python by sidecar": lambda token: code(self.asking, token),
            "sidecar": lambda token: call("POST", f"{sidecar_url}/v1/validate", token=token).code,
            "proxy": lambda token: call_auth(f"{sidecar_url}/v1/auth", token),
            "rust": lambda token: call("GET", axum_url, token=token).code,
            "flask": lambda token: call("GET", flask_url, token=token).code,
        }

    def status_list(self, verifier: Verifier | SidecarVerifier) -> dict[str, Any]:
        (found,) = verifier.status()["issuers"][0]["status_lists"]
        return dict(found)

    def revoke(self, token: str) -> float:
        """Revoke the session of `token`; return when the issuer had answered."""
        sid = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sid"]
        answer = call(
            "POST",
            f"{self.issuer.url}/api/v1/service/sessions/{sid}/revoke",
            token=self.issuer.service_token,
        )
        answered_at = time.monotonic()
        assert answer.status in (200, 204), answer
        return answered_at

    def seconds_to_refusal(self) -> dict[str, float]:
        """Revoke a session that every door lets in; return how long each still did."""
        token = self.issuer.mint(self.customer_id)
        other = self.issuer.mint(self.customer_id)
        assert {name: door(token) for name, door in self.all.items()} == dict.fromkeys(
            self.all, "valid"
        )
        refused_at: dict[str, float] = {}
        codes: dict[str, str] = {}
        is_revoked = threading.Event()

        def ask(name: str, door: Door) -> None:
            is_revoked.wait()
            deadline = time.monotonic() + 30
            while (outcome := door(token)) == "valid" and time.monotonic() < deadline:
                pass
            refused_at[name], codes[name] = time.monotonic(), outcome

        threads = [threading.Thread(target=ask, args=item) for item in self.all.items()]
        for thread in threads:
            thread.start()
        answered_at = self.revoke(token)
        is_revoked.set()
        for thread in threads:
            thread.join()
        assert codes == dict.fromkeys(self.all, "status_revoked")
        assert {door(other) for door in self.all.values()} == {"valid"}
        return {name: at - answered_at for name, at in refused_at.items()}


def code(verifier: Verifier | SidecarVerifier, token: str) -> str:
    try:
        verifier.validate_session(token)
    except VerifyError as error:
        return error.code
    return "valid"


def call_auth(url: str, token: str) -> str:
    """`/v1/auth` has no body when it lets a request in."""
    answer = call("GET", url, token=token)
    return "valid" if answer.status == 200 else answer.code


@pytest.fixture(scope="module", params=["push", "poll"])
def doors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Doors]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    # A poll alone would be late by far; where nobody is told, polling is all there is.
    settings = {
        "push": {"QUEUE_ISSUER_STATUS_LIST_TTL": "30s"},
        "poll": {
            "QUEUE_ISSUER_STATUS_LIST_TTL": "2s",
            "QUEUE_ISSUER_STATUS_LIST_SUBSCRIBERS": "0",
        },
    }[request.param]
    with ExitStack() as stack:
        issuer = Issuer(folder, **settings)
        stack.callback(issuer.program.stop)
        is_pushed = request.param == "push"
        # One second, or the time between two polls and one second.
        yield Doors(issuer, folder, stack, is_pushed=is_pushed, seconds=1 if is_pushed else 2 + 1)


def test_a_revoked_session_is_refused_at_every_door_in_time(doors: Doors) -> None:
    token = doors.issuer.mint(doors.customer_id)
    for door in doors.all.values():
        assert door(token) == "valid"
    for verifier in (doors.embedded, doors.asking):
        deadline = time.monotonic() + 30
        expected = "connected" if doors.is_pushed else "polling"
        while doors.status_list(verifier)["push"] != expected:
            assert time.monotonic() < deadline, doors.status_list(verifier)
    seconds = doors.seconds_to_refusal()
    print({name: round(taken, 3) for name, taken in seconds.items()})
    assert max(seconds.values()) <= doors.seconds, seconds
