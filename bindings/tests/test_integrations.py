"""One service in every framework: the same sessions, the same refusals."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import django
import httpx
import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask, g
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from harness import AUDIENCE, CLAIMS, ISSUER, NOW, KeyServer, SigningKey
from queue_verifier import (
    Backend,
    Require,
    Session,
    Verifier,
    VerifyError,
)
from queue_verifier.bearer import bearer_token
from queue_verifier.integrations import asgi as asgi_integration
from queue_verifier.integrations import django as django_integration
from queue_verifier.integrations import fastapi as fastapi_integration
from queue_verifier.integrations import flask as flask_integration
from queue_verifier.problem import problem_of

NEEDS: dict[str, Require | None] = {
    "/me": None,
    "/enough": Require(scope="read:profile", roles="antlers-user", tenant=CLAIMS["tenant_id"]),
    "/scope": Require(scope="admin:all read:profile"),
    "/role": Require(roles="admin"),
    "/tenant": Require(tenant='o"ther'),
    "/recent": Require(max_auth_age=60),
    "/acr": Require(acr=["urn:a", "urn:b"]),
    "/fresh": Require(fresh=True),
}


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    headers: dict[str, str]
    """Those of a refusal."""
    body: Any


Door = Callable[[str, dict[str, str]], Answer]


def answer(status: int, headers: Any, body: bytes) -> Answer:
    named = {name: headers.get(name) for name in ("WWW-Authenticate", "Retry-After")}
    named["Cache-Control"] = headers.get("Cache-Control")
    kept = {name: value for name, value in named.items() if value is not None}
    return Answer(status, headers["Content-Type"], kept, json.loads(body))


def flask_door(backend: Backend) -> Door:
    app = Flask(__name__)
    flask_integration.Queue(app, backend)

    def view() -> dict[str, Any]:
        return {"subject": g.session.subject}

    for where, require in NEEDS.items():
        guard = flask_integration.require_session(require=require)
        app.add_url_rule(where, where, guard(view))
    client = app.test_client()

    def get(where: str, headers: dict[str, str]) -> Answer:
        found = client.get(where, headers=headers)
        return answer(found.status_code, found.headers, found.data)

    return get


def asgi_get(app: Any) -> Door:
    def get(where: str, headers: dict[str, str]) -> Answer:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(where, headers=headers)

        found = asyncio.run(exchange())
        return answer(found.status_code, found.headers, found.content)

    return get


def starlette_door(backend: Backend) -> Door:
    async def view(request: Request) -> JSONResponse:
        return JSONResponse({"subject": request.state.session.subject})

    routes = [
        Route(
            where,
            view,
            middleware=[
                Middleware(asgi_integration.RequireSession, verifier=backend, require=require)
            ],
        )
        for where, require in NEEDS.items()
    ]
    return asgi_get(Starlette(routes=routes))


def fastapi_door(backend: Backend) -> Door:
    return asgi_get(fastapi_app(backend))


def fastapi_app(backend: Backend) -> FastAPI:
    app = FastAPI()
    fastapi_integration.Queue(app, backend)
    for where, require in NEEDS.items():
        guard = fastapi_integration.require_session(require=require)

        async def view(session: Annotated[Session, Depends(guard)]) -> dict[str, Any]:
            return {"subject": session.subject}

        view.__annotations__["session"] = Annotated[Session, Depends(guard)]
        app.get(where)(view)
    return app


def django_door(backend: Backend) -> Door:
    def get(where: str, headers: dict[str, str]) -> Answer:
        with override_settings(QUEUE_VERIFIER=backend):
            found = Client(headers=headers).get(where)
        return answer(found.status_code, found.headers, found.content)

    return get


def django_async_door(backend: Backend) -> Door:
    def get(where: str, headers: dict[str, str]) -> Answer:
        async def exchange() -> HttpResponse:
            return await AsyncClient().get(f"/async{where}", headers=headers)

        with override_settings(QUEUE_VERIFIER=backend):
            found = asyncio.run(exchange())
        return answer(found.status_code, found.headers, found.content)

    return get


def django_view(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"subject": getattr(request.queue_session, "subject", None)})


async def django_view_async(request: HttpRequest) -> JsonResponse:
    return django_view(request)


urlpatterns = [path("open", django_view), path("open-async", django_view_async)]
for _where, _require in NEEDS.items():
    _guard = django_integration.require_session(require=_require)
    urlpatterns.append(path(_where[1:], _guard(django_view)))
    urlpatterns.append(path(f"async{_where}", _guard(django_view_async)))

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    USE_TZ=True,
)
django.setup()

DOORS: dict[str, Callable[[Backend], Door]] = {
    "flask": flask_door,
    "starlette": starlette_door,
    "fastapi": fastapi_door,
    "django": django_door,
    "django-async": django_async_door,
}


@pytest.fixture(params=DOORS)
def make_door(request: pytest.FixtureRequest) -> Callable[[Backend], Door]:
    return DOORS[request.param]


@pytest.fixture
def door(make_door: Callable[[Backend], Door], backend: Backend) -> Door:
    return make_door(backend)


def test_session(door: Door, key: SigningKey) -> None:
    for where in ("/me", "/enough"):
        found = door(where, {"Authorization": f"Bearer {key.mint()}"})
        assert (found.status, found.body) == (200, {"subject": CLAIMS["sub"]})


def refusal(backend: Backend, headers: dict[str, str], require: Require | None) -> VerifyError:
    with pytest.raises(VerifyError) as caught:
        backend.validate_session(bearer_token(headers.get("Authorization")), require=require)
    return caught.value


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("/scope", "claims_scope_missing"),
        ("/role", "claims_role_missing"),
        ("/tenant", "claims_tenant_mismatch"),
        ("/recent", "claims_auth_too_old"),
        ("/acr", "claims_acr_insufficient"),
        ("/fresh", "status_unavailable"),
    ],
)
def test_requirements(door: Door, backend: Backend, key: SigningKey, where: str, code: str) -> None:
    check(door, backend, where, {"Authorization": f"Bearer {key.mint()}"}, code)


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "bearer_missing"),
        ("Bearer a b", "bearer_malformed"),
        ("Basic YTpi", "bearer_malformed"),
        ("Bearer not-a-token", "token_malformed"),
    ],
)
def test_bearer(door: Door, backend: Backend, authorization: str | None, code: str) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    check(door, backend, "/me", headers, code)


def test_verdict(door: Door, backend: Backend, key: SigningKey) -> None:
    expired = {"Authorization": f"Bearer {key.mint(exp=NOW - 31)}"}
    check(door, backend, "/me", expired, "claims_expired")


def test_keys_away(
    make_door: Callable[[Backend], Door], key: SigningKey, key_server: KeyServer
) -> None:
    key_server.status = 500
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri) as verifier:
        headers = {"Authorization": f"Bearer {key.mint()}"}
        check(make_door(verifier), verifier, "/me", headers, "key_set_unavailable")


def check(door: Door, backend: Backend, where: str, headers: dict[str, str], code: str) -> None:
    error = refusal(backend, headers, NEEDS[where])
    wanted = problem_of(error, NEEDS[where])
    assert wanted.body["code"] == code
    found = door(where, headers)
    assert found == Answer(wanted.status, "application/problem+json", wanted.headers, wanted.body)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_whole_django_site(verifier: Verifier, key: SigningKey, is_async: bool) -> None:
    middleware = "queue_verifier.integrations.django.RequireSession"

    def get(where: str, headers: dict[str, str]) -> tuple[int, Any]:
        async def exchange() -> HttpResponse:
            return await AsyncClient().get(where, headers=headers)

        client = Client(headers=headers)
        found = asyncio.run(exchange()) if is_async else client.get(where)
        return found.status_code, json.loads(found.content)

    with override_settings(
        MIDDLEWARE=[middleware],
        QUEUE_VERIFIER=verifier,
        QUEUE_REQUIRE=Require(scope="read:profile"),
        QUEUE_PUBLIC=["/open"],
    ):
        good = {"Authorization": f"Bearer {key.mint()}"}
        other = {"Authorization": f"Bearer {key.mint(scope='other')}"}
        for where in ("/open-async", "/me", "/async/me"):
            assert get(where, good) == (200, {"subject": CLAIMS["sub"]})
            status, body = get(where, other)
            assert (status, body["code"]) == (403, "claims_scope_missing")
            status, body = get(where, {})
            assert (status, body["code"]) == (401, "bearer_missing")
        assert get("/open", {}) == (200, {"subject": None})


MADE: list[Verifier] = []


def make_verifier() -> Verifier:
    key = SigningKey()
    MADE.append(Verifier(ISSUER, AUDIENCE, jwks=key.jwks, clock=lambda: NOW))
    return MADE[-1]


def test_django_verifier_by_its_path() -> None:
    with override_settings(QUEUE_VERIFIER=f"{__name__}.make_verifier"):
        client = Client(headers={"Authorization": f"Bearer {SigningKey().mint()}"})
        for _ in range(2):
            assert client.get("/me").json()["code"] == "key_not_found"
    (verifier,) = MADE
    verifier.close()


def test_fastapi_shows_what_it_asks_for(verifier: Verifier) -> None:
    document = fastapi_app(verifier).openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["Queue"]["type"] == "http"
    assert (schemes["Queue"]["scheme"], schemes["Queue"]["bearerFormat"]) == ("bearer", "JWT")
    assert document["paths"]["/me"]["get"]["security"] == [{"Queue": []}]
    assert "parameters" not in document["paths"]["/me"]["get"]


@pytest.mark.parametrize(
    "integration",
    [asgi_integration, django_integration, fastapi_integration, flask_integration],
)
def test_stays_small(integration: ModuleType) -> None:
    assert len(inspect.getsource(integration).splitlines()) <= 120
