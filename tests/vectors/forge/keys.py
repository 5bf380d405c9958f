"""Fixture keys: private halves from `keys/*.pem`, public halves as JWKs.

RSA private operations are done here with plain integers, because several cases need keys and
encoded messages that no library agrees to sign (RFC 8017 §3.2 allows more than two primes).
"""

from __future__ import annotations

import hashlib
import json
import math
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

Json = dict[str, Any]

KEYS = Path(__file__).parent.parent / "keys"


@dataclass(frozen=True)
class RsaKey:
    """An RSA key as its distinct primes and public exponent."""

    primes: tuple[int, ...]
    e: int

    @property
    def n(self) -> int:
        return math.prod(self.primes)

    @property
    def size(self) -> int:
        """Return the length of the modulus in bytes."""
        return (self.n.bit_length() + 7) // 8

    def sign(self, encoded: bytes) -> bytes:
        """Apply RSASP1 (RFC 8017 §5.2.1) to an encoded message."""
        message = int.from_bytes(encoded, "big")
        signature, modulus = 0, 1
        for p in self.primes:
            residue = pow(message, pow(self.e, -1, p - 1), p) if p > 2 else message % 2
            step = (residue - signature) * pow(modulus, -1, p) % p
            signature += modulus * step
            modulus *= p
        return signature.to_bytes(self.size, "big")


Key = RsaKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def b64u(data: bytes) -> str:
    """Encode base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def number(value: int) -> str:
    """Encode a Base64urlUInt (RFC 7518 §2)."""
    return b64u(value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def jwk(key: Key, **members: Any) -> Json:
    """Return the public JWK of a key: alg, use and kid set, each replaceable, `None` drops it."""
    public = _public_members(key)
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode("ascii")
    kid = b64u(hashlib.sha256(canonical).digest())
    whole = {**public, "alg": _usual_alg(key), "use": "sig", "kid": kid, **members}
    return {name: value for name, value in whole.items() if value is not None}


def kid_of(key: Key) -> str:
    """Return the RFC 7638 SHA-256 thumbprint of a key."""
    return str(jwk(key)["kid"])


def keys(*jwks: Any) -> Json:
    """Return a JWK Set."""
    return {"keys": list(jwks)}


def public_pem(name: str) -> bytes:
    """Return the SubjectPublicKeyInfo of a fixture as PEM."""
    return _load(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_der(name: str) -> bytes:
    """Return the SubjectPublicKeyInfo of a fixture as DER."""
    return _load(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def private_members(key: RsaKey) -> Json:
    """Return the private JWK members of a two-prime RSA key (RFC 7518 §6.3.2)."""
    p, q = key.primes
    d = pow(key.e, -1, math.lcm(p - 1, q - 1))
    return {"d": number(d), "p": number(p), "q": number(q)}


def _public_members(key: Key) -> Json:
    match key:
        case RsaKey():
            return {"kty": "RSA", "n": number(key.n), "e": number(key.e)}
        case ec.EllipticCurvePrivateKey():
            point = key.public_key().public_numbers()
            size = (key.curve.key_size + 7) // 8
            x, y = (b64u(c.to_bytes(size, "big")) for c in (point.x, point.y))
            return {"kty": "EC", "crv": f"P-{key.curve.key_size}", "x": x, "y": y}
        case _:
            raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            return {"kty": "OKP", "crv": "Ed25519", "x": b64u(raw)}


def _usual_alg(key: Key) -> str:
    match key:
        case RsaKey():
            return "RS256"
        case ec.EllipticCurvePrivateKey():
            return f"ES{key.curve.key_size}"
        case _:
            return "EdDSA"


@cache
def _load(
    name: str,
) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    key = load_pem_private_key((KEYS / f"{name}.pem").read_bytes(), None)
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return key
    raise TypeError(f"{name}: unexpected key type")


def _rsa(name: str) -> RsaKey:
    private = load_pem_private_key(
        (KEYS / f"{name}.pem").read_bytes(), None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError(f"{name}: not an RSA key")
    numbers = private.private_numbers()
    return RsaKey((numbers.p, numbers.q), numbers.public_numbers.e)


def _ec(name: str) -> ec.EllipticCurvePrivateKey:
    key = _load(name)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{name}: not an EC key")
    return key


def _ed25519(name: str) -> ed25519.Ed25519PrivateKey:
    key = _load(name)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise TypeError(f"{name}: not an Ed25519 key")
    return key


def _grown(base: RsaKey, bits: int) -> RsaKey:
    for extra in range(3, 1000, 2):
        candidate = replace(base, primes=(*base.primes, extra))
        prime = all(extra % divisor for divisor in range(3, extra, 2))
        if prime and candidate.n.bit_length() == bits:
            return candidate
    raise ValueError(f"no prime grows the modulus to {bits} bits")


A = _rsa("rsa2048_a")
B = _rsa("rsa2048_b")
STRANGER = _rsa("rsa2048_c")  # never in a key set under its own kid
RSA3072 = _rsa("rsa3072")
RSA4096 = _rsa("rsa4096")
RSA8192 = _rsa("rsa8192")
RSA1024 = _rsa("rsa1024_weak")
RSA2047 = _rsa("rsa2047")
RSA8193 = _grown(RsaKey(RSA4096.primes + RSA3072.primes + RSA1024.primes, 65537), 8193)
EVEN_MODULUS = RsaKey((2, *A.primes), 65537)
E3 = _rsa("rsa2048_e3")  # its primes also allow the exponents 5, 2^32 - 1 and 2^32 + 1
P256 = _ec("ec_p256")
P384 = _ec("ec_p384")
ED = _ed25519("ed25519")

SETS: dict[str, Json] = {
    "#a": keys(jwk(A)),
    "#ab": keys(jwk(A), jwk(B)),
    "#p256": keys(jwk(P256)),
    "#p384": keys(jwk(P384)),
    "#ed25519": keys(jwk(ED)),
    "#mixed": keys(jwk(A), jwk(P256), jwk(P384), jwk(ED)),
    "#a_any_rsa": keys(
        *(jwk(A, alg=alg, kid=alg) for alg in ("RS384", "RS512", "PS256", "PS384", "PS512"))
    ),
    "#hundred": keys(jwk(A), *(jwk(P256, kid=f"k{i:03}") for i in range(99))),
    "#hundred_and_one": keys(jwk(A), *(jwk(P256, kid=f"k{i:03}") for i in range(100))),
}
