"""Antlers: a page that signs people in with Queue, and a service that checks them offline.

    QUEUE_BASE_URL=http://localhost:4100 QUEUE_SIDECAR_URL=http://127.0.0.1:4140 python antlers.py

Settings from the environment:

    QUEUE_BASE_URL      where the issuer is; its page origins (QUEUE_ISSUER_ORIGINS) must have ours
    QUEUE_SIDECAR_URL   where the sidecar is; default: http://127.0.0.1:4140
    QUEUE_AUDIENCE      `aud` of good tokens; default: raptor
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from flask import Flask, Response, request, send_from_directory

from queue_verifier import Backend, ConfigError, Session, SidecarVerifier, Verifier, VerifyError

PAGES = Path(__file__).resolve().parent / "pages"


def create_app(issuer: str, doors: dict[str, Backend]) -> Flask:
    """Return the service: the page, and `/session`, what each of `doors` says of the caller."""
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    policy = "; ".join(
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'",
            f"connect-src 'self' {issuer}",
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        )
    )

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.get("/")
    def index() -> Response:
        return send_from_directory(PAGES, "index.html")

    @app.get("/<path:name>")
    def page(name: str) -> Response:
        return send_from_directory(PAGES, name)

    @app.get("/config.json")
    def config() -> dict[str, str]:
        return {"issuer": issuer}

    @app.get("/session")
    def session() -> tuple[dict[str, Any], int]:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else ""
        verdicts = {name: judge(door, token) for name, door in doors.items()}
        is_good = all(verdict["code"] == "valid" for verdict in verdicts.values())
        return verdicts, 200 if is_good else 401

    return app


def judge(door: Backend, token: str) -> dict[str, Any]:
    """Return the code of the verdict, and of a good session what a page may show."""
    try:
        session = door.validate_session(token)
    except VerifyError as error:
        return {"code": error.code}
    return {"code": "valid", "facts": facts(session)}


def facts(session: Session) -> dict[str, str]:
    """Return what a person would like to know of the session."""
    return {
        "customer": session.subject or "",
        "session": session.session_id or "",
        "signed in by": (session.acr or "").rpartition(":")[2],
        "roles": ", ".join(session.roles),
        "keys": session.freshness.key_set,
        "revocation": session.freshness.status,
    }


def main() -> int:
    """Serve on loopback until interrupted; return the exit status."""
    parser = argparse.ArgumentParser(description="a page that signs people in with Queue")
    parser.add_argument("--port", type=int, default=4180, help="on localhost; 0 picks a free one")
    port: int = parser.parse_args().port
    issuer = os.environ.get("QUEUE_BASE_URL", "http://localhost:4100").rstrip("/")
    audience = os.environ.get("QUEUE_AUDIENCE", "raptor")
    try:
        embedded = Verifier(issuer, audience)
        remote = SidecarVerifier(os.environ.get("QUEUE_SIDECAR_URL", "http://127.0.0.1:4140"))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 64
    with embedded:
        create_app(issuer, {"sidecar": remote, "python": embedded}).run("localhost", port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
