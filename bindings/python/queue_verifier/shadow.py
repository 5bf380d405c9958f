"""Queue's leg of dual mode: takes legacy's sessions, keeps one session of Queue's beside each.

**Invariant:** one legacy session has one shadow, whichever process asks: its `Idempotency-Key` is a
keyed hash of the legacy session, so the issuer gives the same session to all of them.
**Invariant:** a shadow token never leaves this process, and none is minted for whom legacy refuses.

The verdict is that of a relying service: offline, by the verifier it will use after the cutover.
"""

from __future__ import annotations

import hmac
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from weakref import WeakSet

from .dual import NotComparable
from .errors import ConfigError, InvalidToken
from .parity import Answer
from .upstream import Timeouts, Upstream, UpstreamUnavailable

if TYPE_CHECKING:
    from .backend import Backend

__all__ = ["ShadowSessions"]


class ShadowSessions:
    """Asks the issuer and a verifier what a legacy session would be worth to them.

    Args:
        base_url: Where the issuer is (`QUEUE_BASE_URL`).
        service_token: The application's, with the scopes `sessions:mint`, `sessions:revoke` and
            `sessions:introspect`.
        verifier: What judges tokens after the cutover.
        key: At least 32 secret bytes, the same in every process of the application.
        audience: Of the minted sessions; None is the issuer's first.
        timeouts: The bounds of a call.
        remembered: Tokens kept in this process.

    Raises:
        ConfigError: `config_base_url_invalid`, `config_timeout_out_of_bounds`,
            `config_parity_key_weak`.
    """

    def __init__(
        self,
        base_url: str,
        service_token: str,
        verifier: Backend,
        *,
        key: bytes,
        audience: str | None = None,
        timeouts: Timeouts | None = None,
        remembered: int = 10_000,
    ) -> None:
        if len(key) < 32:
            raise ConfigError("config_parity_key_weak", "expected at least 32 secret bytes")
        self._upstream = Upstream(base_url, timeouts or Timeouts(1.0, 3.0, 5.0))
        self._bearer = f"Bearer {service_token}"
        self._verifier = verifier
        self._key = key
        self._audience = audience
        self._remembered = remembered
        self._begin()
        _live.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        # A legacy session's hash → its customer and the token of its shadow.
        self._known: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def issue(self, legacy: Answer) -> Answer:
        """Mint the shadow of a session that legacy has just issued; tells its end."""
        return self._judge(legacy, is_new=True)

    def validate(self, legacy: Answer) -> Answer:
        """Judge the shadow of a session, offline unless its token has to be minted again."""
        queue = self._judge(legacy)
        if queue.is_valid and not legacy.is_valid and not self._is_active(legacy):
            # The issuer knows it has ended; this verifier hears of it within its bound.
            return Answer(is_valid=False, reason="queue_late")
        return queue

    def end(self, legacy: Answer) -> Answer:
        """Revoke the shadow of a session that legacy has ended."""
        name = self._name(legacy)
        known = self._get(name)
        if known is None:
            if legacy.subject is None:
                raise NotComparable
            # Another process may have minted it: the same key gives the same session.
            minted = self._mint(name, legacy.subject)
            if isinstance(minted, Answer):
                return minted
            known = (legacy.subject, minted[0])
        status, _ = self._post("/api/v1/oauth/revoke", {"token": known[1]})
        if status != 200:
            raise UpstreamUnavailable("expected a revocation")
        return Answer(is_valid=False, subject=known[0])

    def _judge(self, legacy: Answer, *, is_new: bool = False) -> Answer:
        name = self._name(legacy)
        known = self._get(name)
        if known is None:
            if not legacy.is_valid or legacy.subject is None:
                raise NotComparable
            return self._judge_anew(name, legacy.subject, is_new=is_new)
        try:
            return self._verdict(known[1])
        except InvalidToken as refused:
            if refused.code != "claims_expired":
                return Answer(is_valid=False, reason=refused.code)
        return self._judge_anew(name, known[0])

    def _judge_anew(self, name: str, customer: str, *, is_new: bool = False) -> Answer:
        minted = self._mint(name, customer)
        if isinstance(minted, Answer):
            return minted
        token, ends_at = minted
        try:
            return self._verdict(token, ends_at if is_new else None)
        except InvalidToken as refused:
            return Answer(is_valid=False, reason=refused.code)

    def _verdict(self, token: str, ends_at: float | None = None) -> Answer:
        session = self._verifier.validate_session(token)
        return Answer(is_valid=True, subject=session.subject, ends_at=ends_at)

    def _mint(self, name: str, customer: str) -> tuple[str, float] | Answer:
        """Return token and end of the shadow, or the answer that there is no such session."""
        question = {"customer_id": customer}
        if self._audience is not None:
            question["audience"] = self._audience
        status, said = self._post("/api/v1/service/sessions", question, name)
        if status in _REFUSALS and said.get("code") in _VERDICTS:
            return Answer(is_valid=False, reason=str(said["code"]))
        try:
            token, ends_at = str(said["access_token"]), float(said["session"]["expires_at"])
        except (KeyError, TypeError, ValueError):
            raise UpstreamUnavailable("expected a session") from None
        with self._lock:
            self._known[name] = (customer, token)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
        return token, ends_at

    def _is_active(self, legacy: Answer) -> bool:
        known = self._get(self._name(legacy))
        if known is None:
            return False
        status, said = self._post("/api/v1/oauth/introspect", {"token": known[1]})
        if status != 200 or not isinstance(said.get("active"), bool):
            raise UpstreamUnavailable("expected an introspection")
        return bool(said["active"])

    def _post(
        self, path: str, question: Mapping[str, str], idempotency_key: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        is_form = path.startswith("/api/v1/oauth/")
        body = (urlencode(question) if is_form else json.dumps(question)).encode()
        kind = "application/x-www-form-urlencoded" if is_form else "application/json"
        headers = [
            ("Authorization", self._bearer),
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
        ]
        if idempotency_key is not None:
            headers.append(("Idempotency-Key", idempotency_key))
        exchange = self._upstream.send("POST", path, headers, [body])
        try:
            text = b""
            while len(text) <= _MAX_ANSWER and (part := exchange.read(_MAX_ANSWER)):
                text += part
        finally:
            exchange.close()
        try:
            said = json.loads(text) if text else {}
        except ValueError:
            said = None
        if exchange.status >= 500 or exchange.status == 429 or not isinstance(said, dict):
            raise UpstreamUnavailable("expected an answer")
        return exchange.status, said

    def _get(self, name: str) -> tuple[str, str] | None:
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                self._known.move_to_end(name)
            return known

    def _name(self, legacy: Answer) -> str:
        if legacy.session is None:
            raise NotComparable
        return hmac.digest(self._key, b"shadow:" + legacy.session.encode(), "sha256").hex()


_MAX_ANSWER = 64 * 1024
_REFUSALS = (404, 409, 422)
# What the issuer says of a customer or a session; anything else is a fault of the settings.
_VERDICTS = (
    "customer_not_found",
    "customer_suspended",
    "customer_erased",
    "session_ended",
)

_live: WeakSet[ShadowSessions] = WeakSet()


def _after_fork_in_child() -> None:
    for shadows in list(_live):
        shadows._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
