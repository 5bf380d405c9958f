"""Flask: protect routes with a session.

app = Flask(__name__)
Queue(app, Verifier("https://auth.example.com", "raptor"))

@app.get("/invoices")
@require_session(scope="invoices:read", role="billing")
def invoices():
    return {"customer": g.session.subject}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import Flask, current_app, g, json, request

from queue_verifier.backend import Backend, Require
from queue_verifier.bearer import bearer_token
from queue_verifier.errors import VerifyError
from queue_verifier.integrations.requirement import requirement
from queue_verifier.problem import CONTENT_TYPE, problem_of

if TYPE_CHECKING:
    from flask import Response

__all__ = ["Queue", "require_session"]

P = ParamSpec("P")
R = TypeVar("R")


class Queue:
    """Binds a verifier to an application, and answers refusals with RFC 9457 problems.

    Args:
        app: The application; or None, and call `init_app` from its factory.
        verifier: A `Verifier` or a `SidecarVerifier`.
    """

    def __init__(self, app: Flask | None = None, verifier: Backend | None = None) -> None:
        if app is not None:
            if verifier is None:
                raise TypeError("expected a verifier with the application")
            self.init_app(app, verifier)

    def init_app(self, app: Flask, verifier: Backend) -> None:
        """Bind `verifier` to `app`."""
        app.extensions["queue"] = verifier
        app.register_error_handler(VerifyError, _refuse)


def require_session(
    *,
    scope: str | Iterable[str] = (),
    role: str | Iterable[str] = (),
    tenant: str | None = None,
    require: Require | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run the view only with a valid session, which it finds in `g.session`.

    Place it below the route's decorator. Refusals are answered 401, 403 or 503 with a stable code.

    Args:
        scope: Scope values the session must grant.
        role: Roles the session must hold.
        tenant: The tenant the session must belong to.
        require: All of that and more as one object, in place of the others.

    Raises:
        ConfigError: `config_require_invalid`, when the view is defined.
    """
    needed = requirement(scope, role, tenant, require)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            # Other code of the application may refuse with another requirement in mind.
            g.queue_require = needed
            token = bearer_token(*request.headers.getlist("Authorization"))
            verifier: Backend = current_app.extensions["queue"]
            g.session = verifier.validate_session(token, require=needed)
            run: Callable[P, R] = current_app.ensure_sync(view)
            return run(*args, **kwargs)

        return guarded

    return decorate


def _refuse(error: VerifyError) -> Response:
    problem = problem_of(error, g.get("queue_require"))
    body: Any = json.dumps(problem.body)
    return current_app.response_class(body, problem.status, problem.headers, mimetype=CONTENT_TYPE)
