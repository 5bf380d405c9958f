"""A validated session, the same object whichever door it came through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

from . import _native

__all__ = ["Claims", "Freshness", "Session"]


class Claims(Mapping[str, Any]):
    """The whole claims set as the issuer wrote it; read-only, parsed when first looked at."""

    __slots__ = ("_members", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._members: dict[str, Any] | None = None

    @classmethod
    def of(cls, members: dict[str, Any]) -> Claims:
        """Wrap claims that are parsed already."""
        claims = cls("")
        claims._members = members
        return claims

    def _parsed(self) -> dict[str, Any]:
        members = self._members
        if members is None:
            # Here, not above: most services never look at a claim that has no field.
            import json

            members = json.loads(self._text)
            self._members = members
        return members

    def __getitem__(self, name: str) -> Any:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __repr__(self) -> str:
        # Names only: a session ends up in logs, and a private claim may be personal.
        return f"Claims({', '.join(self)})"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the knowledge behind a verdict is; ages in seconds."""

    key_set: Literal["fresh", "stale"]
    """Whether the key set is within its lifetime; stale: the issuer could not be reached."""
    key_set_age: int
    """Since the issuer last confirmed the key set; 0 for keys given as settings."""
    status: Literal["fresh", "stale", "absent"]
    """Whether revocation was looked up; absent: a revoked session stays good until it expires."""
    status_age: int | None
    """Age of the status list; None when it was not looked up."""
    cached: bool
    """Whether the verdict was remembered from an earlier call."""


@final
@dataclass(frozen=True, slots=True)
class Session:
    """Who called, for whom, with what rights, and how sure we are. Times are Unix seconds."""

    issuer: str
    """`iss`."""
    subject: str | None
    """`sub`: the customer's UUID, or a service's `client_id`; None only under profile `jwt`."""
    audience: tuple[str, ...]
    """`aud`, as a tuple."""
    client_id: str | None
    """`client_id`: to whom the token was issued."""
    session_id: str | None
    """`sid`: the customer's session; None for a service's own token."""
    token_id: str | None
    """`jti`."""
    tenant_id: str | None
    """`tenant_id`."""
    roles: tuple[str, ...]
    """`roles`: names; empty when absent."""
    scope: tuple[str, ...]
    """`scope`, split at spaces; empty when absent."""
    acr: str | None
    """`acr`: how the customer authenticated."""
    amr: tuple[str, ...]
    """`amr`; empty when absent."""
    auth_time: int | None
    """`auth_time`: when the customer authenticated."""
    issued_at: int | None
    """`iat`."""
    expires_at: int
    """`exp`: the first second in which the token is dead, leeway aside."""
    authz_ver: int | None
    """`authz_ver`: version of the customer's role assignments."""
    claims: Mapping[str, Any] = field(hash=False)
    """The whole claims set."""
    freshness: Freshness
    """How old the knowledge behind this verdict is."""


def _frozen(_session: object, name: str, _value: object = None) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


# What is declared above is done by a native class, whose objects cost an allocation: a member
# becomes a Python object only when it is looked at.
if not TYPE_CHECKING:
    _declared = Session
    Session = _native.Session
    for _name in (
        "__annotations__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__doc__",
        "__match_args__",
        "__replace__",
    ):
        if hasattr(_declared, _name):
            setattr(Session, _name, getattr(_declared, _name))
    Session.__setattr__ = Session.__delattr__ = _frozen
