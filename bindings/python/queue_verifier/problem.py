"""What a web service answers for a refusal: status, challenge and RFC 9457 body.

The same as the sidecar's, and the one such table in this package; RFC 6750 §3 and RFC 9470 §3 name
the challenges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._native import MEANINGS
from .errors import FAULT_CODES

if TYPE_CHECKING:
    from .backend import Require
    from .errors import VerifyError

__all__ = ["CONTENT_TYPE", "Problem", "problem_of"]

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer, not yet of any framework."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def problem_of(error: VerifyError, require: Require | None = None) -> Problem:
    """Return the answer for `error`; `require` lets a challenge say what would have been enough."""
    meaning = MEANINGS.get(error.code) or _EDGE_MEANINGS.get(error.code, "The token was refused.")
    status, headers = _status(error.code, meaning, require)
    body = {
        "type": f"urn:queue:problem:{error.code}",
        "title": meaning,
        "status": status,
        "detail": error.message,
        "code": error.code,
    }
    return Problem(status, {"Cache-Control": "no-store", **headers}, body)


def _status(code: str, meaning: str, require: Require | None) -> tuple[int, dict[str, str]]:
    if code in FAULT_CODES:
        return 503, {"Retry-After": "1"}
    if code == "bearer_missing":
        return 401, {"WWW-Authenticate": "Bearer"}
    if code == "bearer_malformed":
        return 400, _challenge("invalid_request", meaning)
    if code in ("claims_scope_missing", "claims_role_missing", "claims_tenant_mismatch"):
        scope = " ".join(require.scope) if require else ""
        return 403, _challenge("insufficient_scope", meaning, scope=scope)
    if code == "claims_auth_too_old":
        age = None if require is None else require.max_auth_age
        return 401, _challenge(_STEP_UP, meaning, max_age="" if age is None else str(age))
    if code == "claims_acr_insufficient":
        acr = " ".join(require.acr) if require else ""
        return 401, _challenge(_STEP_UP, meaning, acr_values=acr)
    return 401, _challenge("invalid_token", meaning)


def _challenge(error: str, description: str, **more: str) -> dict[str, str]:
    parameters = {"error": error, "error_description": description, **more}
    given = [f'{name}="{value}"' for name, value in parameters.items() if _is_quotable(value)]
    return {"WWW-Authenticate": f"Bearer {', '.join(given)}"}


def _is_quotable(value: str) -> bool:
    """Whether `value` can stand between quotes as it is (RFC 6750 §3); else it is left out."""
    return 0 < len(value) <= 1024 and all(
        " " <= char <= "~" and char not in '"\\' for char in value
    )


_STEP_UP = "insufficient_user_authentication"
_EDGE_MEANINGS = {
    "bearer_missing": "The request carries no token.",
    "bearer_malformed": "The request does not carry exactly one bearer token.",
    "sidecar_unavailable": "The sidecar gave no verdict.",
}
