from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("module", ["queue_verifier"])
def test_stubs_match_the_native_module(module: str) -> None:
    settings = Path(__file__).parents[1] / "pyproject.toml"
    command = [sys.executable, "-m", "mypy.stubtest", "--strict-type-check-only"]
    command += ["--mypy-config-file", str(settings)]
    command += ["--allowlist", str(Path(__file__).with_name("stubtest.allow")), module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
