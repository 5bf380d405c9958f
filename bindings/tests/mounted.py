"""A Flask application with the blueprint of the issuer in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from queue_verifier.cutover import Timeouts, queue_blueprint
from raw import Behaviour, RawServer, answering

OK = answering("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2", b"{}")
SHORT = Timeouts(0.3, 0.3, 0.6)
Serve = Callable[[Behaviour], RawServer]


class WholeAnswers(FlaskClient):
    """Reads every answer to its end, as a server does."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, **{"buffered": True, **kwargs})


def make_app(base_url: str, **settings: Any) -> Flask:
    app = Flask(__name__)
    app.test_client_class = WholeAnswers
    app.register_blueprint(queue_blueprint(base_url, **{"flag": "on", **settings}))
    return app


def lines_of(request: bytes) -> tuple[str, dict[str, str]]:
    first, *rest = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return first, {
        name.lower(): value for name, _, value in (line.partition(": ") for line in rest)
    }
