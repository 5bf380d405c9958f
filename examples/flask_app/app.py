"""A Flask service that protects its routes with Queue sessions.

    QUEUE_BASE_URL=http://localhost:4100 python -m app --port 5000

Settings from the environment:

    QUEUE_BASE_URL   where the issuer is reached; its keys are at `/.well-known/jwks.json`
    QUEUE_ISSUER     `iss` of good tokens; default: QUEUE_BASE_URL
    QUEUE_AUDIENCE   `aud` of good tokens; default: raptor
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from flask import Flask, g

from queue_verifier import Backend, ConfigError, Verifier
from queue_verifier.integrations.flask import Queue, require_session


def create_app(verifier: Backend) -> Flask:
    """Return the service, which asks `verifier` about every session."""
    app = Flask(__name__)
    Queue(app, verifier)

    @app.get("/livez")
    def livez() -> dict[str, Any]:
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> tuple[dict[str, Any], int]:
        is_ready = verifier.ready(0)
        return {"ready": is_ready}, 200 if is_ready else 503

    @app.get("/me")
    @require_session()
    def me() -> dict[str, Any]:
        session = g.session
        return {
            "subject": session.subject,
            "session_id": session.session_id,
            "roles": session.roles,
            "expires_at": session.expires_at,
            "keys": session.freshness.key_set,
        }

    @app.get("/admin")
    @require_session(role="admin")
    def admin() -> dict[str, Any]:
        return {"subject": g.session.subject}

    return app


def verifier_from_environment() -> Verifier:
    """Return the verifier that the environment describes.

    Raises:
        ConfigError: A setting is wrong.
    """
    base_url = os.environ.get("QUEUE_BASE_URL", "http://localhost:4100").rstrip("/")
    return Verifier(
        os.environ.get("QUEUE_ISSUER", base_url),
        os.environ.get("QUEUE_AUDIENCE", "raptor"),
        jwks_uri=f"{base_url}/.well-known/jwks.json",
    )


def main() -> int:
    """Serve on loopback until interrupted; return the exit status."""
    parser = argparse.ArgumentParser(description="a service that validates sessions offline")
    parser.add_argument("--port", type=int, default=5000, help="on 127.0.0.1; 0 picks a free one")
    port: int = parser.parse_args().port
    try:
        verifier = verifier_from_environment()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 64
    with verifier:
        create_app(verifier).run("127.0.0.1", port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
