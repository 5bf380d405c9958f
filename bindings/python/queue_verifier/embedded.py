"""The verifier inside this process: keys cached, tokens judged without I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from . import _native
from .errors import ConfigError, KeysUnavailable
from .issuer import Issuer, compiled

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .backend import Require
    from .session import Session

__all__ = ["Verifier"]

_MAX_REMEMBERED = 1_000_000


class Verifier:
    """Validates sessions offline; make one, share it between all threads.

    Args:
        issuer: `iss` of every good token, byte for byte.
        audience: The `aud` value, or values, this service answers to.
        jwks_uri: Where the keys are published: https, or http on loopback. Without any key
            source it is discovered from `<issuer>/.well-known/openid-configuration`.
        jwks: A JWK Set, as JSON text or parsed; never changes.
        jwks_file: A file with a JWK Set; read when the verifier is made, and in a forked child.
        public_key: One public key, PEM; serves tokens of any `kid`.
        algorithms: What a token may be signed with: RS256 RS384 RS512 PS256 PS384 PS512 ES256
            ES384 EdDSA.
        profile: `session` (Queue's tokens), `rfc9068` (any access token of that RFC) or `jwt`
            (a foreign issuer's JWT). Fixes `typ` and the required claims, nothing else.
        leeway: Tolerance in seconds on `exp`, `nbf` and `iat`; at most 300.
        stale_limit: Seconds that keys serve past their lifetime while the issuer is away; at
            most a day.
        snapshot: A file that keeps the keys over restarts, shared by the processes of this host:
            N of them make one fetch, and a start needs no issuer. Of keys from the network only.
        snapshot_max_age: Seconds; older keys of that file are not used.
        status_lists: Signed status lists, beside keys given as such; or `"named"`: fetched as
            tokens name them. Default: fetched where keys are, else none, and sessions say `absent`.
        status_max_age: Seconds that a status list may be old; at most a day.
        when_stale: What happens to sessions when their list is older: `refuse`, or `accept`.
        status_required: Refuse tokens that name no status list.
        status_origins: Further origins (`https://lists.example.com`) of status lists.
        require: What every session must have, whatever a call requires besides.
        also: Further issuers, each judged by its own keys and policy, never by another's.
        remember: Good tokens remembered, so that one met again costs no signature. What moves (the
            clock, requirements, keys, revocation) is judged every time. 0: none.
        clock: For tests: returns Unix seconds.

    Raises:
        ConfigError: `config_<what>`, before anything is started.
    """

    __slots__ = ("__weakref__", "_build", "_has_threads", "_native", "_require")

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
        snapshot: str | os.PathLike[str] | None = None,
        snapshot_max_age: int = 24 * 3600,
        status_lists: Iterable[str] | Literal["named"] | None = None,
        status_max_age: int = 60,
        when_stale: Literal["refuse", "accept"] = "refuse",
        status_required: bool = False,
        status_origins: Iterable[str] = (),
        require: Require | None = None,
        also: Iterable[Issuer] = (),
        remember: int = 10_000,
        clock: Callable[[], float] | None = None,
    ) -> None:
        own = Issuer(
            issuer,
            audience,
            jwks_uri=jwks_uri,
            jwks=jwks,
            jwks_file=jwks_file,
            public_key=public_key,
            algorithms=algorithms,
            profile=profile,
            leeway=leeway,
            stale_limit=stale_limit,
            snapshot=snapshot,
            snapshot_max_age=snapshot_max_age,
            status_lists=status_lists,
            status_max_age=status_max_age,
            when_stale=when_stale,
            status_required=status_required,
            status_origins=status_origins,
            require=require,
        )
        issuers = [own, *also]
        settings = [issuer._settings for issuer in issuers]
        remember = _count(remember)

        def build() -> _native.Verifier:
            return _native.Verifier(issuers=settings, remember=remember, clock=clock)

        self._build = build
        self._has_threads = remember > 0 or any(issuer._fetches for issuer in issuers)
        self._native: _native.Verifier | _Closed = build()
        _live.add(self)

    def validate_session(self, token: str | bytes, *, require: Require | None = None) -> Session:
        """Return the session of `token`, judged offline; walking releases the GIL.

        A token whose key or status list is not at hand waits for at most one bounded fetch of it.

        Args:
            token: The compact JWS.
            require: What this call requires beside what the verifier does.

        Raises:
            InvalidToken: The token is bad; any code but the fault's.
            KeysUnavailable: `key_set_unavailable`, `status_unavailable`.
        """
        if require is None:
            return self._native.validate_session(token)
        return self._native.validate_session(token, compiled(require))

    async def validate_session_async(
        self, token: str | bytes, *, require: Require | None = None
    ) -> Session:
        """Return the session of `token`; awaits only while its key or status list is fetched.

        Args:
            token: The compact JWS.
            require: What this call requires beside what the verifier does.

        Raises:
            InvalidToken: The token is bad; any code but the fault's.
            KeysUnavailable: `key_set_unavailable`, `status_unavailable`.
        """
        native = None if require is None else compiled(require)
        outcome = self._native.start(token, native)
        if not isinstance(outcome, _native.Pending):
            return outcome
        return await _wait(outcome)

    def ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for keys; return whether a token could be judged."""
        return self._native.ready(timeout)

    def status(self) -> dict[str, Any]:
        """Return what is known about each issuer's keys and status lists, and what is remembered.

        `{"issuers": [{"issuer", "key_set", "key_set_age", "keys", "refused", "refresh",
        "status_lists"}], "remembered": {"tokens", "capacity"} | None}`; ages in seconds.
        """
        import json

        status: dict[str, Any] = json.loads(self._native.status())
        return status

    def refresh(self) -> None:
        """Fetch the keys now; keys given as settings stay as they are.

        Raises:
            KeysUnavailable: They could not be fetched; those at hand stay.
        """
        self._native.refresh()

    def doctor(self, token: str | bytes) -> dict[str, Any]:
        """Return every check of `token` in order, for the one who holds it.

        Fetches what the token names beforehand. The report repeats `iss`, `aud`, `kid` and times.
        `{"valid", "code", "checks": [{"room", "check", "outcome", "code", "detail"}]}`.

        Raises:
            KeysUnavailable: The verifier is closed.
        """
        import json

        report: dict[str, Any] = json.loads(self._native.doctor(token))
        return report

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
        # The key thread stayed in the parent, and so did threads that were remembering a token.
        # What they left here may be locked for ever, so it is neither used nor freed.
        if not self._has_threads or isinstance(self._native, _Closed):
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

    def doctor(self, _token: object) -> str:
        raise KeysUnavailable("key_set_unavailable", self._reason)

    def ready(self, _timeout: float) -> bool:
        return False

    def status(self) -> str:
        import json

        return json.dumps({"issuers": [], "remembered": None, "closed": self._reason})

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


def _count(tokens: int) -> int:
    if (
        isinstance(tokens, bool)
        or not isinstance(tokens, int)
        or not 0 <= tokens <= _MAX_REMEMBERED
    ):
        raise ConfigError(
            "config_remember_out_of_bounds", f"expected tokens to remember, 0 to {_MAX_REMEMBERED}"
        )
    return tokens


_live: WeakSet[Verifier] = WeakSet()


def _after_fork_in_child() -> None:
    for verifier in list(_live):
        verifier._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
