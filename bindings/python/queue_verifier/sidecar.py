"""The same verifier behind the sidecar's loopback HTTP or unix socket; standard library only.

The sidecar decides; this module carries tokens there and verdicts back. Whatever keeps it from
getting a verdict is a fault, never a pass: `sidecar_unavailable`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakSet

from .errors import FAULT_CODES, ConfigError, InvalidRequest, InvalidToken, KeysUnavailable
from .session import Claims, Freshness, Session

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .backend import Require

__all__ = ["SidecarVerifier"]

_MAX_ANSWER = 1024 * 1024
_VERDICT_ROOMS = ("token_", "header_", "key_", "signature_", "claims_", "status_")
# Neither bytes beyond ASCII nor controls are in the alphabet of a compact JWS (RFC 7515 §7.1), and
# nor is "?": putting one for the other keeps length, segments and verdict, and leaves text that
# JSON carries without growing.
_PLAIN = bytes(byte if 0x20 <= byte < 0x7F else ord("?") for byte in range(256))
# Past the 16 KiB that any token may have, what follows changes no verdict: only so much is sent,
# so that the body stays within what the sidecar reads.
_ENOUGH = 24 * 1024


class SidecarVerifier:
    """Validates sessions by asking the sidecar; share one between all threads.

    Args:
        url_or_socket: `http://127.0.0.1:4140`, or `unix:/path/to/socket`.
        timeout: Seconds to wait for the sidecar at each step: connect, send, answer.
        require: What every session must have, whatever a call requires besides.
        pool_size: Idle connections kept.

    Raises:
        ConfigError: `config_sidecar_url_invalid`, `config_timeout_out_of_bounds`.
    """

    def __init__(
        self,
        url_or_socket: str,
        *,
        timeout: float = 2.0,
        require: Require | None = None,
        pool_size: int = 16,
    ) -> None:
        if not 0 < timeout < float("inf"):
            raise ConfigError("config_timeout_out_of_bounds", "expected a timeout in seconds")
        self._address = _address(url_or_socket)
        self._timeout = timeout
        self._require = require
        self._pool_size = pool_size
        # Append and pop of a deque are atomic: no lock to be held across a fork.
        self._idle: deque[HTTPConnection] = deque()
        self._closed = threading.Event()
        _live.add(self)

    def validate_session(self, token: str | bytes, *, require: Require | None = None) -> Session:
        """Return the session of `token`, as the sidecar judges it.

        Args:
            token: The compact JWS.
            require: What this call requires beside what the verifier does.

        Raises:
            InvalidToken: The token is bad; any code but the faults'.
            KeysUnavailable: `key_set_unavailable`, `status_unavailable`, `sidecar_unavailable`.
        """
        own = self._require
        if own is None or require is None:
            return self._judge(token, own or require)
        both = own.beside(require)
        if both is not None:
            try:
                return self._judge(token, both)
            except InvalidToken:
                pass  # Which of the two it failed shows when they are asked one by one.
        self._judge(token, own)
        return self._judge(token, require)

    def _judge(self, token: str | bytes, require: Require | None) -> Session:
        """Ask the sidecar once."""
        question: dict[str, Any] = {"token": _text(token)}
        if require is not None:
            question["require"] = require.to_json()
        status, answer = self._exchange("POST", "/v1/validate", json.dumps(question).encode())
        if status != 200:
            raise _refusal(status, answer)
        session = _session(answer)
        if session is None:
            raise _unavailable("expected a session from the sidecar")
        return session

    async def validate_session_async(
        self, token: str | bytes, *, require: Require | None = None
    ) -> Session:
        """Return the session of `token`; the exchange runs in a thread of the event loop's pool.

        Args:
            token: The compact JWS.
            require: What this call requires beside what the verifier does.

        Raises:
            InvalidToken: The token is bad; any code but the faults'.
            KeysUnavailable: `key_set_unavailable`, `status_unavailable`, `sidecar_unavailable`.
        """
        # Here, not above: programs without an event loop need not pay for the import.
        import asyncio

        return await asyncio.to_thread(self.validate_session, token, require=require)

    def ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the sidecar to be ready; return whether it is."""
        deadline = time.monotonic() + timeout
        pause = 0.02
        while True:
            try:
                if self._exchange("GET", "/readyz")[0] == 200:
                    return True
            except KeysUnavailable:
                pass
            left = deadline - time.monotonic()
            if left <= 0 or self._closed.wait(min(pause, left)):
                return False
            pause = min(2 * pause, 0.5)

    def status(self) -> dict[str, Any]:
        """Return what the sidecar knows: issuers, keys, status lists, what it remembers.

        Raises:
            KeysUnavailable: `sidecar_unavailable`.
        """
        status, answer = self._exchange("GET", "/v1/status")
        if status != 200 or answer is None:
            raise _unavailable(f"expected a status from the sidecar, found {status}")
        return answer

    def refresh(self) -> None:
        """Do nothing: the sidecar keeps its keys fresh for all who ask it."""

    def close(self) -> None:
        """Close the connections; every later call raises `KeysUnavailable`."""
        self._closed.set()
        while (connection := self._take()) is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self) -> HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _exchange(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, dict[str, Any] | None]:
        """Return status and JSON object of the answer; try anew when a kept connection is dead."""
        if self._closed.is_set():
            raise _unavailable("expected an open verifier, found a closed one")
        while (kept := self._take()) is not None:
            try:
                return self._ask(kept, method, path, body)
            except TimeoutError as error:
                raise _unavailable("expected the sidecar to answer in time") from error
            except (OSError, HTTPException):
                continue  # The sidecar closed it meanwhile; validating twice harms nobody.
        try:
            return self._ask(self._connection(), method, path, body)
        except TimeoutError as error:
            raise _unavailable("expected the sidecar to answer in time") from error
        except (OSError, HTTPException) as error:
            raise _unavailable("expected to reach the sidecar") from error

    def _ask(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None
    ) -> tuple[int, dict[str, Any] | None]:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read(_MAX_ANSWER)
            is_whole = response.isclosed()
        except BaseException:
            connection.close()
            raise
        # `sock` is None when the answer said that the connection ends with it.
        is_kept = is_whole and connection.sock is not None and not self._closed.is_set()
        if is_kept and len(self._idle) < self._pool_size:
            self._idle.append(connection)
        else:
            connection.close()
        return response.status, _object(text) if is_whole else None

    def _connection(self) -> HTTPConnection:
        host, port, path = self._address
        if path is not None:
            return _UnixConnection(path, self._timeout)
        return HTTPConnection(host, port, timeout=self._timeout)


class _UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        self.sock = connection


def _address(url_or_socket: str) -> tuple[str, int, str | None]:
    """Return host and port, or the path of a unix socket."""
    wrong = ConfigError(
        "config_sidecar_url_invalid",
        "expected http://<loopback address>:<port> or unix:/<path>",
    )
    if url_or_socket.startswith("unix:"):
        path = url_or_socket.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise wrong
        return "localhost", 80, path
    try:
        url = urlsplit(url_or_socket)
        host, port = url.hostname, url.port
        is_loopback = host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        raise wrong from None
    has_more = url.path not in ("", "/") or url.query or url.fragment or "@" in url.netloc
    # Tokens travel in clear: not beyond this machine.
    if url.scheme != "http" or host is None or not is_loopback or has_more:
        raise wrong
    return host, 80 if port is None else port, None


def _text(token: str | bytes) -> str:
    if isinstance(token, str):
        if token.isascii() and token.isprintable():
            return token[:_ENOUGH]
        token = token.encode("utf-8", "surrogatepass")
    elif not isinstance(token, bytes):
        raise TypeError("expected a token of type str or bytes")
    return token[:_ENOUGH].translate(_PLAIN).decode("ascii")


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(status: int, problem: dict[str, Any] | None) -> Exception:
    problem = problem or {}
    code, detail = problem.get("code"), problem.get("detail")
    message = detail if isinstance(detail, str) else "refused by the sidecar"
    if not isinstance(code, str):
        return _unavailable(f"expected a verdict from the sidecar, found {status}")
    if code in FAULT_CODES:
        return KeysUnavailable(code, message)
    if code.startswith("bearer_"):
        return InvalidRequest(code, message)
    if 400 <= status < 500 and code.startswith(_VERDICT_ROOMS):
        return InvalidToken(code, message)
    return _unavailable(f"expected a verdict from the sidecar, found {code}: {message}")


def _unavailable(message: str) -> KeysUnavailable:
    return KeysUnavailable("sidecar_unavailable", message)


def _session(answer: dict[str, Any] | None) -> Session | None:
    """Return the session, or None when it is not one: then something else answered."""
    try:
        members = dict(answer or {})
        freshness = Freshness(**members.pop("freshness"))
        claims = Claims.of(dict(members.pop("claims")))
        for name in ("audience", "roles", "scope", "amr"):
            members[name] = _texts(members[name])
        session = Session(claims=claims, freshness=freshness, **members)
    except (KeyError, TypeError, ValueError):
        return None
    ids = (session.subject, session.client_id, session.session_id, session.token_id)
    texts = (*ids, session.tenant_id, session.acr)
    numbers = (session.auth_time, session.issued_at, session.authz_ver)
    is_sound = (
        type(session.issuer) is str
        and type(session.expires_at) is int
        and all(text is None or type(text) is str for text in texts)
        and all(number is None or type(number) is int for number in numbers)
    )
    return session if is_sound else None


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or any(type(value) is not str for value in values):
        raise TypeError("expected a list of strings")
    return tuple(values)


_live: WeakSet[SidecarVerifier] = WeakSet()


def _after_fork_in_child() -> None:
    # Two processes must not talk over one connection; the parent keeps those there are.
    for verifier in list(_live):
        verifier._idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
