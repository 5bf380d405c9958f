"""Django: protect views, or a whole site, with a session; sync and async.

# settings.py: the verifier, or the dotted path of one, or of what makes one
QUEUE_VERIFIER = "raptor.auth.verifier"

@require_session(scope="invoices:read", role="billing")
def invoices(request):
    return JsonResponse({"customer": request.queue_session.subject})

For a whole site, `MIDDLEWARE = ["queue_verifier.integrations.django.RequireSession", …]`, with
`QUEUE_REQUIRE` (a `Require`) and `QUEUE_PUBLIC` (paths, whole and exact, that need no session).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django import conf
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string

from queue_verifier.backend import Backend, Require
from queue_verifier.bearer import bearer_token
from queue_verifier.errors import VerifyError
from queue_verifier.integrations.requirement import requirement
from queue_verifier.problem import CONTENT_TYPE, problem_of

__all__ = ["RequireSession", "require_session"]

View = Callable[..., Any]


class RequireSession:
    """Lets a request through only with a valid session, found in `request.queue_session`."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: View) -> None:
        require = getattr(conf.settings, "QUEUE_REQUIRE", None)
        self._public = frozenset(getattr(conf.settings, "QUEUE_PUBLIC", ()))
        self._plain, self._guarded = get_response, _guard(get_response, require)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Judge a request; in an async site, return what to await."""
        request.queue_session = None
        return (self._plain if request.path in self._public else self._guarded)(request)


def require_session(
    *,
    scope: str | Iterable[str] = (),
    role: str | Iterable[str] = (),
    tenant: str | None = None,
    require: Require | None = None,
) -> Callable[[View], View]:
    """Run the view, sync or async, only with a valid session, found in `request.queue_session`.

    Refusals are answered 401, 403 or 503 with RFC 9457 problems; the middleware is not needed.

    Args:
        scope: Scope values the session must grant.
        role: Roles the session must hold.
        tenant: The tenant the session must belong to.
        require: All of that and more as one object, in place of the others.

    Raises:
        ConfigError: `config_require_invalid`, when the view is defined.
    """
    needed = requirement(scope, role, tenant, require)
    return lambda view: _guard(view, needed)


def _guard(view: View, require: Require | None) -> View:
    def token(request: HttpRequest) -> str:
        return bearer_token(request.META.get("HTTP_AUTHORIZATION"))

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            session = _verifier().validate_session(token(request), require=require)
        except VerifyError as error:
            return _refuse(error, require)
        request.queue_session = session
        return view(request, *args, **kwargs)

    @wraps(view)
    async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            session = await _verifier().validate_session_async(token(request), require=require)
        except VerifyError as error:
            return _refuse(error, require)
        request.queue_session = session
        return await view(request, *args, **kwargs)

    return guarded_async if iscoroutinefunction(view) else guarded


def _verifier() -> Backend:
    given: Any = conf.settings.QUEUE_VERIFIER
    verifier: Backend = _imported(given) if isinstance(given, str) else given
    return verifier


@cache
def _imported(path: str) -> Any:
    found = import_string(path)
    return found() if callable(found) else found


def _refuse(error: VerifyError, require: Require | None) -> JsonResponse:
    problem = problem_of(error, require)
    return JsonResponse(
        problem.body, status=problem.status, headers=problem.headers, content_type=CONTENT_TYPE
    )
