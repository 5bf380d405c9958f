"""What a status list is made of, and the usual one."""

from __future__ import annotations

import zlib
from typing import Any

from forge.case import ISSUER, NOW, edit, mint
from forge.keys import A, Json, Key, b64u, kid_of

URI = f"{ISSUER}/status-lists/1"
# One bit each; index 4711 is the one that the usual claims name.
IDX = 4711
SIZE = 4720


def packed(bits: int, statuses: dict[int, int], size: int = SIZE) -> Json:
    """Return `status_list`: `size` statuses of `bits` bits, all valid but those named."""
    cells = bytearray(size * bits // 8)
    for idx, status in statuses.items():
        cells[idx * bits // 8] |= status << (idx * bits % 8)
    return {"bits": bits, "lst": b64u(stored(bytes(cells)))}


def stored(data: bytes) -> bytes:
    """Return `data` as zlib of one stored block: what a compressor makes differs by its version."""
    size = len(data)
    block = b"\x01" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + data
    return b"\x78\x01" + block + zlib.adler32(data).to_bytes(4, "big")


def status_list(
    status: int = 0,
    bits: int = 1,
    *drop: str,
    key: Key = A,
    head: Json | None = None,
    **changes: Any,
) -> str:
    """Return a list in which the usual session has `status`."""
    usual: Json = {
        "iss": ISSUER,
        "sub": URI,
        "iat": NOW - 20,
        "exp": NOW + 3600,
        "ttl": 5,
        "status_list": packed(bits, {IDX: status} if status else {}),
    }
    head = {"alg": "RS256", "typ": "statuslist+jwt", "kid": kid_of(A)} | (head or {})
    return mint(edit(usual, changes, drop), head, key)
