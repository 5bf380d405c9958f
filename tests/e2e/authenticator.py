"""A passkey in software, as a browser would pass it on."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT_AND_VERIFIED = 0x05
ATTESTED = 0x40


class Passkey:
    """One discoverable credential for one origin."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._id = secrets.token_bytes(32)
        self._key = generate_private_key(SECP256R1())
        self._user = ""
        self._counter = 0

    def register(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer the options of a registration, without attestation."""
        asked = options["publicKey"]
        self._user = asked["user"]["id"]
        point = self._key.public_key().public_numbers()
        # Map of 5: kty EC2, alg ES256, crv P-256, x, y (RFC 9053 §7.1).
        key = b"\xa5\x01\x02\x03\x26\x20\x01"
        key += b"\x21" + _bytes(point.x.to_bytes(32, "big"))
        key += b"\x22" + _bytes(point.y.to_bytes(32, "big"))
        data = self._data(asked["rp"]["id"], PRESENT_AND_VERIFIED | ATTESTED)
        data += bytes(16) + len(self._id).to_bytes(2, "big") + self._id + key
        # Map of 3: fmt none, attStmt empty, authData.
        attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData" + _bytes(data)
        return self._answer(
            clientDataJSON=encoded(self._client_data("webauthn.create", asked)),
            attestationObject=encoded(attestation),
        )

    def sign_in(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer the options of a sign-in."""
        asked = options["publicKey"]
        client_data = self._client_data("webauthn.get", asked)
        self._counter += 1
        data = self._data(asked["rpId"], PRESENT_AND_VERIFIED)
        signature = self._key.sign(data + sha256(client_data).digest(), ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=encoded(client_data),
            authenticatorData=encoded(data),
            signature=encoded(signature),
            userHandle=self._user,
        )

    def _data(self, rp_id: str, flags: int) -> bytes:
        counter = self._counter.to_bytes(4, "big")
        return sha256(rp_id.encode()).digest() + bytes([flags]) + counter

    def _client_data(self, kind: str, asked: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": asked["challenge"], "origin": self._origin}
        return json.dumps({**said, "crossOrigin": False}).encode()

    def _answer(self, **response: str) -> dict[str, Any]:
        name = encoded(self._id)
        rest = {"type": "public-key", "response": response, "clientExtensionResults": {}}
        return {"id": name, "rawId": name, **rest}


def encoded(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(data: bytes) -> bytes:
    """Return a CBOR byte string of 24 to 65535 bytes."""
    if len(data) < 256:
        return b"\x58" + bytes([len(data)]) + data
    return b"\x59" + len(data).to_bytes(2, "big") + data
