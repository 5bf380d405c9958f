"""Signatures: every algorithm of the allow-list, and the parts the forgeries are made of.

All of it is deterministic: ECDSA by RFC 6979, PSS with a salt derived from the message.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from forge.keys import Key, RsaKey

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8017 §9.2 note 1: the DER of DigestInfo before the hash.
DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def sign(alg: str, key: Key, message: bytes) -> bytes:
    """Sign as `alg` says (RFC 7518 §3, RFC 8037 §3.1)."""
    if isinstance(key, RsaKey):
        encode = pss if alg.startswith("PS") else pkcs1
        return key.sign(encode(key, f"sha{alg[2:]}", message))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        r, s = ecdsa(key, f"sha{alg[2:]}", message)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return key.sign(message)


def ecdsa(key: ec.EllipticCurvePrivateKey, digest: str, message: bytes) -> tuple[int, int]:
    """Return (r, s) by RFC 6979."""
    algorithm: Any = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}[digest]
    der = key.sign(message, ec.ECDSA(algorithm, deterministic_signing=True))
    return decode_dss_signature(der)


def pkcs1(key: RsaKey, digest: str, message: bytes) -> bytes:
    """Encode by EMSA-PKCS1-v1_5 (RFC 8017 §9.2)."""
    return padded(key, DIGEST_INFO[digest] + hashlib.new(digest, message).digest())


def padded(key: RsaKey, tail: bytes, *, block: int = 1, fill: bytes = b"\xff") -> bytes:
    """Return 00 `block` `fill`... 00 `tail`, as long as the modulus."""
    return b"\x00" + bytes([block]) + fill * (key.size - 3 - len(tail)) + b"\x00" + tail


def pss(
    key: RsaKey,
    digest: str,
    message: bytes,
    *,
    salt_length: int | None = None,
    mask: str | None = None,
) -> bytes:
    """Encode by EMSA-PSS (RFC 8017 §9.1.1) with a salt derived from the message."""
    hashed = hashlib.new(digest, message).digest()
    salt = hashlib.sha512(b"salt" + hashed).digest()
    salt = salt[: len(hashed) if salt_length is None else salt_length]
    bits = key.n.bit_length() - 1
    size = (bits + 7) // 8
    h = hashlib.new(digest, bytes(8) + hashed + salt).digest()
    block = bytes(size - len(salt) - len(h) - 2) + b"\x01" + salt
    stream = _mgf1(mask or digest, h, len(block))
    masked = bytearray(a ^ b for a, b in zip(block, stream, strict=True))
    masked[0] &= 0xFF >> (8 * size - bits)
    return bytes(masked) + h + b"\xbc"


def _mgf1(digest: str, seed: bytes, length: int) -> bytes:
    stream = b""
    counter = 0
    while len(stream) < length:
        stream += hashlib.new(digest, seed + counter.to_bytes(4, "big")).digest()
        counter += 1
    return stream[:length]
