"""What the transports have in common: the protocol they follow and what a call may ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .errors import ConfigError

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Backend", "Require"]

_MAX_SECONDS = 2**53


@dataclass(frozen=True, slots=True, init=False)
class Require:
    """What a route asks of a session beyond its being valid; make one per route and keep it.

    Attributes:
        scope: Every value must be granted; text is split at spaces.
        roles: Every role must be held; text is one role.
        tenant: The session's tenant must be this one.
        acr: The session's `acr` must be one of these; text is one of them.
        max_auth_age: The customer authenticated at most so many seconds ago.
        authorized_parties: The token was issued to one of these clients (`azp`, else `client_id`).
        fresh: The key set is within its lifetime and the status list within its age bound; what
            else would serve in an outage is refused with `key_set_unavailable` or
            `status_unavailable`.

    Raises:
        ConfigError: `config_require_invalid`.
    """

    scope: tuple[str, ...]
    roles: tuple[str, ...]
    tenant: str | None
    acr: tuple[str, ...]
    max_auth_age: int | None
    authorized_parties: tuple[str, ...]
    fresh: bool
    _compiled: Any = field(repr=False, compare=False)

    def __init__(
        self,
        *,
        scope: str | Iterable[str] = (),
        roles: str | Iterable[str] = (),
        tenant: str | None = None,
        acr: str | Iterable[str] = (),
        max_auth_age: int | None = None,
        authorized_parties: str | Iterable[str] = (),
        fresh: bool = False,
    ) -> None:
        put = object.__setattr__
        scope = (scope,) if isinstance(scope, str) else scope
        put(
            self, "scope", tuple(value for text in _names("scope", scope) for value in text.split())
        )
        put(self, "roles", _names("roles", roles))
        put(self, "tenant", None if tenant is None else _names("tenant", tenant)[0])
        put(self, "acr", _names("acr", acr))
        put(self, "max_auth_age", None if max_auth_age is None else _age(max_auth_age))
        put(self, "authorized_parties", _names("authorized_parties", authorized_parties))
        if not isinstance(fresh, bool):
            raise ConfigError("config_require_invalid", "expected fresh to be True or False")
        put(self, "fresh", fresh)
        # The embedded verifier keeps its own form here, so that it converts once.
        put(self, "_compiled", None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.to_json(),)

    def to_json(self) -> dict[str, Any]:
        """Return the members that ask for something, as the sidecar reads them."""
        members: dict[str, Any] = {
            "scope": list(self.scope),
            "roles": list(self.roles),
            "tenant": self.tenant,
            "acr": list(self.acr),
            "max_auth_age": self.max_auth_age,
            "authorized_parties": list(self.authorized_parties),
        }
        if self.fresh:
            members["fresh"] = True
        return {name: value for name, value in members.items() if value not in (None, "", [])}

    def beside(self, other: Require) -> Require | None:
        """Return what asks as much as both, or None where one question cannot say it."""
        tenants = {tenant for tenant in (self.tenant, other.tenant) if tenant is not None}
        contexts = _either(self.acr, other.acr)
        parties = _either(self.authorized_parties, other.authorized_parties)
        if len(tenants) > 1 or contexts is None or parties is None:
            return None
        ages = [age for age in (self.max_auth_age, other.max_auth_age) if age is not None]
        return Require(
            scope=(*self.scope, *other.scope),
            roles=(*self.roles, *other.roles),
            tenant=next(iter(tenants), None),
            acr=contexts,
            max_auth_age=min(ages, default=None),
            authorized_parties=parties,
            fresh=self.fresh or other.fresh,
        )


def _restore(members: dict[str, Any]) -> Require:
    return Require(**members)


def _either(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the names that are in both, where both are asked for; None when there are none."""
    if not one or not other:
        return one or other
    return tuple(name for name in one if name in other) or None


def _names(what: str, names: str | Iterable[str]) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            # An empty name would ask for nothing while its author believes it asks for something.
            raise ConfigError(
                "config_require_invalid", f"expected names in {what}, none of them empty"
            )
    return names


def _age(seconds: int) -> int:
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int)
        or not 0 <= seconds <= _MAX_SECONDS
    ):
        raise ConfigError("config_require_invalid", "expected max_auth_age as whole seconds")
    return seconds


@runtime_checkable
class Backend(Protocol):
    """Validates sessions, in this process (`Verifier`) or through the sidecar."""

    def validate_session(self, token: str | bytes, *, require: Require | None = None) -> Session:
        """Return the session of `token`; `require` comes beside what the verifier requires.

        Raises:
            InvalidToken: The token is bad; any code but the faults'.
            KeysUnavailable: `key_set_unavailable`, `status_unavailable`, `sidecar_unavailable`.
        """
        ...

    async def validate_session_async(
        self, token: str | bytes, *, require: Require | None = None
    ) -> Session:
        """Return the session of `token` without ever blocking the event loop.

        Raises:
            InvalidToken: The token is bad; any code but the faults'.
            KeysUnavailable: `key_set_unavailable`, `status_unavailable`, `sidecar_unavailable`.
        """
        ...

    def ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for keys; return whether a token could be judged."""
        ...

    def status(self) -> dict[str, Any]:
        """Return what is known about the keys."""
        ...

    def refresh(self) -> None:
        """Fetch the keys now.

        Raises:
            KeysUnavailable: They could not be fetched; those at hand stay.
        """
        ...

    def close(self) -> None:
        """Let go of threads and connections; every later call is refused."""
        ...
