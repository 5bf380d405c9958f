"""ASGI: guard an application, or a part of one, with a session; of no framework.

app = RequireSession(app, Verifier("https://auth.example.com", "raptor"))

In Starlette, FastAPI, Litestar and Quart that is one line of the application's own list of
middleware, or of one route's. The session is in `scope["state"]["session"]`, where Starlette,
FastAPI and Litestar have `request.state.session`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from queue_verifier.backend import Backend, Require
from queue_verifier.bearer import bearer_token
from queue_verifier.errors import VerifyError
from queue_verifier.integrations.requirement import requirement
from queue_verifier.problem import CONTENT_TYPE, Problem, problem_of

__all__ = ["RequireSession"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequireSession:
    """Lets a request or a websocket through only with a valid session.

    Refusals are answered 401, 403 or 503 with RFC 9457 problems. A websocket is judged when it
    opens: one that outlives its session is for the application to close.

    Args:
        app: The application behind.
        verifier: A `Verifier` or a `SidecarVerifier`.
        scope: Scope values the session must grant.
        role: Roles the session must hold.
        tenant: The tenant the session must belong to.
        require: All of that and more as one object, in place of the others.
        public: Paths, whole and exact, that need no session; theirs have `None` for one.

    Raises:
        ConfigError: `config_require_invalid`.
    """

    def __init__(
        self,
        app: Application,
        verifier: Backend,
        *,
        scope: str | Iterable[str] = (),
        role: str | Iterable[str] = (),
        tenant: str | None = None,
        require: Require | None = None,
        public: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._require = requirement(scope, role, tenant, require)
        self._public = frozenset((public,) if isinstance(public, str) else public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge what comes in; anything but requests and websockets passes."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        session = None
        if scope["path"] not in self._public:
            try:
                token = bearer_token(*_authorization(scope))
                session = await self._verifier.validate_session_async(token, require=self._require)
            except VerifyError as error:
                return await _refuse(problem_of(error, self._require), scope, receive, send)
        scope.setdefault("state", {})["session"] = session
        return await self._app(scope, receive, send)


def _authorization(scope: Scope) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for name, value in headers if name.lower() == b"authorization"]


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # `websocket.connect`
        kind = "websocket.http.response"
        if kind not in (scope.get("extensions") or {}):
            # The server answers 403: it cannot be told more.
            policy_violation = 1008
            reason = problem.body["code"]
            await send({"type": "websocket.close", "code": policy_violation, "reason": reason})
            return
    body = json.dumps(problem.body).encode()
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        **problem.headers,
    }
    raw = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    await send({"type": f"{kind}.start", "status": problem.status, "headers": raw})
    await send({"type": f"{kind}.body", "body": body})
