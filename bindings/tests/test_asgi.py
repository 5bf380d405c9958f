"""What only ASGI has: websockets, lifespans, paths that need no session, headers sent twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket

from harness import CLAIMS, NOW, SigningKey
from queue_verifier import Backend, Session
from queue_verifier.integrations.asgi import Receive, RequireSession, Scope, Send
from queue_verifier.integrations.fastapi import Queue, require_session

Message = MutableMapping[str, Any]


class Echo:
    """An application that keeps what reached it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept"})


def run(
    app: Any, kind: str, *authorization: str, path: str = "/", extensions: Any = None
) -> list[Message]:
    """Return what `app` sends for one scope."""
    sent: list[Message] = []
    received: list[Message] = [{"type": f"{kind}.connect"}, {"type": f"{kind}.disconnect"}]

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", value.encode("latin-1")) for value in authorization]
    scope: Scope = {"type": kind, "path": path, "headers": headers, "query_string": b""}
    if extensions is not None:
        scope["extensions"] = extensions
    asyncio.run(app(scope, receive, send))
    return sent


def websocket_app(backend: Backend) -> FastAPI:
    app = FastAPI()
    Queue(app, backend)
    guard = require_session(role="antlers-user")

    async def talk(websocket: WebSocket, session: Annotated[Session, Depends(guard)]) -> None:
        assert websocket.state.session is session
        await websocket.accept()

    # Not a name that FastAPI could look up: it is of this call.
    talk.__annotations__["session"] = Annotated[Session, Depends(guard)]
    app.websocket("/")(talk)
    return app


def guarded(framework: str, backend: Backend) -> Any:
    if framework == "fastapi":
        return websocket_app(backend)
    return RequireSession(Echo(), backend, role="antlers-user")


FRAMEWORKS = pytest.mark.parametrize("framework", ["pure", "fastapi"])


@FRAMEWORKS
def test_a_websocket_with_a_session(framework: str, backend: Backend, key: SigningKey) -> None:
    sent = run(guarded(framework, backend), "websocket", f"Bearer {key.mint()}")
    assert sent[0]["type"] == "websocket.accept"


@FRAMEWORKS
def test_a_websocket_is_refused_with_a_problem(
    framework: str, backend: Backend, key: SigningKey
) -> None:
    app = guarded(framework, backend)
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    start, body = run(app, "websocket", f"Bearer {key.mint(exp=NOW - 31)}", extensions=extensions)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert headers["content-type"] == "application/problem+json"
    assert headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert int(headers["content-length"]) == len(body["body"])
    assert (body["type"], json.loads(body["body"])["code"]) == (
        "websocket.http.response.body",
        "claims_expired",
    )


@FRAMEWORKS
def test_a_websocket_is_closed_by_a_server_that_knows_no_better(
    framework: str, backend: Backend
) -> None:
    (closed,) = run(guarded(framework, backend), "websocket")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert closed["reason"] == "bearer_missing"


def test_a_lifespan_passes(backend: Backend) -> None:
    echo = Echo()
    assert run(RequireSession(echo, backend), "lifespan") == []
    assert [scope["type"] for scope in echo.scopes] == ["lifespan"]


def test_public_paths_are_exact(backend: Backend, key: SigningKey) -> None:
    echo = Echo()
    app = RequireSession(echo, backend, public="/livez")
    assert run(app, "http", path="/livez") == []
    # Whatever comes along with a public path is no session.
    assert run(app, "http", f"Bearer {key.mint()}", path="/livez") == []
    assert [scope["state"] for scope in echo.scopes] == [{"session": None}] * 2
    for path in ("/livez/", "/livez/x", "/", "/LIVEZ", "//livez"):
        assert run(app, "http", path=path)[0]["status"] == 401
    assert len(echo.scopes) == 2


def test_a_header_sent_twice(backend: Backend, key: SigningKey) -> None:
    echo = Echo()
    good = f"Bearer {key.mint()}"
    assert run(RequireSession(echo, backend), "http", good) == []
    assert echo.scopes[0]["state"]["session"].subject == CLAIMS["sub"]
    start, body = run(RequireSession(echo, backend), "http", good, good)
    assert (start["status"], json.loads(body["body"])["code"]) == (400, "bearer_malformed")
    assert len(echo.scopes) == 1
