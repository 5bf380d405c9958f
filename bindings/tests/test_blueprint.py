from __future__ import annotations

import json
from typing import Any

import pytest

from mounted import OK, Serve, lines_of, make_app
from queue_verifier import ConfigError
from queue_verifier.cutover import Flag, Timeouts, queue_blueprint
from raw import answering, exchange, serving


def test_request_is_carried(serve: Serve) -> None:
    issuer = serve(OK)
    client = make_app(issuer.url).test_client(use_cookies=False)
    answer = client.post(
        "/api/v1/auth/token/refresh?x=%20a&y",
        data=b'{"a":1}',
        headers={
            "Authorization": "Bearer t",
            "Cookie": "__Host-queue_rt=r; other=1",
            "X-Queue-CSRF": "1",
            "Content-Type": "application/json",
            "Connection": "keep-alive, X-Secret-Hop",
            "X-Secret-Hop": "1",
            "Keep-Alive": "1",
            "TE": "trailers",
            "Upgrade": "h2c",
            "Proxy-Authorization": "x",
            "X-Forwarded-For": "192.0.2.9",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Anything": "1",
            "Forwarded": "for=192.0.2.9",
            "X-Real-IP": "192.0.2.9",
            "Expect": "100-continue",
        },
    )
    assert (answer.status_code, answer.data) == (200, b"{}")
    (request,) = issuer.requests
    first, headers = lines_of(request)
    assert first == "POST /api/v1/auth/token/refresh?x=%20a&y HTTP/1.1"
    assert request.endswith(b'\r\n\r\n{"a":1}')
    assert {name for name in headers if name != "user-agent"} == {
        "host",
        "authorization",
        "cookie",
        "x-queue-csrf",
        "content-type",
        "content-length",
        "connection",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    }
    assert headers["host"] == issuer.url.removeprefix("http://")
    assert headers["connection"] == "close"
    assert headers["authorization"] == "Bearer t"
    assert headers["cookie"] == "__Host-queue_rt=r; other=1"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == "localhost"


def test_nothing_is_added_that_gives_power(serve: Serve) -> None:
    issuer = serve(OK)
    make_app(issuer.url).test_client().get("/api/v1/customers/1")
    headers = lines_of(issuer.requests[0])[1]
    assert not {"authorization", "cookie", "x-queue-csrf", "origin"} & headers.keys()


def test_a_trusted_proxy_says_where_the_client_is(serve: Serve) -> None:
    issuer = serve(OK)
    said = {"X-Forwarded-For": "198.51.100.7"}
    app = make_app(issuer.url, trusted_proxies=["127.0.0.0/8"])
    app.test_client().get("/api/v1/x", headers=said)
    assert lines_of(issuer.requests[0])[1]["x-forwarded-for"] == "198.51.100.7, 127.0.0.1"
    elsewhere = {"REMOTE_ADDR": "203.0.113.1"}
    app.test_client().get("/api/v1/x", headers=said, environ_overrides=elsewhere)
    assert lines_of(issuer.requests[1])[1]["x-forwarded-for"] == "203.0.113.1"
    app.test_client().get("/api/v1/x", headers=said, environ_overrides={"REMOTE_ADDR": ""})
    assert "x-forwarded-for" not in lines_of(issuer.requests[2])[1]


def test_answer_is_carried(serve: Serve) -> None:
    problem = b'{"code":"authentication_failed",  "x":1}'
    issuer = serve(
        answering(
            "HTTP/1.1 401 Nope\nContent-Type: application/problem+json\n"
            f"Content-Length: {len(problem)}\nSet-Cookie: a=1; Path=/; HttpOnly\n"
            "Set-Cookie: b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT\n"
            "WWW-Authenticate: Bearer\nWWW-Authenticate: Other\nConnection: close, X-Hop\n"
            "X-Hop: 1\nKeep-Alive: 5\nServer: x\nX-Request-Id: r",
            problem,
        )
    )
    answer = make_app(issuer.url).test_client().get("/api/v1/auth/me")
    assert (answer.status_code, answer.data) == (401, problem)
    assert list(answer.headers) == [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(problem))),
        ("Set-Cookie", "a=1; Path=/; HttpOnly"),
        ("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
        ("WWW-Authenticate", "Bearer"),
        ("WWW-Authenticate", "Other"),
        ("X-Request-Id", "r"),
    ]


def test_redirects_are_not_followed(serve: Serve) -> None:
    elsewhere = serve(OK)
    issuer = serve(answering(f"HTTP/1.1 302 Found\nLocation: {elsewhere.url}/x\nContent-Length: 0"))
    answer = make_app(issuer.url).test_client().get("/api/v1/x")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{elsewhere.url}/x")
    assert elsewhere.connections == 0


def test_answers_without_a_body(serve: Serve) -> None:
    issuer = serve(answering("HTTP/1.1 204 No Content"))
    client = make_app(issuer.url, max_exchanges=1).test_client()
    assert client.delete("/api/v1/auth/sessions/1").status_code == 204
    issuer.behave = answering("HTTP/1.1 200 OK\nContent-Length: 10")
    assert client.head("/api/v1/x").headers["Content-Length"] == "10"
    # The one place is free again after each.
    issuer.behave = OK
    assert client.get("/api/v1/x").status_code == 200


@pytest.mark.parametrize("flag", ["off", "0%", lambda: "off"])
def test_queue_disabled(serve: Serve, flag: Any) -> None:
    issuer = serve(OK)
    answer = make_app(issuer.url, flag=flag).test_client().get("/api/v1/auth/me")
    assert answer.status_code == 404
    assert answer.json["code"] == "queue_disabled"  # type: ignore[index]
    assert answer.mimetype == "application/problem+json"
    assert issuer.connections == 0


def test_share_is_decided_by_the_customer(serve: Serve) -> None:
    issuer = serve(OK)
    known: list[str | None] = [None]
    flag = ["50%"]
    app = make_app(issuer.url, flag=lambda: flag[0], customer_id=lambda: known[0])
    client = app.test_client()
    assert client.get("/api/v1/x").status_code == 200
    ids = [f"00000000-0000-7000-8000-{n:012}" for n in range(100)]
    for known[0] in ids:
        expected = 200 if Flag.parse("50%").admits(str(known[0])) else 404
        assert client.get("/api/v1/x").status_code == expected
    known[0] = "no UUID"
    assert client.get("/api/v1/x").status_code == 404
    flag[0] = "on"
    assert client.get("/api/v1/x").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../../metrics",
        "/api/v1/%2e%2e/metrics",
        "/api/v1/%2E%2E%2Fmetrics",
        "/api/v1/..%2f..%2fmetrics",
        "/api/v1/./auth/me",
        "/api/v1//auth/me",
        "/api/v1/auth//me",
        "/api/v1/auth/me/",
        "/api/v1/auth%2Fme",
        "/api/v1/auth/%6De",
        "/api/v1/auth\\..\\me",
        "/api/v1/auth/me;x=1",
        "/api/v1/auth/me%00",
        "/api/v1/auth/me%0d%0aX-Evil:1",
        "/api/v1/auth/m%C3%A9",
        "/api/v1/%252e%252e/metrics",
        "/api/v1/",
        "/api/v1",
        "/api/v1/http://evil.example/",
        "/api/v1/..",
    ],
)
def test_no_spelling_of_a_path_passes(serve: Serve, path: str) -> None:
    issuer = serve(OK)
    with serving(make_app(issuer.url)) as address:
        answer = exchange(address, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] in (b"404", b"400"), answer
    assert issuer.connections == 0


def test_odd_queries_do_not_pass(serve: Serve) -> None:
    issuer = serve(OK)
    client = make_app(issuer.url).test_client()
    for query in ("a b", "a\x01", "é", "x" * 9000):
        answer = client.get("/api/v1/x", environ_overrides={"QUERY_STRING": query})
        assert answer.status_code == 404
    assert issuer.connections == 0


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"base_url": "ftp://x"}, "config_base_url_invalid"),
        ({"base_url": "http://x/path"}, "config_base_url_invalid"),
        ({"base_url": "http://user@x"}, "config_base_url_invalid"),
        ({"base_url": "http://x:port"}, "config_base_url_invalid"),
        ({"base_url": "x"}, "config_base_url_invalid"),
        ({"flag": "yes"}, "config_flag_invalid"),
        ({"max_exchanges": 0}, "config_bounds_invalid"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "config_proxies_invalid"),
    ],
)
def test_settings(settings: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        queue_blueprint(**{"base_url": "http://127.0.0.1:1", **settings})
    assert refused.value.code == code


def test_timeouts_out_of_bounds() -> None:
    for seconds in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="config_timeout_out_of_bounds"):
            Timeouts(read=seconds)


def test_problem_documents(serve: Serve) -> None:
    answer = make_app(serve(OK).url, flag="off").test_client().get("/api/v1/x")
    assert json.loads(answer.data) == {
        "type": "urn:queue:problem:queue_disabled",
        "title": "Queue is not switched on",
        "status": 404,
        "code": "queue_disabled",
    }
    assert answer.headers["Cache-Control"] == "no-store"
