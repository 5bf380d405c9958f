"""`Authorization` header → token (RFC 6750 §2.1); the one implementation in this package."""

from __future__ import annotations

from .errors import InvalidRequest

__all__ = ["bearer_token"]


def bearer_token(*authorization: str | None) -> str:
    """Return the bearer token of a request's `Authorization` header.

    Args:
        *authorization: The header's values, one for each time it was sent; None counts as absent.

    Raises:
        InvalidRequest: `bearer_missing` without the header; `bearer_malformed` when it is
            repeated, has another scheme, no token, or white space in the token.
    """
    values = [value for value in authorization if value is not None]
    if not values:
        raise InvalidRequest("bearer_missing", "expected an Authorization header")
    if len(values) > 1:
        # Two readers of one request might each pick another one.
        raise InvalidRequest("bearer_malformed", "expected one Authorization header")
    scheme, _, token = values[0].strip(_SPACE).partition(" ")
    token = token.lstrip(_SPACE)
    # What follows the scheme is for the verifier to judge.
    if scheme.lower() != "bearer" or not token or any(space in token for space in _SPACE):
        raise InvalidRequest("bearer_malformed", "expected `Bearer` and one token")
    return token


_SPACE = " \t\n\r\f"
