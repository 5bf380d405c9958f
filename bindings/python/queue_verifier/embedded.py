"""The verifier inside this process: keys cached, tokens judged without I/O."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from . import _native
from .errors import ConfigError, KeysUnavailable

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .backend import Require
    from .session import Session

__all__ = ["Verifier"]

_MAX_SECONDS = 2**53


class Verifier:
    """Validates sessions of one issuer offline; make one, share it between all threads.

    Args:
        issuer: `iss` of every good token, byte for byte.
        audience: The `aud` value, or values, this service answers to.
        jwks_uri: Where the keys are published: https, or http on loopback. Without any key
            source it is discovered from `<issuer>/.well-known/openid-configuration`.
        jwks: A JWK Set, as JSON text or parsed; never changes.
        jwks_file: A file with a JWK Set; read once.
        public_key: One public key, PEM; serves tokens of any `kid`.
        algorithms: What a token may be signed with: RS256 RS384 RS512 PS256 PS384 PS512 ES256
            ES384 EdDSA.
        profile: `session` (Queue's tokens), `rfc9068` (any access token of that RFC) or `jwt`
            (a foreign issuer's JWT). Fixes `typ` and the required claims, nothing else.
        leeway: Tolerance in seconds on `exp`, `nbf` and `iat`; at most 300.
        stale_limit: Seconds that keys serve past their lifetime while the issuer is away; at
            most a day.
        require: What every session must have, whatever a call requires besides.
        clock: For tests: returns Unix seconds.

    Raises:
        ConfigError: `config_<what>`, before anything is started.
    """

    __slots__ = ("__weakref__", "_build", "_fetches", "_native", "_require")

    def __init__(
        self,
        issuer: str,
        audience: str | Iterable[str],
        *,
        jwks_uri: str | None = None,
        jwks: str | Mapping[str, Any] | None = None,
        jwks_file: str | os.PathLike[str] | None = None,
        public_key: str | bytes | None = None,
        algorithms: Iterable[str] = ("RS256",),
        profile: Literal["session", "rfc9068", "jwt"] = "session",
        leeway: int = 30,
        stale_limit: int = 3600,
        require: Require | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        source, keys = _key_source(jwks_uri, jwks, jwks_file, public_key)
        audience = [audience] if isinstance(audience, str) else list(audience)
        algorithms = [algorithms] if isinstance(algorithms, str) else list(algorithms)
        leeway = _seconds(leeway, "config_leeway_out_of_bounds")
        stale_limit = _seconds(stale_limit, "config_stale_limit_out_of_bounds")
        compiled = None if require is None else _compile(require)

        def build() -> _native.Verifier:
            return _native.Verifier(
                issuer=issuer,
                audience=audience,
                source=source,
                keys=keys,
                algorithms=algorithms,
                profile=profile,
                leeway=leeway,
                stale_limit=stale_limit,
                require=compiled,
                clock=clock,
            )

        self._build = build
        self._fetches = source in ("discovery", "jwks_uri")
        self._native: _native.Verifier | _Closed = build()
        _live.add(self)

    def validate_session(self, token: str | bytes, *, require: Require | None = None) -> Session:
        """Return the session of `token`, judged offline with the GIL released.

        A token whose key is not at hand waits for at most one bounded refresh.

        Args:
            token: The compact JWS.
            require: What this call requires beside what the verifier does.

        Raises:
            InvalidToken: The token is bad; any code but the fault's.
            KeysUnavailable: `key_set_unavailable`.
        """
        if require is None:
            return self._native.validate_session(token)
        return self._native.validate_session(token, require._compiled or _compile(require))

    async def validate_session_async(
        self, token: str | bytes, *, require: Require | None = None
    ) -> Session:
        """Return the session of `token`; awaits only while its key is being fetched.

        Args:
            token: The compact JWS.
            require: What this call requires beside what the verifier does.

        Raises:
            InvalidToken: The token is bad; any code but the fault's.
            KeysUnavailable: `key_set_unavailable`.
        """
        compiled = None if require is None else require._compiled or _compile(require)
        outcome = self._native.start(token, compiled)
        if not isinstance(outcome, _native.Pending):
            return outcome
        return await _wait(outcome)

    def ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for keys; return whether a token could be judged."""
        return self._native.ready(timeout)

    def status(self) -> dict[str, Any]:
        """Return what is known about the keys: their state, age, refusals and fetches."""
        status: dict[str, Any] = json.loads(self._native.status())
        return status

    def refresh(self) -> None:
        """Fetch the keys now; keys given as settings stay as they are.

        Raises:
            KeysUnavailable: They could not be fetched; those at hand stay.
        """
        self._native.refresh()

    def close(self) -> None:
        """End the key thread; every later call raises `KeysUnavailable`."""
        self._native = _Closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _after_fork(self) -> None:
        # The key thread stayed in the parent. What it left here may be locked for ever, so it
        # is neither used nor freed.
        if not self._fetches or isinstance(self._native, _Closed):
            return
        self._native.abandon()
        self._native = _Closed("expected to start the key thread after a fork")
        self._native = self._build()


class _Closed:
    """Stands where the native verifier was; refuses."""

    def __init__(self, reason: str = "expected an open verifier, found a closed one") -> None:
        self._reason = reason

    def validate_session(self, _token: object, _require: object = None) -> Session:
        raise KeysUnavailable("key_set_unavailable", self._reason)

    def start(self, _token: object, _require: object = None) -> Session:
        raise KeysUnavailable("key_set_unavailable", self._reason)

    def ready(self, _timeout: float) -> bool:
        return False

    def status(self) -> str:
        return json.dumps({"key_set": None, "closed": self._reason})

    def refresh(self) -> None:
        raise KeysUnavailable("key_set_unavailable", self._reason)


async def _wait(pending: _native.Pending) -> Session:
    # Here, not above: programs without an event loop need not pay for the import.
    import asyncio

    loop = asyncio.get_running_loop()
    while True:
        woken = asyncio.Event()

        def wake(woken: asyncio.Event = woken) -> None:
            loop.call_soon_threadsafe(woken.set)

        session = pending.poll(wake)
        if session is not None:
            return session
        await woken.wait()


def _compile(require: Require) -> _native.Require:
    compiled = _native.Require(
        scope=list(require.scope),
        roles=list(require.roles),
        tenant=require.tenant,
        acr=list(require.acr),
        max_auth_age=require.max_auth_age,
        authorized_parties=list(require.authorized_parties),
    )
    object.__setattr__(require, "_compiled", compiled)
    return compiled


def _key_source(
    jwks_uri: str | None,
    jwks: str | Mapping[str, Any] | None,
    jwks_file: str | os.PathLike[str] | None,
    public_key: str | bytes | None,
) -> tuple[str, str]:
    sources: list[tuple[str, str]] = []
    if jwks_uri is not None:
        sources.append(("jwks_uri", jwks_uri))
    if jwks is not None:
        sources.append(("jwks", jwks if isinstance(jwks, str) else json.dumps(dict(jwks))))
    if jwks_file is not None:
        sources.append(("jwks_file", os.fspath(jwks_file)))
    if public_key is not None:
        pem = public_key if isinstance(public_key, str) else public_key.decode("ascii", "replace")
        sources.append(("public_key", pem))
    if len(sources) > 1:
        names = ", ".join(name for name, _ in sources)
        raise ConfigError("config_key_source_ambiguous", f"expected one key source, found {names}")
    return sources[0] if sources else ("discovery", "")


def _seconds(seconds: int, code: str) -> int:
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int)
        or not 0 <= seconds <= _MAX_SECONDS
    ):
        raise ConfigError(code, "expected whole seconds, not negative")
    return seconds


_live: WeakSet[Verifier] = WeakSet()


def _after_fork_in_child() -> None:
    for verifier in list(_live):
        verifier._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
