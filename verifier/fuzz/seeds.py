"""Write the seeds of every fuzz target, and the tokens that may pass, from `tests/vectors/`.

    python3 seeds.py     seeds/<target>/* and signed.json, beside this file

A seed is named after its content. `make fuzz-seeds` runs this and then keeps only the seeds that
reach code no other seed reaches.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parents[1] / "tests" / "vectors"
ISSUER, AUDIENCE, LEEWAY, NOW = "https://issuer.queue.test", "raptor", 30, 1_800_000_000
# Longer ones teach a fuzzer little and cost it speed.
LONGEST = 3000


def main() -> None:
    """Write every file anew."""
    found: dict[str, set[bytes]] = {
        "compact_jws": set(),
        "protected_header": set(),
        "jwk_set": set(),
        "claims": set(),
        "status_list": set(),
        "validate_session": set(),
    }
    signed: list[str] = []
    for case, sets in cases():
        token = joined(case, "jws")
        keys = case.get("jwks", "")
        is_named = isinstance(keys, str)
        document = json.dumps(sets[keys] if is_named else keys) if keys else joined(case, "jwks")
        parts = [decoded(part) for part in token.split(b".")]
        found["jwk_set"].add(document.encode() if isinstance(document, str) else document)
        found["compact_jws"].add(token)
        if len(parts) == 3:
            found["protected_header"].add(parts[0])
            found["claims"].add(parts[1])
            # Not yet encoded, and of no signature: claims that differ make no difference.
            if case["class"] in ("token", "header", "key"):
                found["validate_session"].add(b"\0".join((parts[0], parts[1], parts[2][:8])))
        for document in case.get("status_lists", ()):
            found["status_list"].update(list_seeds(document))
        if is_signed(case) and len(token) <= LONGEST:
            signed.append(token.decode())
    found["jwk_set"].add(leaking_set())
    found["validate_session"].update(token.encode() for token in signed)
    for target, seeds in found.items():
        folder = HERE / "seeds" / target
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for seed in seeds:
            if len(seed) <= LONGEST:
                (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    settings = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "leeway": LEEWAY,
        "now": NOW,
        "jwks": named_set("#a"),
        "tokens": sorted(set(signed)),
    }
    (HERE / "signed.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="ascii")


def cases() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield every case of our own corpus with the key sets its file names."""
    for file in sorted((VECTORS / "queue").glob("*.jsonl")):
        meta, *lines = file.read_text(encoding="ascii").splitlines()
        sets = json.loads(meta)["meta"]["defs"]
        for line in lines:
            yield json.loads(line), sets


def list_seeds(token: str) -> Iterator[bytes]:
    """Yield the payload of a status list token, and the zlib stream in it."""
    parts = token.encode().split(b".")
    if len(parts) == 3:
        payload = decoded(parts[1])
        yield payload
        try:
            yield decoded(json.loads(payload)["status_list"]["lst"].encode())
        except (KeyError, TypeError, ValueError, AttributeError):
            return


def named_set(name: str) -> Any:
    """Return the key set that the corpus calls `name`."""
    return next(sets[name] for _, sets in cases() if name in sets)


def leaking_set() -> bytes:
    """Return a set that lists one key twice, the second time with a private member."""
    first, second = named_set("#ab")["keys"]
    leaked = first | {"kid": "leaked", "d": "AQAB"}
    return json.dumps({"keys": [first, leaked, second]}).encode()


def is_signed(case: dict[str, Any]) -> bool:
    """Whether a verifier with the settings above accepts the token."""
    policy = {"iss": ISSUER, "aud": AUDIENCE, "leeway": LEEWAY}
    expected = {
        "expected": "valid",
        "jwks": "#a",
        "alg_allowed": ["RS256"],
        "profile": "session",
        "now": NOW,
        "policy": policy,
    }
    return all(case.get(name) == value for name, value in expected.items())


def joined(case: dict[str, Any], name: str) -> bytes:
    """Return the bytes of a member that has three forms: text, base64, parts."""
    if name in case:
        return str(case[name]).encode()
    if f"{name}_b64" in case:
        return base64.b64decode(case[f"{name}_b64"])
    return b"".join(str(text).encode() * count for text, count in case[f"{name}_parts"])


def decoded(segment: bytes) -> bytes:
    """Return what a lenient reader finds in a segment; it need not be what ours finds."""
    try:
        return base64.urlsafe_b64decode(segment + b"==")
    except ValueError:
        return segment


if __name__ == "__main__":
    main()
