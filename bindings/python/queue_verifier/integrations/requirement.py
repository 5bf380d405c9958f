"""What a route asks for → one requirement; the same words in every integration."""

from __future__ import annotations

from collections.abc import Iterable

from queue_verifier.backend import Require

__all__ = ["requirement"]


def requirement(
    scope: str | Iterable[str],
    role: str | Iterable[str],
    tenant: str | None,
    require: Require | None,
) -> Require | None:
    """Return what to require: `require` in place of the others, or all of them; None for nothing.

    Raises:
        ConfigError: `config_require_invalid`.
    """
    if require is not None:
        return require
    needed = Require(scope=scope, roles=role, tenant=tenant)
    # Asking for nothing leaves the verifier's own requirements in force.
    return needed if needed.to_json() else None
