"""For tests of services: tokens by a key that was made for the test, judged by a clock of its own.

forge = Forge()
with forge.verifier() as verifier:
    verifier.validate_session(forge.mint(roles=["billing"]))

Needs the extra `queue-verifier[testing]`. Nothing here asks a network.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from uuid import uuid4

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
except ImportError as _error:
    raise ImportError("expected pip install 'queue-verifier[testing]'") from _error

from .embedded import Verifier

__all__ = ["Forge"]


class Forge:
    """Mints session tokens by the contract's claims, with a throw-away key.

    Args:
        issuer: `iss` of its tokens.
        audience: `aud` of its tokens.
        private: An RSA key to use again, as making one takes a while.

    Attributes:
        now: The time of its tokens and of its verifiers, Unix seconds; set it, or `advance`.
        claims: What every token says unless `mint` is told otherwise.
    """

    def __init__(
        self,
        issuer: str = "https://auth.example.test",
        audience: str = "service",
        *,
        private: rsa.RSAPrivateKey | None = None,
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.now = 1_800_000_000
        self._private = private or make_key()
        self.claims: dict[str, Any] = {
            "sub": str(uuid4()),
            "client_id": "test-client",
            "sid": str(uuid4()),
            "acr": "urn:queue:acr:passkey-uv",
            "amr": ["hwk", "user"],
            "tenant_id": str(uuid4()),
            "scope": "read:profile",
            "roles": ["antlers-user"],
            "authz_ver": 1,
        }

    @property
    def jwks(self) -> dict[str, Any]:
        """The public half of the key, as a JWK Set."""
        members = self._thumbprint_members()
        return {"keys": [{**members, "kid": self._kid(), "alg": "RS256", "use": "sig"}]}

    def advance(self, seconds: int) -> None:
        """Let time pass, for tokens to come and for verifiers."""
        self.now += seconds

    def verifier(self, **settings: Any) -> Verifier:
        """Return a verifier of this forge's tokens, by this forge's clock; close it.

        Args:
            **settings: Further arguments of `Verifier`.
        """
        return Verifier(
            self.issuer, self.audience, jwks=self.jwks, clock=lambda: self.now, **settings
        )

    def mint(self, *without: str, **changes: Any) -> str:
        """Return a token that is good for five minutes.

        Args:
            *without: Names of claims to leave out.
            **changes: Claims in place of `claims`, by their names in the token; `scope` and `roles`
                may be lists or text.
        """
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "iat": self.now,
            "exp": self.now + 300,
            "auth_time": self.now,
            "jti": str(uuid4()),
            **self.claims,
            **changes,
        }
        if isinstance(claims.get("scope"), (list, tuple)):
            claims["scope"] = " ".join(claims["scope"])
        if isinstance(claims.get("roles"), str):
            claims["roles"] = [claims["roles"]]
        return self._sign({name: claims[name] for name in claims if name not in without})

    def expired(self, **changes: Any) -> str:
        """Return a token that was good once: `claims_expired`."""
        return self.mint(**{"iat": self.now - 3900, "exp": self.now - 3600, **changes})

    def not_yet_valid(self, **changes: Any) -> str:
        """Return a token that will be good: `claims_not_yet_valid`."""
        return self.mint(**{"nbf": self.now + 3600, "exp": self.now + 3900, **changes})

    def for_another_audience(self, **changes: Any) -> str:
        """Return a token for another service: `claims_aud_mismatch`."""
        return self.mint(**{"aud": f"not-{self.audience}", **changes})

    def of_another_issuer(self, **changes: Any) -> str:
        """Return a token that names another issuer: `claims_iss_mismatch`."""
        return self.mint(**{"iss": "https://other.example.test", **changes})

    def tampered(self, **changes: Any) -> str:
        """Return a token whose claims are not those that were signed: `signature_invalid`."""
        header, _, signature = self.mint(**changes).split(".")
        other = self.mint(**{**changes, "sub": str(uuid4())}).split(".")[1]
        return f"{header}.{other}.{signature}"

    def of_unknown_key(self, **changes: Any) -> str:
        """Return a token by a key that the issuer never published: `key_not_found`."""
        other = Forge(self.issuer, self.audience)
        other.now, other.claims = self.now, self.claims
        return other.mint(**changes)

    def headers(self, token: str | None = None, **changes: Any) -> dict[str, str]:
        """Return the headers of a request with `token`, or with one minted with `changes`."""
        return {"Authorization": f"Bearer {self.mint(**changes) if token is None else token}"}

    def _sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": "RS256", "typ": "at+jwt", "kid": self._kid()}
        message = ".".join(_b64u(json.dumps(part).encode()) for part in (header, claims))
        signature = self._private.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{message}.{_b64u(signature)}"

    def _kid(self) -> str:
        """RFC 7638."""
        members = json.dumps(self._thumbprint_members(), separators=(",", ":"))
        return _b64u(hashlib.sha256(members.encode()).digest())

    def _thumbprint_members(self) -> dict[str, str]:
        n = self._private.public_key().public_numbers().n
        return {"e": "AQAB", "kty": "RSA", "n": _b64u(n.to_bytes(n.bit_length() // 8, "big"))}


def make_key() -> rsa.RSAPrivateKey:
    """Return a new key, for several forges."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
