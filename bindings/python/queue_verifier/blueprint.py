"""The issuer inside a Flask application: takes a request under `/api/v1/`, gives its answer.

**Invariant:** what reaches the issuer is under `/api/v1/`: a path with any spelling that two
readers might take for different paths is answered here.
**Invariant:** nothing is added that gives power: the caller's own `Authorization` and cookies
travel, the application's service token never does, so no page can borrow it.
**Invariant:** an answer is the issuer's, byte for byte, or a problem document of ours.

RFC 9110 §7.6.1 for what is hop by hop, RFC 9457 for problems.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from flask import Blueprint, Response, json, request

from .errors import ConfigError
from .flag import Flag
from .problem import CONTENT_TYPE
from .upstream import Exchange, Timeouts, Upstream, UpstreamUnavailable

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

__all__ = ["queue_blueprint"]


def queue_blueprint(
    base_url: str,
    *,
    flag: str | Flag | Callable[[], str | Flag] = "off",
    customer_id: Callable[[], str | None] | None = None,
    timeouts: Timeouts | None = None,
    max_body: int = 64 * 1024,
    max_exchanges: int = 32,
    trusted_proxies: Iterable[str] = (),
    name: str = "queue",
) -> Blueprint:
    """Return a blueprint that carries `/api/v1/` to the issuer and back.

    Args:
        base_url: Where the issuer is (`QUEUE_BASE_URL`); no path.
        flag: `FLAG_QUEUE_V1`: off, on or a share; or a callable, asked at each request. Off is 404.
        customer_id: Tells whom a request is about, where the application knows: with a share, the
            others are answered 404. Whom it does not know the issuer decides about.
        timeouts: The bounds of an exchange; the last does not end a stream of events.
        max_body: Bytes of a request's body; the issuer reads no more than the default.
        max_exchanges: How many may run at once in this process; more are answered 503.
        trusted_proxies: Addresses and networks before the application whose `X-Forwarded-For` is
            passed on. The issuer must trust the application in turn (`trusted_proxies`).
        name: The blueprint's.

    Raises:
        ConfigError: `config_base_url_invalid`, `config_flag_invalid`,
            `config_timeout_out_of_bounds`, `config_bounds_invalid`, `config_proxies_invalid`.
    """
    if max_body < 0 or max_exchanges < 1:
        raise ConfigError("config_bounds_invalid", "expected room for a body and an exchange")
    door = _Door(
        Upstream(base_url, timeouts or Timeouts()),
        _flag(flag),
        customer_id or (lambda: None),
        max_body,
        threading.BoundedSemaphore(max_exchanges),
        _networks(trusted_proxies),
    )
    blueprint = Blueprint(name, __name__, url_prefix="/api/v1")
    for rule in ("/", "/<path:rest>"):
        blueprint.add_url_rule(
            rule,
            "pass",
            door.carry,
            methods=_METHODS,
            provide_automatic_options=False,
            # A path is answered as it is, never by a redirect to another.
            merge_slashes=False,
            strict_slashes=False,
        )
    return blueprint


class _Door:
    def __init__(
        self,
        upstream: Upstream,
        flag: Callable[[], Flag],
        customer_id: Callable[[], str | None],
        max_body: int,
        room: threading.BoundedSemaphore,
        trusted: list[IPv4Network | IPv6Network],
    ) -> None:
        self._upstream = upstream
        self._flag = flag
        self._customer_id = customer_id
        self._max_body = max_body
        self._room = room
        self._trusted = trusted

    def carry(self, rest: str = "") -> Response:
        """Answer the request at hand."""
        if not self._is_shown():
            return _problem(404, "queue_disabled", "Queue is not switched on")
        target = _target(rest)
        if target is None:
            return _problem(404, "route_not_found", "There is nothing here")
        if (request.content_length or 0) > self._max_body:
            return _too_large()
        try:
            parts = self._body()
            # Who sends slowly holds a thread of the server, not a place here.
            first = next(parts, b"")
        except _TooLarge:
            return _too_large()
        if not self._room.acquire(blocking=False):
            return _unavailable()
        try:
            exchange = self._upstream.send(
                request.method, target, self._request_headers(), _joined(first, parts)
            )
        except BaseException as error:
            self._room.release()
            if isinstance(error, _TooLarge):
                return _too_large()
            if isinstance(error, UpstreamUnavailable):
                return _unavailable()
            if isinstance(error, ValueError):
                return _problem(400, "request_malformed", "The request cannot be read")
            raise
        return _answer(exchange, self._room.release)

    def _is_shown(self) -> bool:
        flag = self._flag()
        if not flag.is_visible:
            return False
        customer = self._customer_id()
        return customer is None or flag.admits(customer)

    def _body(self) -> Iterator[bytes]:
        sent = 0
        while part := request.stream.read(_PART):
            sent += len(part)
            if sent > self._max_body:
                raise _TooLarge
            yield part

    def _request_headers(self) -> list[tuple[str, str]]:
        named = _named(request.headers.getlist("Connection"))
        kept = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in named | _HOP_BY_HOP | _OURS
            and not name.lower().startswith("x-forwarded-")
        ]
        if request.content_length is not None:
            kept.append(("Content-Length", str(request.content_length)))
        elif "Transfer-Encoding" in request.headers:
            kept.append(("Transfer-Encoding", "chunked"))
        if address := self._client():
            kept.append(("X-Forwarded-For", address))
        kept.append(("X-Forwarded-Proto", request.scheme))
        kept.append(("X-Forwarded-Host", request.host))
        return kept

    def _client(self) -> str | None:
        """Return the way to the client, as far as the application's own peer vouches for it."""
        try:
            peer = ip_address(request.remote_addr or "")
        except ValueError:
            return None
        said = ", ".join(request.headers.getlist("X-Forwarded-For"))
        if said and any(peer in network for network in self._trusted):
            return f"{said}, {peer}"
        return str(peer)


class _TooLarge(Exception):
    """A body without a stated length went on too long."""


def _target(rest: str) -> str | None:
    """Return path and query for the issuer; None for a path that might be read in two ways."""
    raw: str | None = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI")
    query: str = request.environ.get("QUERY_STRING", "")
    is_plain = all(_SEGMENT.fullmatch(part) and part not in _DOTS for part in rest.split("/"))
    # What the server was sent, before it was decoded: no other spelling of the same path.
    is_as_sent = raw is None or "%" not in raw.partition("?")[0]
    if not is_plain or not is_as_sent or not _QUERY.fullmatch(query):
        return None
    return f"/api/v1/{rest}?{query}" if query else f"/api/v1/{rest}"


def _answer(exchange: Exchange, release: Callable[[], None]) -> Response:
    named = _named(value for name, value in exchange.headers if name.lower() == "connection")
    headers = [
        (name, value)
        for name, value in exchange.headers
        # The application's own server dates its answers and says who it is.
        if name.lower() not in named | _HOP_BY_HOP | {"date", "server"}
    ]
    if any(
        name.lower() == "content-type" and value.lower().startswith("text/event-stream")
        for name, value in headers
    ):
        exchange.has_no_end()
    body = _Body(exchange, release)
    response = Response(body, exchange.status, direct_passthrough=True)
    response.headers.clear()
    for name, value in headers:
        response.headers.add(name, value)
    return response


class _Body:
    """The issuer's answer as it arrives; whoever ends it, also unread, frees its place."""

    def __init__(self, exchange: Exchange, release: Callable[[], None]) -> None:
        self._exchange = exchange
        self._release: Callable[[], None] | None = release

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        # A body that breaks off raises, so that the server cuts the connection: no shorter whole.
        data = self._exchange.read(_PART)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """Free the place, once."""
        release, self._release = self._release, None
        if release is not None:
            self._exchange.close()
            release()

    # An answer that a later hook of the application threw away was closed by nobody.
    __del__ = close


def _named(connection: Iterable[str]) -> set[str]:
    """Return the headers that `Connection` names (RFC 9110 §7.6.1)."""
    return {name.strip().lower() for value in connection for name in value.split(",")}


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _too_large() -> Response:
    return _problem(413, "request_too_large", "The request body is too large")


def _unavailable() -> Response:
    response = _problem(503, "queue_unavailable", "Queue cannot answer now")
    response.headers["Retry-After"] = "1"
    return response


def _problem(status: int, code: str, title: str) -> Response:
    body = {"type": f"urn:queue:problem:{code}", "title": title, "status": status, "code": code}
    headers = {"Cache-Control": "no-store"}
    return Response(json.dumps(body), status, headers, mimetype=CONTENT_TYPE)


def _flag(flag: str | Flag | Callable[[], str | Flag]) -> Callable[[], Flag]:
    if callable(flag):
        ask = flag
        return lambda: _parsed(ask())
    fixed = _parsed(flag)
    return lambda: fixed


def _parsed(flag: str | Flag) -> Flag:
    return flag if isinstance(flag, Flag) else Flag.parse(flag)


def _networks(texts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(text) for text in texts]
    except ValueError:
        raise ConfigError("config_proxies_invalid", "expected addresses and networks") from None


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_PART = 64 * 1024
_DOTS = (".", "..")
# Every path of the issuer is made of these; an empty segment is one that others may merge.
_SEGMENT = re.compile(r"[A-Za-z0-9._~:@!$&'()*+,=-]+")
_QUERY = re.compile(r"[!-~]{0,8192}")
_HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
# Written anew, or none of the issuer's business.
_OURS = frozenset(["content-length", "expect", "forwarded", "host", "x-real-ip"])
