"""Validate session tokens offline, in this process or through the sidecar next to it.

from queue_verifier import Verifier

verifier = Verifier("https://auth.example.com", "raptor")
session = verifier.validate_session(token)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .backend import Backend, Require
from .embedded import Verifier
from .errors import (
    ERROR_CODES,
    ConfigError,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    VerifyError,
)
from .issuer import Issuer
from .session import Freshness, Session

if TYPE_CHECKING:
    from .sidecar import SidecarVerifier

__all__ = [
    "ERROR_CODES",
    "Backend",
    "ConfigError",
    "Freshness",
    "InvalidRequest",
    "InvalidToken",
    "Issuer",
    "KeysUnavailable",
    "Require",
    "Session",
    "SidecarVerifier",
    "Verifier",
    "VerifyError",
]


def __getattr__(name: str) -> Any:
    # Only those who use the sidecar pay for importing an HTTP client.
    if name == "SidecarVerifier":
        from .sidecar import SidecarVerifier

        return SidecarVerifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
