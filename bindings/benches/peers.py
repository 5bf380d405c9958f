"""Time one validation in Python, ours and the peers', on command.

The protocol is that of `tests/bench/child.py`, which runs this: the fixture comes in as one line of
JSON, the subjects go out, and each `ID CALLS` is answered with the nanoseconds a call took.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt

from queue_verifier import Require, Verifier

Call = Callable[[], object]


def main() -> None:
    """Serve until the input ends."""
    subjects = build(json.loads(sys.stdin.readline()))
    names = [[key, name] for key, (name, _) in subjects.items()]
    print(json.dumps({"subjects": names}), flush=True)
    for line in sys.stdin:
        key, calls = line.split()
        _, call = subjects[key]
        print(timed(call, int(calls)), flush=True)


def timed(call: Call, calls: int) -> float:
    """Return the nanoseconds a call took, on average."""
    start = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - start) / calls


def build(fixture: dict[str, Any]) -> dict[str, tuple[str, Call]]:
    """Return every subject; each raises unless it accepts the token."""
    issuer, audience, token = fixture["issuer"], fixture["audience"], fixture["token"]
    jwk = fixture["jwks"]["keys"][0]
    verifier = Verifier(issuer, audience, jwks=fixture["jwks"], remember=0)
    remembering = Verifier(issuer, audience, jwks=fixture["jwks"])
    require = Require(scope="read:profile", roles="antlers-user")
    public: Any = jwt.PyJWK(jwk).key
    message, _, signature = token.rpartition(".")
    signed, signing_input = base64.urlsafe_b64decode(signature + "=="), message.encode()
    pkcs1, sha256 = padding.PKCS1v15(), hashes.SHA256()
    key = joserfc_jwk.RSAKey.import_key(jwk)
    rules = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )

    def joserfc() -> None:
        rules.validate(joserfc_jwt.decode(token, key, algorithms=["RS256"]).claims)

    return {
        "python": ("queue_verifier (Python)", lambda: verifier.validate_session(token)),
        "python_require": (
            "queue_verifier (Python), with requirements",
            lambda: verifier.validate_session(token, require=require),
        ),
        "python_remembered": (
            "queue_verifier (Python), remembered",
            lambda: remembering.validate_session(token),
        ),
        "pyjwt": (
            "PyJWT, key object",
            lambda: jwt.decode(
                token, public, algorithms=["RS256"], audience=audience, issuer=issuer
            ),
        ),
        "joserfc": ("joserfc", joserfc),
        "cryptography": (
            "cryptography (Python), bare",
            lambda: public.verify(signed, signing_input, pkcs1, sha256),
        ),
    }


if __name__ == "__main__":
    main()
