"""Print what one validation costs beside PyJWT's, interleaved in one run.

    python benches/validate_session.py

Needs a release build (`maturin develop --release`), PyJWT and cryptography. The machine's clock
swings, so only the ratios mean something.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from queue_verifier import Require, Verifier

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from harness import AUDIENCE, CLAIMS, ISSUER, SigningKey

ROUNDS = 60
CALLS = 100


def main() -> None:
    """Measure and print."""
    key = SigningKey()
    now = int(time.time())
    times = {"iat": now, "exp": now + 3600, "auth_time": now}
    status = {"status_list": {"idx": 4711, "uri": f"{ISSUER}/status-lists/1"}}
    token = key.mint(**times, status=status)
    verifier = Verifier(ISSUER, AUDIENCE, jwks=key.jwks)
    require = Require(scope="read:profile", roles="antlers-user")
    public = key.private.public_key()
    message, _, signature = token.rpartition(".")
    signed = jwt.utils.base64url_decode(signature)
    pkcs1, sha256 = padding.PKCS1v15(), hashes.SHA256()
    contenders: dict[str, Callable[[], Any]] = {
        "PyJWT decode, key object": lambda: jwt.decode(
            token, public, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER
        ),
        "queue_verifier": lambda: verifier.validate_session(token),
        "queue_verifier, with requirements": lambda: verifier.validate_session(
            token, require=require
        ),
        "cryptography, bare RSA verify": lambda: public.verify(
            signed, message.encode(), pkcs1, sha256
        ),
    }
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            samples[name].append((time.perf_counter() - start) / CALLS * 1e6)
    base = statistics.median(samples["PyJWT decode, key object"])
    print(f"token of {len(token)} bytes, {len(CLAIMS) + 1} claims; medians of {ROUNDS} rounds")
    for name, rounds in samples.items():
        median = statistics.median(rounds)
        print(f"{name:36} {median:8.1f} µs   PyJWT ÷ this {base / median:5.2f}")


if __name__ == "__main__":
    main()
