"""Raptor: a Flask service on its way from its own auth to Queue.

    DATABASE_URL=postgres:///raptor RAPTOR_SECRET=... \\
        gunicorn --chdir examples/raptor 'raptor:create_app()'

Settings from the environment:

    DATABASE_URL                  Raptor's Postgres
    RAPTOR_SECRET                 at least 32 characters; keys the hashes of sign-in codes
    RAPTOR_OUTBOX                 a folder for outgoing mail; default: ./outbox
    FLAG_RAPTOR_AUTH_LEGACY       on or off: whether /api/auth/* is there; default: on
    FLAG_QUEUE_V1                 off, on or N%: whether Queue decides; default: off
    QUEUE_BASE_URL                where the issuer is; without it there is no Queue
    QUEUE_ISSUER                  `iss` of good tokens; default: QUEUE_BASE_URL
    QUEUE_AUDIENCE                `aud` of good tokens; default: raptor
    QUEUE_JWT_PUBLIC_KEY          a PEM key to verify by; default: the issuer's published keys
    QUEUE_SERVICE_TOKEN_RAPTOR    turns dual mode on, together with
    QUEUE_PARITY_KEY              at least 32 secret characters, the same in every process
    QUEUE_PARITY_TIMEOUT          seconds that dual mode gives Queue; default: 5
    DATABASE_URL_QUEUE            where the queue_* tables are; default: DATABASE_URL
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue

from legacy import LegacyAuth
from legacy_routes import legacy_routes, observed_session
from queue_verifier import Backend, ConfigError, Verifier
from queue_verifier.bearer import bearer_token
from queue_verifier.cutover import (
    Answer,
    DualMode,
    Flag,
    ParityLog,
    ShadowSessions,
    Timeouts,
    queue_blueprint,
)
from queue_verifier.integrations.flask import Queue

HERE = Path(__file__).resolve().parent


def create_app(env: Mapping[str, str] = os.environ) -> Flask:
    """Return the service.

    Raises:
        ConfigError: A setting is wrong.
    """
    app = Flask(__name__)
    url = env["DATABASE_URL"]
    secret = env["RAPTOR_SECRET"].encode()
    if len(secret) < 32:
        raise ConfigError("config_raptor_secret_weak", "expected RAPTOR_SECRET of 32 characters")

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(url, connect_timeout=2)

    with connect() as db:
        # Workers start at once; one of them makes the tables.
        db.execute("SELECT pg_advisory_xact_lock(7377)")
        db.execute((HERE / "schema.sql").read_text())
    auth = LegacyAuth(connect, secret)
    flag = Flag.parse(env.get("FLAG_QUEUE_V1", "off"))
    is_legacy_on = _switch(env, "FLAG_RAPTOR_AUTH_LEGACY", "on")
    outbox = Path(env.get("RAPTOR_OUTBOX", "outbox"))
    outbox.mkdir(parents=True, exist_ok=True)

    def send(email: str, code: str) -> None:
        mail = f"To: {email}\nSubject: Your code\n\nYour code is {code}.\n"
        (outbox / f"{uuid4()}.eml").write_text(mail)

    app.register_blueprint(legacy_routes(auth, send, is_on=lambda: is_legacy_on))
    verifier = None
    if base_url := env.get("QUEUE_BASE_URL"):
        verifier = _verifier(env, base_url)
        Queue(app, verifier)
        app.register_blueprint(queue_blueprint(base_url, flag=flag))
        if is_legacy_on and "QUEUE_SERVICE_TOKEN_RAPTOR" in env:
            _observe(app, auth, verifier, env)

    @app.get("/livez")
    def livez() -> ResponseReturnValue:
        return jsonify(status="ok")

    @app.get("/orders")
    def orders() -> ResponseReturnValue:
        customer = validate_session(auth, verifier, flag, is_legacy_on=is_legacy_on)
        if customer is None:
            return jsonify(error="not_signed_in"), 401
        return jsonify(customer_id=customer, orders=[])

    return app


def validate_session(
    auth: LegacyAuth, verifier: Backend | None, flag: Flag, *, is_legacy_on: bool
) -> str | None:
    """Return the customer of the request at hand: by Queue's token, else by the legacy cookie.

    While both flags are on, a session of either kind is good: those opened before the cutover live
    on until they end. Which kind is opened is the flags' decision.

    Raises:
        VerifyError: The token is bad.
    """
    authorization = request.headers.getlist("Authorization")
    if authorization and verifier is not None and flag.is_visible:
        session = verifier.validate_session(bearer_token(*authorization))
        if session.subject is not None and flag.admits(session.subject):
            return session.subject
    if is_legacy_on:
        legacy = observed_session(auth)
        if legacy is not None:
            return legacy.customer_id
    return None


def _verifier(env: Mapping[str, str], base_url: str) -> Verifier:
    issuer = env.get("QUEUE_ISSUER", base_url.rstrip("/"))
    audience = env.get("QUEUE_AUDIENCE", "raptor")
    if public_key := env.get("QUEUE_JWT_PUBLIC_KEY"):
        return Verifier(issuer, audience, public_key=public_key)
    return Verifier(issuer, audience, jwks_uri=f"{base_url.rstrip('/')}/.well-known/jwks.json")


def _observe(app: Flask, auth: LegacyAuth, verifier: Verifier, env: Mapping[str, str]) -> None:
    """Have every answer of legacy compared with Queue's, after it is made."""
    key = env.get("QUEUE_PARITY_KEY", "").encode()
    samples = env.get("DATABASE_URL_QUEUE", env["DATABASE_URL"])
    token = env["QUEUE_SERVICE_TOKEN_RAPTOR"]
    seconds = float(env.get("QUEUE_PARITY_TIMEOUT", "5"))
    timeouts = Timeouts(connect=1.0, read=seconds, total=seconds)
    shadows = ShadowSessions(env["QUEUE_BASE_URL"], token, verifier, key=key, timeouts=timeouts)

    def recheck(legacy: Answer) -> Answer:
        is_live = legacy.session is not None and auth.is_live(legacy.session)
        return Answer(is_live, legacy.subject, legacy.session, legacy.ends_at)

    log = ParityLog(lambda: psycopg.connect(samples, connect_timeout=2))
    dual = DualMode(key=key, log=log, recheck=recheck)
    # What a worker has counted is written before it ends.
    atexit.register(dual.close)
    asks = {
        "issue": shadows.issue,
        "validate": shadows.validate,
        "logout": shadows.end,
        "revoke": shadows.end,
    }
    app.extensions["queue_dual"] = dual

    @app.after_request
    def compare(response: Response) -> Response:
        if "legacy" in g:
            route, answer = g.legacy
            dual.compare(route, answer, asks[route])
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(dual.metrics(), mimetype="text/plain; version=0.0.4")


def _switch(env: Mapping[str, str], name: str, default: str) -> bool:
    value = env.get(name, default)
    if value not in ("on", "off"):
        raise ConfigError("config_flag_invalid", f"expected {name} to be on or off")
    return value == "on"
