from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["queue_verifier"])
def test_stubs_match_the_native_module(module: str) -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "--strict-type-check-only", module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
