"""FastAPI: protect routes with a session, and show that in the OpenAPI document.

app = FastAPI()
Queue(app, Verifier("https://auth.example.com", "raptor"))

Billing = Annotated[Session, Depends(require_session(scope="invoices:read", role="billing"))]

@app.get("/invoices")
async def invoices(session: Billing):
    return {"customer": session.subject}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.models import HTTPBearer
from fastapi.responses import JSONResponse, Response
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from queue_verifier.backend import Backend, Require
from queue_verifier.bearer import bearer_token
from queue_verifier.errors import VerifyError
from queue_verifier.integrations.requirement import requirement
from queue_verifier.problem import CONTENT_TYPE, problem_of
from queue_verifier.session import Session

__all__ = ["Queue", "RequireSession", "require_session"]


class Queue:
    """Binds a verifier to an application, and answers refusals with RFC 9457 problems.

    Args:
        app: The application.
        verifier: A `Verifier` or a `SidecarVerifier`.
    """

    def __init__(self, app: FastAPI, verifier: Backend) -> None:
        app.state.queue = verifier
        handler: Any = _refuse
        app.add_exception_handler(VerifyError, handler)


class RequireSession(SecurityBase):
    """The dependency that `require_session` makes: a request or a websocket → its session."""

    def __init__(self, require: Require | None) -> None:
        self._require = require
        self.model = HTTPBearer(
            bearerFormat="JWT", description="An access token of the issuer (RFC 9068)."
        )
        self.scheme_name = "Queue"

    async def __call__(self, connection: HTTPConnection) -> Session:
        """Return the session of the token that came with `connection`."""
        # Other code of the application may refuse with another requirement in mind.
        connection.state.queue_require = self._require
        token = bearer_token(*connection.headers.getlist("Authorization"))
        verifier: Backend = connection.app.state.queue
        session = await verifier.validate_session_async(token, require=self._require)
        connection.state.session = session
        return session


def require_session(
    *,
    scope: str | Iterable[str] = (),
    role: str | Iterable[str] = (),
    tenant: str | None = None,
    require: Require | None = None,
) -> RequireSession:
    """Return a dependency that runs the route only with a valid session, and gives it that.

    Refusals are answered 401, 403 or 503 with a stable code. A websocket is judged when it opens.

    Args:
        scope: Scope values the session must grant.
        role: Roles the session must hold.
        tenant: The tenant the session must belong to.
        require: All of that and more as one object, in place of the others.

    Raises:
        ConfigError: `config_require_invalid`, when the route is defined.
    """
    return RequireSession(requirement(scope, role, tenant, require))


async def _refuse(connection: HTTPConnection, error: VerifyError) -> Response | None:
    problem = problem_of(error, getattr(connection.state, "queue_require", None))
    answer = JSONResponse(problem.body, problem.status, problem.headers, CONTENT_TYPE)
    if not isinstance(connection, WebSocket):
        return answer
    if "websocket.http.response" in connection.scope.get("extensions", {}):
        await connection.send_denial_response(answer)
    else:
        policy_violation = 1008
        await connection.close(policy_violation, problem.body["code"])
    return None
