"""One bounded HTTP/1.1 exchange with the issuer: takes a request, gives its answer as it arrives.

**Invariant:** every wait ends: connecting, sending, each silence, and the exchange as a whole.
**Invariant:** nothing is sent twice, no redirect is followed, no proxy of the environment is used.

RFC 9112; a connection serves one exchange, so no answer is ever taken for another's.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Timeouts", "Upstream", "UpstreamUnavailable"]


class UpstreamUnavailable(Exception):
    """The issuer could not be reached, was late, or spoke no HTTP."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, of silence, and of the whole exchange.

    Raises:
        ConfigError: `config_timeout_out_of_bounds`.
    """

    connect: float = 2.0
    read: float = 10.0
    total: float = 30.0

    def __post_init__(self) -> None:
        for seconds in (self.connect, self.read, self.total):
            if not 0 < seconds <= 3600:
                raise ConfigError("config_timeout_out_of_bounds", "expected 0 to 3600 seconds")


class Exchange:
    """An answer whose body is still to be read; close it."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse, line: _Line) -> None:
        self._connection = connection
        self._response = response
        self._line = line
        self.status = response.status
        self.headers: list[tuple[str, str]] = response.getheaders()

    def has_no_end(self) -> None:
        """Let the body last; a silence still ends it."""
        self._line.deadline = None

    def read(self, most: int) -> bytes:
        """Return what has arrived, at most so many bytes; nothing at the end of the body.

        Raises:
            UpstreamUnavailable: The body broke off or was late.
        """
        try:
            data = self._response.read1(most)
        except (OSError, HTTPException, ValueError) as error:
            raise UpstreamUnavailable("expected the rest of the body") from error
        if not data and (self._response.length or 0) > 0:
            raise UpstreamUnavailable("expected the rest of the body")
        return data

    def close(self) -> None:
        """Let go of the connection; the answer need not have been read."""
        self._response.close()
        self._connection.close()


class Upstream:
    """Where the issuer is.

    Args:
        base_url: `https://auth.internal`, or `http://127.0.0.1:4100`; no path.
        timeouts: The bounds of an exchange.

    Raises:
        ConfigError: `config_base_url_invalid`.
    """

    def __init__(self, base_url: str, timeouts: Timeouts) -> None:
        self._scheme, self._host, self._port = _origin(base_url)
        self._timeouts = timeouts
        self._tls = ssl.create_default_context() if self._scheme == "https" else None

    def send(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: Iterable[bytes] = (),
    ) -> Exchange:
        """Send one request; return the answer once its head is here.

        Args:
            method: The method.
            target: Path and query.
            headers: As they are sent, `Host` apart. Without `Content-Length` a body goes in chunks.
            body: Its parts.

        Raises:
            UpstreamUnavailable: No answer came.
            ValueError: Something cannot be written in a request.
        """
        headers = list(headers)
        connection = HTTPConnection(self._host, self._port)
        try:
            line = _Line(self._connect(), self._timeouts)
            connection.sock = line
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value.encode("latin-1"))
            connection.putheader("Connection", "close")
            connection.endheaders()
            is_chunked = any(name.lower() == "transfer-encoding" for name, _ in headers)
            with suppress(BrokenPipeError, ConnectionResetError):
                # Who refuses a body early has answered already.
                _send_body(connection, body, is_chunked=is_chunked)
            response = connection.getresponse()
            if response.status < 200:
                raise UpstreamUnavailable("expected an answer, found another protocol")
        except (OSError, HTTPException) as error:
            connection.close()
            raise UpstreamUnavailable("expected an answer of the issuer") from error
        except BaseException:
            connection.close()
            raise
        return Exchange(connection, response, line)

    def _connect(self) -> socket.socket:
        address = (self._host, self._port)
        plain = socket.create_connection(address, timeout=self._timeouts.connect)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                return plain
            return self._tls.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise


def _send_body(connection: HTTPConnection, body: Iterable[bytes], *, is_chunked: bool) -> None:
    for part in body:
        connection.send(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
    if is_chunked:
        connection.send(b"0\r\n\r\n")


class _Line:
    """A socket that no wait outlasts: what `http.client` needs of one, and no more."""

    def __init__(self, sock: socket.socket, timeouts: Timeouts) -> None:
        self._sock = sock
        self._read = timeouts.read
        self._users = 1
        self.deadline: float | None = time.monotonic() + timeouts.total

    def arm(self) -> None:
        """Give the next wait what is left of the exchange.

        Raises:
            TimeoutError: Nothing is left.
        """
        left = self._read
        if self.deadline is not None:
            left = min(left, self.deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def sendall(self, data: bytes) -> None:
        self.arm()
        self._sock.sendall(data)

    def receive(self, buffer: WriteableBuffer) -> int:
        self.arm()
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._users += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        # The connection lets go before the answer is read, as `http.client` does at `close`.
        self._users -= 1
        if self._users == 0:
            self._sock.close()


class _Reader(io.RawIOBase):
    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._line.receive(buffer)

    def close(self) -> None:
        if not self.closed:
            self._line.close()
        super().close()


def _origin(base_url: str) -> tuple[str, str, int]:
    wrong = ConfigError("config_base_url_invalid", "expected http or https, a host, and no path")
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise wrong from None
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in _PORTS or not parts.hostname or not is_plain:
        raise wrong
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


_PORTS = {"http": 80, "https": 443}
