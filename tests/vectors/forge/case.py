"""Tokens of the access token profile, and cases around them."""

from __future__ import annotations

import json
from typing import Any

from forge.keys import A, Json, Key, b64u, kid_of
from forge.sign import sign

NOW = 1_800_000_000
ISSUER = "https://issuer.queue.test"
AUDIENCE = "raptor"
SUBJECT = "0196f3a0-5b1e-7c3d-9a44-2f6f0d1c7e10"
TENANT = "0196f3a0-0000-7000-8000-00000000a11a"
CLIENT = "antlers"

HEADER: Json = {"alg": "RS256", "typ": "at+jwt", "kid": kid_of(A)}
CLAIMS: Json = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": SUBJECT,
    "client_id": CLIENT,
    "iat": NOW - 20,
    "exp": NOW + 275,
    "jti": "0196f3a1-77aa-7b01-8c55-90ab12cd34ef",
    "sid": "0196f3a0-61d2-7e88-b0aa-5d6c7b8a9f01",
    "auth_time": NOW - 120,
    "acr": "urn:queue:acr:passkey-uv",
    "amr": ["hwk", "user"],
    "tenant_id": TENANT,
    "scope": "read:profile write:profile",
    "roles": ["antlers-user"],
    "authz_ver": 7,
    "status": {"status_list": {"idx": 4711, "uri": f"{ISSUER}/status-lists/1"}},
}
SESSION: Json = {
    "subject": SUBJECT,
    "audience": [AUDIENCE],
    "client_id": CLIENT,
    "session_id": CLAIMS["sid"],
    "token_id": CLAIMS["jti"],
    "tenant_id": TENANT,
    "roles": ["antlers-user"],
    "scope": ["read:profile", "write:profile"],
    "acr": CLAIMS["acr"],
    "amr": ["hwk", "user"],
    "auth_time": CLAIMS["auth_time"],
    "issued_at": CLAIMS["iat"],
    "expires_at": CLAIMS["exp"],
    "authz_ver": 7,
}
SERVICE: Json = {  # a client credentials token (contract §1)
    **{name: CLAIMS[name] for name in ("iss", "aud", "iat", "exp", "jti", "tenant_id", "status")},
    "sub": "grotto",
    "client_id": "grotto",
    "scope": "customers:read",
}


def text(value: object) -> bytes:
    """Serialise as JSON in its shortest form."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def edit(base: Json, changes: Json, drop: tuple[str, ...] = ()) -> Json:
    """Return `base` with `changes` made and the members in `drop` left out."""
    return {name: value for name, value in {**base, **changes}.items() if name not in drop}


def claims(*drop: str, **changes: Any) -> Json:
    """Return the usual claims, changed."""
    return edit(CLAIMS, changes, drop)


def header(*drop: str, **changes: Any) -> Json:
    """Return the usual header, changed."""
    return edit(HEADER, changes, drop)


def raw_claims(member: str, *drop: str) -> bytes:
    """Return the usual claims with the text of one more member put last."""
    return text(claims(*drop))[:-1] + b"," + member.encode("utf-8", "surrogatepass") + b"}"


def raw_header(member: str, *drop: str) -> bytes:
    """Return the usual header with the text of one more member put last."""
    return text(header(*drop))[:-1] + b"," + member.encode("utf-8", "surrogatepass") + b"}"


def signing_input(head: Json | bytes, payload: Json | bytes) -> bytes:
    """Return the JWS Signing Input (RFC 7515 §2)."""
    parts = (part if isinstance(part, bytes) else text(part) for part in (head, payload))
    return ".".join(b64u(part) for part in parts).encode("ascii")


def mint(
    payload: Json | bytes = CLAIMS,
    head: Json | bytes = HEADER,
    key: Key = A,
    alg: str = "RS256",
    signature: bytes | None = None,
) -> str:
    """Return a compact JWS: the header is written as given, the signature made by `key`."""
    message = signing_input(head, payload)
    made = sign(alg, key, message) if signature is None else signature
    return f"{message.decode('ascii')}.{b64u(made)}"


def mint_as(alg: str, key: Key, payload: Json | bytes = CLAIMS, **changes: Any) -> str:
    """Return a token of another algorithm, its header naming alg and kid truly."""
    return mint(payload, header(**{"alg": alg, "kid": kid_of(key), **changes}), key, alg)


class Room:
    """The cases of one file, in the order they were added."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Json] = []

    def valid(self, name: str, why: str, jws: str, **fields: Any) -> None:
        """Add a token every door must accept."""
        self._add(name, why, {"jws": jws}, {"expected": "valid"}, fields)

    def refuse(self, code: str, name: str, why: str, jws: str, **fields: Any) -> None:
        """Add a token every door must refuse with exactly `code`."""
        self.refuse_form(code, name, why, {"jws": jws}, **fields)

    def refuse_form(self, code: str, name: str, why: str, token: Json, **fields: Any) -> None:
        """Add a refused token given as jws_b64 or jws_parts."""
        self._add(name, why, token, {"expected": "invalid", "code": code}, fields)

    def config_error(self, name: str, why: str, **fields: Any) -> None:
        """Add a key set with which no verifier may be built."""
        self._add(
            name,
            why,
            {"jws": mint()},
            {"expected": "invalid", "config_error": True},
            fields,
        )

    def _add(self, name: str, why: str, token: Json, outcome: Json, fields: Json) -> None:
        case: Json = {
            "id": f"queue/{self.name}/{name}",
            "class": self.name,
            "layer": "jwt",
            "now": fields.pop("now", NOW),
            "profile": fields.pop("profile", "session"),
            "policy": {
                "iss": ISSUER,
                "aud": AUDIENCE,
                "leeway": fields.pop("leeway", 30),
            },
            "alg_allowed": fields.pop("allowed", ["RS256"]),
        }
        source = {"jwks_parts": fields.pop("jwks_parts")} if "jwks_parts" in fields else None
        case |= source or {"jwks": fields.pop("jwks", "#a")}
        settings = ("require", "status_lists", "status_policy")
        case |= {name: fields.pop(name) for name in settings if name in fields}
        case |= {**token, **outcome, "why": why}
        extra = {name: fields.pop(name, None) for name in ("session", "tags")}
        case |= {name: value for name, value in extra.items() if value}
        if fields:
            raise ValueError(f"{case['id']}: unknown fields {sorted(fields)}")
        if any(case["id"] == other["id"] for other in self.cases):
            raise ValueError(f"{case['id']}: used twice")
        self.cases.append(case)
