"""`queue-sidecar doctor` and `python -m queue_verifier doctor` say the same of one token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from queue_verifier.testing import Forge
from running import BINARIES

COMMANDS = ([str(BINARIES / "queue-sidecar")], [sys.executable, "-m", "queue_verifier"])


@pytest.fixture(scope="module")
def forge() -> Forge:
    return Forge()


def tokens(forge: Forge) -> dict[str, str]:
    return {
        "good": forge.mint(),
        "expired, another audience": forge.expired(aud="velvet"),
        "tampered": forge.tampered(),
        "unknown key": forge.of_unknown_key(),
        "of a slash more": forge.mint(iss=f"{forge.issuer}/"),
        "without claims": forge.mint("exp", "sub"),
        "no token": "nothing.to.see",
    }


def test_the_same_words(forge: Forge, tmp_path: Path) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(forge.jwks))
    settings = ["--issuer", forge.issuer, "--audience", forge.audience]
    settings += ["--jwks", str(keys), "--at", str(forge.now)]
    for name, token in tokens(forge).items():
        for more in ([], ["--json"]):
            sidecar, python = (
                subprocess.run(
                    [*command, "doctor", *settings, *more, "-"],
                    input=f"{token}\n",
                    capture_output=True,
                    text=True,
                    check=False,
                )
                for command in COMMANDS
            )
            assert python.stdout == sidecar.stdout, name
            assert python.returncode == sidecar.returncode == (0 if name == "good" else 1), name
