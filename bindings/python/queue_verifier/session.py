"""A validated session, the same object whichever door it came through."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Literal

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


# The constructor of a frozen dataclass costs a tenth of a whole validation, as it sets each field
# past its own lock. A mutable twin of the same layout costs a tenth of that and becomes a session
# by changing its class once, before anybody else has seen it.
_Draft: Any = make_dataclass("_Draft", [item.name for item in fields(Session)], slots=True)


def _assemble(*values: Any) -> Session:
    draft = _Draft(*values)
    draft.__class__ = Session
    session: Session = draft
    return session


# Free-threaded Python stops all threads to change a class.
assemble = Session if "t" in getattr(sys, "abiflags", "") else _assemble
"""Make a session of its fields in order; for the native module."""
