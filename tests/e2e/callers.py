"""Everybody who calls an issuer, and fresh things for them to ask about."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import requests

from authenticator import Passkey
from running import Issuer

SERVICE = "raptor"
SERVICE_SCOPES = (
    "sessions:mint sessions:introspect sessions:revoke customers:read customers:write "
    "rbac:read rbac:write audit:read audit:write"
)


class Customer:
    """A customer in a browser, signed in by a passkey, and once more by a service."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._passkey = Passkey(callers.issuer.name)
        self.email = fresh_email()
        begun, cookie = self._ceremony("register/options", {"email": self.email})
        answer = {
            "challenge_id": begun["challenge_id"],
            "credential": self._passkey.register(begun),
        }
        self._take(self._page("register/verify", answer, cookie))

    def sign_in(self) -> None:
        """Sign in by the passkey."""
        begun, cookie = self._ceremony("login/options", {})
        answer = {
            "challenge_id": begun["challenge_id"],
            "credential": self._passkey.sign_in(begun),
        }
        self._take(self._page("login/verify", answer, cookie))

    def challenge(self) -> tuple[str, str]:
        """Begin a sign-in; return its challenge and the cookie it is bound to."""
        begun, cookie = self._ceremony("login/options", {})
        return begun["challenge_id"], cookie

    def _ceremony(self, step: str, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
        answer = self._page(step, body, "")
        return answer.json(), cookie_of(answer)

    def _page(self, step: str, body: dict[str, Any], cookie: str) -> requests.Response:
        path = f"/api/v1/auth/webauthn/{step}"
        headers = {**self._callers.page, "Cookie": cookie}
        answer = requests.post(
            self._callers.issuer.url + path, json=body, headers=headers, timeout=30
        )
        assert answer.status_code == 200, answer.text
        self._callers.observe(path, answer)
        return answer

    def _take(self, answer: requests.Response) -> None:
        body = answer.json()
        self.by_passkey = str(body["access_token"])
        self.id = str(body["session"]["subject"])
        self.cookie = cookie_of(answer)
        self.by_service = self._callers.issuer.mint(self.id)


class Callers:
    """The callers of one issuer, by the security scheme that admits them."""

    def __init__(self, issuer: Issuer, observe: Callable[[str, requests.Response], None]) -> None:
        self.issuer = issuer
        self.observe = observe
        self.page = {"Origin": issuer.name, "X-Queue-CSRF": "1"}
        self.customer = Customer(self)

    def admitted_by(self, scheme: str, *, operators: bool) -> list[Mapping[str, str]]:
        """Return the headers of each caller that has the credentials of `scheme`."""
        service = self.issuer.operator_token if operators else self.issuer.service_token
        pair = b64encode(f"{SERVICE}:{self.issuer.service_token}".encode()).decode()
        customer = self.customer
        callers: dict[str, list[Mapping[str, str]]] = {
            "bearerService": [bearer(service)],
            "bearerCustomer": [bearer(customer.by_passkey), bearer(customer.by_service)],
            "clientSecret": [{"Authorization": f"Basic {pair}"}],
            "refreshCookie": [{"Cookie": customer.cookie}],
        }
        return callers[scheme]

    def begin_anew(self) -> None:
        """Sign the customer in again, whose sessions an attack has ended."""
        self.customer.sign_in()


def bearer(token: str) -> Mapping[str, str]:
    """Return the header that carries `token`."""
    return {"Authorization": f"Bearer {token}"}


def cookie_of(answer: requests.Response) -> str:
    """Return the cookie that `answer` sets to something."""
    for line in answer.raw.headers.getlist("Set-Cookie"):
        pair = str(line).partition(";")[0]
        if not pair.endswith("="):
            return pair
    raise AssertionError("expected a cookie")


def fresh_email() -> str:
    """Return an address that nobody has."""
    return f"{secrets.token_hex(8)}@example.com"
