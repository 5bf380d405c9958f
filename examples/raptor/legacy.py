"""Raptor's own auth: sessions behind a cookie, in its own tables, opened by a code by e-mail."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.rows import dict_row

SESSION_HOURS = 12
CODE_MINUTES = 10
CODE_TRIES = 5

Connect = Callable[[], "psycopg.Connection[Any]"]


@dataclass(frozen=True)
class LegacySession:
    """A live session."""

    id: str
    customer_id: str
    expires_at: datetime


class LegacyAuth:
    """What the legacy routes do, in SQL."""

    def __init__(self, connect: Connect, secret: bytes) -> None:
        self._connect = connect
        self._secret = secret

    def send_code(self, email: str, send: Callable[[str, str], None]) -> None:
        """Send a code to the owner of `email`; nothing happens for an address nobody owns."""
        code = f"{secrets.randbelow(10**8):08}"
        with self._connect() as db:
            found = db.execute(
                f"""INSERT INTO login_codes (customer_id, code_hash, expires_at)
                    SELECT id, %s, now() + interval '{CODE_MINUTES} minutes' FROM customers
                    WHERE email = %s AND disabled_at IS NULL
                    ON CONFLICT (customer_id) DO UPDATE
                    SET code_hash = EXCLUDED.code_hash, attempts = 0,
                        expires_at = EXCLUDED.expires_at
                    -- One a minute: neither mails nor tries come without end.
                    WHERE login_codes.expires_at < EXCLUDED.expires_at - interval '1 minute'
                    RETURNING customer_id""",
                (self._mac(code), email),
            ).fetchone()
        if found is not None:
            send(email, code)

    def sign_in(self, email: str, code: str, user_agent: str) -> tuple[str, LegacySession] | None:
        """Return a new cookie and its session for who shows the code, once."""
        with self._connect() as db, db.cursor(row_factory=dict_row) as cursor:
            # The try is counted, and committed, before the code is looked at.
            tried = cursor.execute(
                """UPDATE login_codes SET attempts = attempts + 1
                   WHERE customer_id = (SELECT id FROM customers
                                        WHERE email = %s AND disabled_at IS NULL)
                     AND attempts < %s AND expires_at > now()
                   RETURNING customer_id, code_hash""",
                (email, CODE_TRIES),
            ).fetchone()
            db.commit()
            if tried is None or not hmac.compare_digest(tried["code_hash"], self._mac(code)):
                return None
            spent = cursor.execute(
                "DELETE FROM login_codes WHERE customer_id = %s AND code_hash = %s",
                (tried["customer_id"], tried["code_hash"]),
            )
            if spent.rowcount != 1:
                return None
            cookie = secrets.token_urlsafe(32)
            row = cursor.execute(
                f"""INSERT INTO customer_sessions (customer_id, token_hash, user_agent, expires_at)
                    VALUES (%s, %s, %s, now() + interval '{SESSION_HOURS} hours')
                    RETURNING id, customer_id, expires_at""",
                (tried["customer_id"], _hash(cookie), user_agent[:200]),
            ).fetchone()
            assert row is not None
            return cookie, _session(row)

    def validate_session(self, cookie: str | None) -> LegacySession | None:
        """Return the live session of the cookie."""
        if not cookie:
            return None
        with self._connect() as db, db.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                """SELECT s.id, s.customer_id, s.expires_at FROM customer_sessions s
                   JOIN customers c ON c.id = s.customer_id
                   WHERE s.token_hash = %s AND s.revoked_at IS NULL AND s.expires_at > now()
                     AND c.disabled_at IS NULL""",
                (_hash(cookie),),
            ).fetchone()
        return None if row is None else _session(row)

    def session_of(self, cookie: str) -> tuple[str, str] | None:
        """Return id and customer of the cookie's session, live or not."""
        with self._connect() as db:
            row = db.execute(
                "SELECT id, customer_id FROM customer_sessions WHERE token_hash = %s",
                (_hash(cookie),),
            ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def is_live(self, session_id: str) -> bool:
        """Return whether the session is live by now."""
        with self._connect() as db:
            row = db.execute(
                """SELECT 1 FROM customer_sessions s JOIN customers c ON c.id = s.customer_id
                   WHERE s.id = %s AND s.revoked_at IS NULL AND s.expires_at > now()
                     AND c.disabled_at IS NULL""",
                (session_id,),
            ).fetchone()
        return row is not None

    def me(self, customer_id: str) -> dict[str, Any]:
        """Return what a customer may see of the account."""
        with self._connect() as db, db.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "SELECT id, email, name FROM customers WHERE id = %s", (customer_id,)
            ).fetchone()
        assert row is not None
        return {**row, "id": str(row["id"])}

    def sessions(self, customer_id: str) -> list[dict[str, Any]]:
        """Return the live sessions of a customer."""
        with self._connect() as db, db.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                """SELECT id, user_agent, created_at, expires_at FROM customer_sessions
                   WHERE customer_id = %s AND revoked_at IS NULL AND expires_at > now()
                   ORDER BY created_at, id LIMIT 100""",
                (customer_id,),
            ).fetchall()
        return [
            {
                **row,
                "id": str(row["id"]),
                "created_at": row["created_at"].isoformat(),
                "expires_at": row["expires_at"].isoformat(),
            }
            for row in rows
        ]

    def revoke(self, customer_id: str, session_id: str) -> bool:
        """End one session of the customer; return whether there was one to end."""
        with self._connect() as db:
            done = db.execute(
                """UPDATE customer_sessions SET revoked_at = now()
                   WHERE id = %s AND customer_id = %s AND revoked_at IS NULL""",
                (session_id, customer_id),
            )
        return done.rowcount == 1

    def _mac(self, code: str) -> bytes:
        return hmac.digest(self._secret, code.encode(), "sha256")


def _session(row: dict[str, Any]) -> LegacySession:
    return LegacySession(str(row["id"]), str(row["customer_id"]), row["expires_at"])


def _hash(cookie: str) -> bytes:
    return sha256(cookie.encode()).digest()
