from __future__ import annotations

import inspect
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from harness import AUDIENCE, CLAIMS, ISSUER, NOW, KeyServer, SigningKey
from queue_verifier import Backend, Require, Verifier
from queue_verifier.integrations import flask as integration
from queue_verifier.integrations.flask import Queue, require_session


@pytest.fixture
def client(backend: Backend) -> FlaskClient:
    return make_app(backend).test_client()


def make_app(backend: Backend) -> Flask:
    app = Flask(__name__)
    Queue(app, backend)

    @app.get("/me")
    @require_session()
    def me() -> dict[str, Any]:
        return {"subject": g.session.subject}

    @app.get("/items/<int:item>")
    @require_session(scope="read:profile", role="antlers-user", tenant=CLAIMS["tenant_id"])
    def item(item: int) -> dict[str, Any]:
        return {"item": item}

    @app.get("/scope")
    @require_session(scope="admin:all read:profile")
    def scope() -> str:
        return ""

    @app.get("/role")
    @require_session(role="admin")
    def role() -> str:
        return ""

    @app.get("/tenant")
    @require_session(tenant='o"ther')
    def tenant() -> str:
        return ""

    @app.get("/recent")
    @require_session(require=Require(max_auth_age=60))
    def recent() -> str:
        return ""

    @app.get("/acr")
    @require_session(require=Require(acr=["urn:a", "urn:b"]))
    def acr() -> str:
        return ""

    @app.get("/odd")
    @require_session(require=Require(acr='an "odd" name'))
    def odd() -> str:
        return ""

    return app


def get(client: FlaskClient, path: str, token: str | None) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.get(path, headers=headers)


def test_session(client: FlaskClient, key: SigningKey) -> None:
    answer = get(client, "/me", key.mint())
    assert (answer.status_code, answer.json) == (200, {"subject": CLAIMS["sub"]})
    assert get(client, "/items/7", key.mint()).json == {"item": 7}


INSUFFICIENT = 'Bearer error="insufficient_scope", error_description="{}"'
STEP_UP = 'Bearer error="insufficient_user_authentication", error_description="{}"'


@pytest.mark.parametrize(
    ("path", "status", "code", "challenge"),
    [
        ("/scope", 403, "claims_scope_missing", f'{INSUFFICIENT}, scope="admin:all read:profile"'),
        ("/role", 403, "claims_role_missing", INSUFFICIENT),
        ("/tenant", 403, "claims_tenant_mismatch", INSUFFICIENT),
        ("/recent", 401, "claims_auth_too_old", f'{STEP_UP}, max_age="60"'),
        ("/acr", 401, "claims_acr_insufficient", f'{STEP_UP}, acr_values="urn:a urn:b"'),
        ("/odd", 401, "claims_acr_insufficient", STEP_UP),
    ],
)
def test_requirements(
    client: FlaskClient, key: SigningKey, path: str, status: int, code: str, challenge: str
) -> None:
    answer = get(client, path, key.mint())
    assert answer.status_code == status
    assert answer.json["code"] == code
    assert answer.headers["WWW-Authenticate"] == challenge.format(answer.json["title"])


def test_problem(client: FlaskClient, key: SigningKey) -> None:
    answer = get(client, "/me", key.mint(exp=NOW - 31))
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    meaning = "The clock has reached `exp`."
    challenge = f'Bearer error="invalid_token", error_description="{meaning}"'
    assert answer.headers["WWW-Authenticate"] == challenge
    assert answer.json == {
        "type": "urn:queue:problem:claims_expired",
        "title": meaning,
        "status": 401,
        "detail": answer.json["detail"],
        "code": "claims_expired",
    }
    assert "exp" in answer.json["detail"]


def test_bearer(client: FlaskClient, key: SigningKey) -> None:
    missing = get(client, "/me", None)
    assert (missing.status_code, missing.json["code"]) == (401, "bearer_missing")
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    malformed = get(client, "/me", "a b")
    assert (malformed.status_code, malformed.json["code"]) == (400, "bearer_malformed")
    twice = [("Authorization", f"Bearer {key.mint()}")] * 2
    repeated = client.get("/me", headers=twice)
    assert (repeated.status_code, repeated.json["code"]) == (400, "bearer_malformed")  # type: ignore[index]


def test_keys_away(key: SigningKey, key_server: KeyServer) -> None:
    key_server.status = 500
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri) as verifier:
        answer = get(make_app(verifier).test_client(), "/me", key.mint())
    assert (answer.status_code, answer.json["code"]) == (503, "key_set_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "WWW-Authenticate" not in answer.headers


def test_factory(verifier: Verifier, key: SigningKey) -> None:
    queue, app = Queue(), Flask(__name__)
    app.add_url_rule("/", view_func=require_session()(dict))
    queue.init_app(app, verifier)
    assert get(app.test_client(), "/", key.mint()).status_code == 200
    with pytest.raises(TypeError):
        Queue(app)


def test_stays_small() -> None:
    assert len(inspect.getsource(integration).splitlines()) <= 120
