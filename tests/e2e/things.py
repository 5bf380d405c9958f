"""Things that exist, made anew for each request that is to find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from callers import SERVICE_SCOPES, Callers, fresh_email
from running import call


class Things:
    """Makes what a path or a body can name."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._issuer = callers.issuer
        self._kids = [self._key() for _ in range(4)]

    def in_path(self, operation: str, name: str) -> str:
        """Return what the parameter `name` of `operation` can find."""
        if name == "kid":
            self._kids.append(self._kids.pop(0))
            return self._kids[-1]
        if name == "role":
            return "antlers-user"
        makers: dict[str, Callable[[], str]] = {
            "status-lists": self.status_list,
            "customers": self.customer,
            "rbac": self.customer,
            "service-tokens": self._service_token,
            "service": lambda: self._session(self._callers.customer.id),
            "auth/sessions": lambda: self._session(self._callers.customer.id),
            "auth/webauthn": self._passkey,
            "auth/email": self._verification,
        }
        inside = operation.removeprefix("/api/v1").strip("/")
        return next(make() for area, make in makers.items() if inside.startswith(area))

    def customer(self) -> str:
        """Make a customer."""
        return self._issuer.customer(fresh_email())

    def in_query(self, query: Any) -> Any:
        """Return `query` with an address that somebody has, where it asks for one."""
        return {**query, "email": self._callers.customer.email} if "email" in query else query

    def in_body(self, body: Any) -> Any:
        """Return `body` with what exists in the place of what it names."""
        if isinstance(body, list):
            return [self.in_body(item) for item in body]
        if not isinstance(body, dict):
            return body
        makers: dict[str, Callable[[], Any]] = {
            "customer_id": self.customer,
            "audience": lambda: "raptor",
            "role": lambda: "antlers-user",
            "permission": lambda: "rbac.write",
            "scopes": lambda: ["customers:read"],
            "client_id": lambda: "raptor",
            "email": fresh_email,
            "token": self._access_token,
            "grant_type": lambda: "client_credentials",
            "to": fresh_email,
            "action": lambda: "raptor:order.shipped",
            "target_kind": lambda: "order",
            "target_id": lambda: "order-1",
            "details": lambda: {"count": 1},
        }
        known = {
            name: makers[name]() if name in makers else self.in_body(value)
            for name, value in body.items()
        }
        # Absent, these ask for nothing in particular.
        for name in ("on_behalf_of", "resource", "client_secret", "scope", "expires_in"):
            known.pop(name, None)
        return known

    def _access_token(self) -> str:
        return self._issuer.mint(self._callers.customer.id)

    def _session(self, customer: str) -> str:
        answer = call(
            "POST",
            f"{self._issuer.url}/api/v1/service/sessions",
            token=self._issuer.service_token,
            body={"customer_id": customer},
        )
        return str(answer.body["session"]["session_id"])

    def _passkey(self) -> str:
        url = f"{self._issuer.url}/api/v1/auth/webauthn/credentials"
        answer = call("GET", url, token=self._callers.customer.by_passkey)
        return str(answer.body["credentials"][0]["id"])

    def _verification(self) -> str:
        url = f"{self._issuer.url}/api/v1/auth/email/verification"
        body = {"purpose": "recover", "email": fresh_email()}
        answer = requests.post(url, json=body, headers=self._callers.page, timeout=30)
        return str(answer.json()["verification_id"])

    def status_list(self) -> str:
        """Return the list of a session that was just made."""
        self._access_token()
        lists = call("GET", f"{self._issuer.url}/status-lists").body["status_lists"]
        return str(lists[0]).rpartition("/")[2]

    def _service_token(self) -> str:
        body = {"client_id": f"c{fresh_email()[:8]}", "scopes": SERVICE_SCOPES.split()[:1]}
        return str(self._issuer.operate("POST", "/service-tokens", body).body["id"])

    def _key(self) -> str:
        return str(self._issuer.operate("POST", "/keys", {"publish": False}).body["kid"])
