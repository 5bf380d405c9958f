"""The table of cases: what is sent, and how it must end; the same for every proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .raw import Fields, head
from .world import World

LET_IN = "let in"
REFUSED = "refused"
HARMLESS = "harmless"
"""Let in or refused, as the proxy likes: whoever is let in is who they are, where they may be."""


@dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    must: str
    request: Callable[[World], bytes]


def bearer(world: World, kind: str) -> Fields:
    return [("Authorization", f"Bearer {world.tokens[kind]}")]


def get(target: str, kind: str | None = "good", *more: tuple[str, str]) -> Callable[[World], bytes]:
    """A GET with the token of that kind, and further fields before it."""
    return lambda world: head(
        "GET", target, [*more, *(bearer(world, kind) if kind is not None else [])]
    )


def _tokens() -> Iterator[Case]:
    yield Case("a good token", LET_IN, get("/me"))
    yield Case("no token", REFUSED, get("/me", None))
    yield Case("garbage for a token", REFUSED, get("/me", "garbage"))
    yield Case("an expired token", REFUSED, get("/me", "expired"))
    yield Case("a token for another audience", REFUSED, get("/me", "audience"))
    yield Case("a token of another issuer", REFUSED, get("/me", "issuer"))
    yield Case("a token signed by a stranger", REFUSED, get("/me", "stranger"))
    yield Case("an unsigned token", REFUSED, get("/me", "unsigned"))
    yield Case("a token of another kind", REFUSED, get("/me", "kind"))
    yield Case("a token of a revoked session", REFUSED, get("/me", "revoked"))
    yield Case("two tokens", REFUSED, lambda world: _two(world, "good", "admin"))
    yield Case("two tokens, one of them bad", REFUSED, lambda world: _two(world, "garbage", "good"))
    yield Case(
        "credentials of another scheme", REFUSED, get("/me", None, ("Authorization", "Basic YTpi"))
    )
    yield Case("a token in the query", REFUSED, _in_query)
    yield Case("a query of its own", LET_IN, get("/me?role=admin&x=%2f;//"))
    yield Case("a query that asks for less", REFUSED, get("/admin?role=antlers-user"))
    yield Case("/admin without the role", REFUSED, get("/admin"))
    yield Case("/admin with the role", LET_IN, get("/admin", "admin"))
    yield Case("/admin/ without the role", REFUSED, get("/admin/users"))
    yield Case("/public/ without a token", LET_IN, get("/public/", None))


def _two(world: World, one: str, other: str) -> bytes:
    return head("GET", "/me", [*bearer(world, one), *bearer(world, other)])


def _in_query(world: World) -> bytes:
    return head("GET", f"/me?access_token={world.tokens['good']}", [])


def _forged_headers() -> Iterator[Case]:
    forms = (
        "X-Queue-Subject",
        "x_queue_subject",
        "X.Queue.Subject",
        "x-QUEUE-roles",
        "X-Queue_Roles",
    )
    for name in forms:
        yield Case(f"{name} beside a good token", HARMLESS, get("/me", "good", (name, FORGED)))
        yield Case(f"{name} at /public/", HARMLESS, get("/public/", None, (name, FORGED)))
    twice = (("X-Queue-Roles", FORGED), ("x-queue-roles", FORGED))
    yield Case("X-Queue-Roles twice", HARMLESS, get("/me", "good", *twice))
    hop = (("Connection", "close, X-Queue-Subject, Authorization"), ("X-Queue-Subject", FORGED))
    yield Case("Connection names the header", HARMLESS, get("/me", "good", *hop))
    uri = (
        ("X-Forwarded-Uri", "/public/"),
        ("X-Original-URL", "/public/"),
        ("X-Forwarded-Method", "OPTIONS"),
    )
    yield Case("a forwarded request line", REFUSED, get("/admin", "good", *uri))
    envoy = (("x-envoy-original-path", "/public/"), ("x-rewrite-url", "/public/"))
    yield Case("an original path", REFUSED, get("/admin", "good", *envoy))
    page = (("Origin", "https://antlers.example"), ("Sec-Fetch-Site", "cross-site"))
    yield Case("a request of a page", LET_IN, get("/me", "good", *page))
    yield Case("a cross-origin preflight", REFUSED, lambda _: head("OPTIONS", "/me", list(page)))


PATHS = (
    "//admin",
    "/./admin",
    "/public/../admin",
    "/public/..;/admin",
    "/public/%2e%2e/admin",
    "/public/..%2fadmin",
    "/public/..%5cadmin",
    "/public/..%252fadmin",
    r"/public/..\admin",
    "/%2e%2e/admin",
    "/%61dmin",
    "/ADMIN",
    "/admin/",
    "/admin;x",
    "/admin%2f",
    "/admin%3fx",
    "/admin%23x",
    "/admin#x",
    "/admin%00",
    "/me/..;/admin",
    "http://service.example/admin",
    "http://service.example//admin",
)


def _paths() -> Iterator[Case]:
    for path in PATHS:
        yield Case(f"`{path}` without the role", HARMLESS, get(path))
    for path in (
        "/public/../me",
        "/public/..;/me",
        "/public/%2e%2e/me",
        "/public/..%2fme",
        "/public%2f..%2fme",
    ):
        yield Case(f"`{path}` without a token", HARMLESS, get(path, None))


def _framing() -> Iterator[Case]:
    inner = b"GET /me HTTP/1.1\r\nHost: service.example\r\n\r\n"

    def smuggled(*fields: tuple[str, str], body: bytes) -> Callable[[World], bytes]:
        opening = head("POST", "/public/", [*fields, ("Connection", "keep-alive")])
        return lambda _: opening + body

    chunked = b"0\r\n\r\n" + inner
    length = ("Content-Length", str(len(chunked)))
    for name, encoding in (
        ("Content-Length and Transfer-Encoding", ("Transfer-Encoding", "chunked")),
        ("a blank before the colon", ("Transfer-Encoding ", "chunked")),
        ("an encoding nobody knows", ("Transfer-Encoding", "xchunked")),
        ("an encoding named twice", ("Transfer-Encoding", "chunked, identity")),
        ("an encoding after a tab", ("Transfer-Encoding", "\tchunked")),
    ):
        yield Case(name, HARMLESS, smuggled(length, encoding, body=chunked))
    short = ("Content-Length", "5")
    yield Case("two lengths", HARMLESS, smuggled(length, short, body=chunked))
    yield Case("a length with a sign", HARMLESS, smuggled(("Content-Length", "+5"), body=chunked))
    folds = f"X-Queue-Subject:\r\n {FORGED}\r\n"
    yield Case("a folded line", HARMLESS, lambda world: _inserted(world, folds))
    bare = f"X-A: b\nX-Queue-Subject: {FORGED}\r\n"
    yield Case("a bare line feed", HARMLESS, lambda world: _inserted(world, bare))
    carriage = f"X-A: b\rX-Queue-Subject: {FORGED}\r\n"
    yield Case("a bare carriage return", HARMLESS, lambda world: _inserted(world, carriage))
    yield Case("a NUL in a header", HARMLESS, lambda world: _inserted(world, "X-A: \0\r\n"))
    yield Case(
        "a header that is no text", HARMLESS, lambda world: _inserted(world, "X-A: \xff\xfe\r\n")
    )
    yield Case(
        "a header of 80 KiB", REFUSED, lambda world: _inserted(world, f"X-A: {'a' * 81920}\r\n")
    )
    yield Case(
        "90 headers of 1 KiB",
        REFUSED,
        lambda world: _inserted(world, f"X-A: {'a' * 1024}\r\n" * 90),
    )
    yield Case(
        "a token of 20 KiB",
        REFUSED,
        lambda _: head("GET", "/me", [("Authorization", "Bearer " + "a" * 20480)]),
    )
    yield Case("two hosts", HARMLESS, get("/me", "good", ("Host", "other.example")))
    yield Case(
        "another host",
        LET_IN,
        lambda world: head("GET", "/me", bearer(world, "good"), host="evil.example"),
    )
    yield Case("a body", LET_IN, _with_body)


def _inserted(world: World, lines: str) -> bytes:
    """A good request with `lines` among its fields, byte for byte."""
    good = head("GET", "/me", bearer(world, "good"))
    return good[:-2] + lines.encode("latin-1") + b"\r\n"


def _with_body(world: World) -> bytes:
    length = ("Content-Length", "10000")
    return head("POST", "/me", [*bearer(world, "good"), length]) + b"a" * 10_000


FORGED = "forged"
CASES = (*_tokens(), *_forged_headers(), *_paths(), *_framing())
GOOD = CASES[0]
