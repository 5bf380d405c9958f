"""`/api/auth/*`: the routes that Antlers calls before the cutover.

What a route answered is left in `g.legacy`, for dual mode to compare; no route waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, Response, abort, g, jsonify, request
from flask.typing import ResponseReturnValue

from legacy import SESSION_HOURS, LegacyAuth, LegacySession
from queue_verifier.cutover import Answer

COOKIE = "raptor_session"
View = TypeVar("View", bound=Callable[..., Any])


def legacy_routes(
    auth: LegacyAuth, send: Callable[[str, str], None], *, is_on: Callable[[], bool]
) -> Blueprint:
    """Return the blueprint; while `is_on` says no, every route answers 404."""
    routes = Blueprint("legacy", __name__, url_prefix="/api/auth")

    @routes.before_request
    def switched() -> None:
        if not is_on():
            abort(404)

    @routes.post("/login")
    def login() -> ResponseReturnValue:
        auth.send_code(_text("email").strip().lower(), send)
        # The same for an address nobody owns.
        return jsonify(sent=True), 202

    @routes.post("/login/verify")
    def verify() -> ResponseReturnValue:
        agent = request.headers.get("User-Agent", "")
        opened = auth.sign_in(_text("email").strip().lower(), _text("code"), agent)
        if opened is None:
            return jsonify(error="wrong_code"), 401
        cookie, session = opened
        g.legacy = ("issue", answer_of(session))
        response = jsonify(customer_id=session.customer_id)
        _keep(response, cookie)
        return response

    @routes.get("/validate")
    def validate() -> ResponseReturnValue:
        session = observed_session(auth)
        if session is None:
            return jsonify(valid=False), 401
        return jsonify(
            valid=True,
            customer_id=session.customer_id,
            expires_at=session.expires_at.isoformat(),
        )

    def signed_in(view: View) -> View:
        @wraps(view)
        def guarded(**arguments: Any) -> Any:
            session = observed_session(auth)
            if session is None:
                return jsonify(error="not_signed_in"), 401
            return view(session, **arguments)

        return guarded  # type: ignore[return-value]

    @routes.get("/me")
    @signed_in
    def me(session: LegacySession) -> ResponseReturnValue:
        return jsonify(auth.me(session.customer_id))

    @routes.get("/sessions")
    @signed_in
    def sessions(session: LegacySession) -> ResponseReturnValue:
        return jsonify(sessions=auth.sessions(session.customer_id), current=session.id)

    @routes.delete("/sessions/<uuid:session_id>")
    @signed_in
    def revoke(session: LegacySession, session_id: UUID) -> ResponseReturnValue:
        if not auth.revoke(session.customer_id, str(session_id)):
            return jsonify(error="no_such_session"), 404
        g.legacy = ("revoke", ended(str(session_id), session.customer_id))
        return "", 204

    @routes.post("/logout")
    @signed_in
    def logout(session: LegacySession) -> ResponseReturnValue:
        auth.revoke(session.customer_id, session.id)
        g.legacy = ("logout", ended(session.id, session.customer_id))
        response = Response(status=204)
        response.delete_cookie(COOKIE)
        return response

    return routes


def observed_session(auth: LegacyAuth) -> LegacySession | None:
    """Return the session of the request at hand, and leave the answer for dual mode."""
    cookie = request.cookies.get(COOKIE)
    session = auth.validate_session(cookie)
    if session is not None:
        g.legacy = ("validate", answer_of(session))
    elif cookie and (known := auth.session_of(cookie)) is not None:
        g.legacy = ("validate", ended(*known))
    return session


def answer_of(session: LegacySession) -> Answer:
    """Return the answer that a live session is."""
    ends_at = session.expires_at.timestamp()
    return Answer(True, session.customer_id, session.id, ends_at)


def ended(session_id: str, customer_id: str) -> Answer:
    """Return the answer that an ended session is."""
    return Answer(False, customer_id, session_id)


def _text(name: str) -> str:
    body = request.get_json()
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= 254:
        abort(400)
    return value


def _keep(response: Response, cookie: str) -> None:
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=SESSION_HOURS * 3600,
        httponly=True,
        samesite="Lax",
        # Browsers keep it on http://localhost too.
        secure=True,
    )
