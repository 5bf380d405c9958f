"""What was measured and on what: the programs built, their versions, the machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import re
import subprocess
from pathlib import Path

RUST = ("aws-lc-rs", "ring", "jsonwebtoken")
PYTHON = ("PyJWT", "joserfc", "cryptography")
NODE = ("jose", "fast-jwt")


class Build:
    """The benchmark's programs in a checkout, built by cargo where they are stale."""

    def __init__(self, root: Path, node: str) -> None:
        self._root = root
        self._node = node

    def benchmark(self) -> str:
        """Return the path of the verifier's own benchmark."""
        return self._bench("queue-verifier", "validate_session")

    def status_lists(self) -> tuple[str, str]:
        """Return the paths of what measures a status list at the verifier and at the issuer."""
        return (
            self._bench("queue-verifier", "status_list"),
            self._bench("queue-issuer", "status_list"),
        )

    def issuer(self) -> tuple[str, str]:
        """Return the paths of what measures minting, and the issuer under load."""
        return self._bench("queue-issuer", "mint"), self._bench("queue-issuer", "load")

    def jwt_simple(self) -> str:
        """Return the path of jwt-simple's program, which builds apart from the workspace."""
        folder = self._root / "tests/bench/jwt_simple"
        target = self._root / "target/peers"
        return self._cargo(
            *("build", "--release", "--locked", "--target-dir", str(target)),
            *("--manifest-path", str(folder / "Cargo.toml")),
        )

    def facts(self) -> dict[str, str]:
        """Return the rows of the page's table of what was measured."""
        cpu = dict(re.findall(r"^([^:\n]+):\s*(.+)$", _output("lscpu"), re.MULTILINE))
        return {
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
            "commit": self._commit(),
            "processor": f"{cpu['Model name']}, {cpu['CPU(s)']} CPUs, {cpu['Architecture']}",
            "system": f"{_distribution()}, Linux {platform.release()}",
            "compiler": _output("rustc", "--version"),
            "Rust": ", ".join(self._crates()),
            f"Python {platform.python_version()}": ", ".join(
                f"{name} {importlib.metadata.version(name)}" for name in PYTHON
            ),
            f"Node.js {_output(self._node, '--version').removeprefix('v')}": ", ".join(
                f"{name} {self._npm(name)}" for name in NODE
            ),
        }

    def _bench(self, package: str, name: str) -> str:
        # The verifier's benchmarks hold one backend against another; the issuer's need none.
        features = ["--all-features"] if package == "queue-verifier" else []
        return self._cargo("bench", "-p", package, *features, "--no-run", "--bench", name)

    def _cargo(self, *arguments: str) -> str:
        command = ["cargo", *arguments, "--message-format", "json"]
        output = subprocess.run(
            command, cwd=self._root, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        messages = [json.loads(line) for line in output.splitlines()]
        built = {
            message["target"]["kind"][0]: str(message["executable"])
            for message in messages
            if message.get("executable")
        }
        # A benchmark comes with the package's program, where it has one.
        for wanted in ("bench", "bin"):
            if wanted in built:
                return built[wanted]
        raise RuntimeError(f"{command} built no program")

    def _commit(self) -> str:
        commit = _output("git", "-C", str(self._root), "rev-parse", "--short=10", "HEAD")
        changed = _output("git", "-C", str(self._root), "status", "--porcelain", "-uno")
        return f"{commit}, with changes" if changed else commit

    def _crates(self) -> list[str]:
        ours = _locked(self._root / "Cargo.lock")
        theirs = _locked(self._root / "tests/bench/jwt_simple/Cargo.lock")
        peers = [f"{name} {theirs[name]}" for name in ("jwt-simple", "boring")]
        return [f"{name} {ours[name]}" for name in RUST] + peers

    def _npm(self, name: str) -> str:
        manifest = self._root / "tests/foreign/node_modules" / name / "package.json"
        return str(json.loads(manifest.read_text())["version"])


def _locked(file: Path) -> dict[str, str]:
    return dict(re.findall(r'^name = "(.+)"\nversion = "(.+)"$', file.read_text(), re.MULTILINE))


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
