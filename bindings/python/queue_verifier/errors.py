"""Exceptions, each with the stable code that Rust, HTTP and Python share.

A *verdict* says that the token is bad; a *fault* says that nobody can tell right now. Both refuse.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "EDGE_CODES",
    "ERROR_CODES",
    "FAULT_CODES",
    "ConfigError",
    "InvalidRequest",
    "InvalidToken",
    "KeysUnavailable",
    "VerifyError",
]

ERROR_CODES: Final = (
    "token_too_large",
    "token_malformed",
    "header_malformed",
    "header_crit_unsupported",
    "header_alg_not_allowed",
    "header_typ_mismatch",
    "header_kid_missing",
    "key_not_found",
    "key_unusable",
    "key_set_unavailable",
    "signature_invalid",
    "claims_malformed",
    "claims_missing",
    "claims_iss_mismatch",
    "claims_aud_mismatch",
    "claims_expired",
    "claims_not_yet_valid",
    "claims_issued_in_future",
    "claims_sender_constrained",
    "claims_client_not_allowed",
    "claims_tenant_mismatch",
    "claims_scope_missing",
    "claims_role_missing",
    "claims_acr_insufficient",
    "claims_auth_too_old",
    "status_revoked",
    "status_suspended",
    "status_unavailable",
)
"""Every code of the walk, in its order."""

EDGE_CODES: Final = ("bearer_missing", "bearer_malformed", "sidecar_unavailable")
"""Codes that arise around the walk: no token came in, or the sidecar is away."""

FAULT_CODES: Final = ("key_set_unavailable", "status_unavailable", "sidecar_unavailable")
"""Codes that say nothing about the token: asking again may help."""


class VerifyError(Exception):
    """A token was not accepted, or could not be judged.

    Attributes:
        code: The stable code; compare this, never the message.
        message: What was expected, for people; holds no part of the token.
    """

    code: str
    message: str

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidToken(VerifyError):
    """The token is bad (401, or 403 for a missing scope, role or tenant)."""


class KeysUnavailable(VerifyError):
    """Nobody can tell: no usable keys, or no sidecar (503); the token may well be good."""


class InvalidRequest(VerifyError):
    """The request carries no token, or carries one in a form nobody can read (401, 400)."""


class ConfigError(ValueError):
    """A setting is wrong; raised when a verifier is made, never later.

    Attributes:
        code: The stable code, `config_<what>`.
        message: What was expected.
    """

    code: str
    message: str

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
