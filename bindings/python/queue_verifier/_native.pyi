"""The walk, compiled; use it through `queue_verifier.Verifier`."""

from collections.abc import Callable
from typing import Any, Final, final

from .session import Session

__all__ = ["ERROR_CODES", "FAULT_CODES", "MEANINGS", "Pending", "Require", "Session", "Verifier"]

ERROR_CODES: Final[tuple[str, ...]]
FAULT_CODES: Final[tuple[str, ...]]
MEANINGS: Final[dict[str, str]]

@final
class Require:
    """Requirements of a call, ready for the walk."""

    def __new__(
        cls,
        *,
        scope: list[str],
        roles: list[str],
        tenant: str | None,
        acr: list[str],
        max_auth_age: int | None,
        authorized_parties: list[str],
        fresh: bool,
    ) -> Require: ...

@final
class Verifier:
    """The verifier; its settings were checked for type by `queue_verifier.Issuer`."""

    def __new__(
        cls,
        *,
        issuers: list[dict[str, Any]],
        remember: int,
        clock: Callable[[], float] | None,
    ) -> Verifier: ...
    def validate_session(self, /, token: str | bytes, require: Require | None = None) -> Session:
        """Return the session of `token`; wait for one bounded refresh when its key is not at hand."""

    def start(self, /, token: str | bytes, require: Require | None = None) -> Session | Pending:
        """Return the session of `token`, or what to await when its key is not at hand."""

    def ready(self, /, timeout: float) -> bool:
        """Wait at most `timeout` seconds for keys; return whether a token could be judged."""

    def refresh(self, /) -> None:
        """Fetch the keys now."""

    def status(self, /) -> str:
        """Return what the verifier knows about its keys, as JSON."""

    def doctor(self, /, token: str | bytes) -> str:
        """Return every check of `token` in order, as JSON; fetches what it names beforehand."""

    def abandon(self, /) -> None:
        """Never free this object: in a forked child its key thread is gone, perhaps with a lock held."""

@final
class Pending:
    """A validation that waits for keys; dropping it cancels nothing but itself."""

    def poll(self, /, wake: Callable[[], Any]) -> Session | None:
        """Return the session, or None and have `wake` called, from any thread, when to ask again."""
