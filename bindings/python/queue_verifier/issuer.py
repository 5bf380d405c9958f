"""One issuer: whose tokens are good, by which keys, how strictly."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from . import _native
from .errors import ConfigError

if TYPE_CHECKING:
    from .backend import Require

__all__ = ["Issuer", "compiled"]

_MAX_SECONDS = 2**53


class Issuer:
    """A further issuer for `Verifier(…, also=[…])`, judged by its own keys and policy.

    The arguments are those of `Verifier` that speak of one issuer.

    Raises:
        ConfigError: `config_key_source_ambiguous`, or a time that is not whole seconds.
    """

    __slots__ = ("_settings",)

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
    ) -> None:
        source, keys = _key_source(jwks_uri, jwks, jwks_file, public_key)
        is_named = status_lists == "named"
        if isinstance(status_lists, str) and not is_named:
            # Text is iterable: each character would pass for a list.
            raise TypeError('expected a list of status list tokens, or "named"')
        lists = None if status_lists is None or is_named else list(status_lists)
        max_age = "config_status_max_age_out_of_bounds"
        snapshot_age = "config_snapshot_max_age_out_of_bounds"
        self._settings: dict[str, Any] = {
            "issuer": issuer,
            "audience": _texts(audience),
            "source": source,
            "keys": keys,
            "algorithms": _texts(algorithms),
            "profile": profile,
            "leeway": _seconds(leeway, "config_leeway_out_of_bounds"),
            "stale_limit": _seconds(stale_limit, "config_stale_limit_out_of_bounds"),
            "snapshot": None if snapshot is None else os.fspath(snapshot),
            "snapshot_max_age": _seconds(snapshot_max_age, snapshot_age),
            "status_lists": lists,
            "fetch_status_lists": is_named,
            "status_max_age": _seconds(status_max_age, max_age),
            "when_stale": when_stale,
            "status_required": bool(status_required),
            "status_origins": _texts(status_origins),
            "require": None if require is None else compiled(require),
        }

    @property
    def _fetches(self) -> bool:
        """Whether it has a thread of its own."""
        is_fetched = self._settings["source"] in ("discovery", "jwks_uri")
        return is_fetched or bool(self._settings["fetch_status_lists"])

    def __repr__(self) -> str:
        return f"Issuer({self._settings['issuer']!r}, {self._settings['audience']!r})"


def compiled(require: Require) -> _native.Require:
    """Return `require` in the form of the walk, converted once."""
    native: _native.Require | None = require._compiled
    if native is None:
        native = _native.Require(
            scope=list(require.scope),
            roles=list(require.roles),
            tenant=require.tenant,
            acr=list(require.acr),
            max_auth_age=require.max_auth_age,
            authorized_parties=list(require.authorized_parties),
            fresh=require.fresh,
        )
        object.__setattr__(require, "_compiled", native)
    return native


def _texts(texts: str | Iterable[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


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
        sources.append(("jwks", jwks if isinstance(jwks, str) else _json(jwks)))
    if jwks_file is not None:
        sources.append(("jwks_file", os.fspath(jwks_file)))
    if public_key is not None:
        pem = public_key if isinstance(public_key, str) else public_key.decode("ascii", "replace")
        sources.append(("public_key", pem))
    if len(sources) > 1:
        names = ", ".join(name for name, _ in sources)
        raise ConfigError("config_key_source_ambiguous", f"expected one key source, found {names}")
    return sources[0] if sources else ("discovery", "")


def _json(jwks: Mapping[str, Any]) -> str:
    # Here, not above: keys are given as text, or fetched, more often than not.
    import json

    return json.dumps(dict(jwks))


def _seconds(seconds: int, code: str) -> int:
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int)
        or not 0 <= seconds <= _MAX_SECONDS
    ):
        raise ConfigError(code, "expected whole seconds, not negative")
    return seconds
