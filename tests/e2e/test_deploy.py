"""The files of `examples/deploy`: what systemd, Kubernetes and a container build make of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from running import BINARIES, ROOT

DEPLOY = ROOT / "examples" / "deploy"
UNITS = ("queue-sidecar.service", "queue-sidecar.socket", "queue-issuer.service")
KUBERNETES = "1.29"
"""The first version whose init containers restart."""


@pytest.fixture(scope="module")
def programs() -> set[str]:
    """The programs that the workspace builds."""
    done = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    packages = json.loads(done.stdout)["packages"]
    targets = [target for package in packages for target in package["targets"]]
    return {target["name"] for target in targets if target["kind"] == ["bin"]}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, naming programs that are there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text()
        text = text.replace("/usr/bin/queue-", f"{BINARIES}/queue-")
        (tmp_path / name).write_text(text)
    return tmp_path


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_systemd_takes_the_units(units: Path) -> None:
    for name in UNITS:
        said = analyze("verify", "--man=no", "--recursive-errors=no", str(units / name))
        assert not [line for line in said.splitlines() if "queue-" in line], said


@pytest.mark.parametrize("name", ["queue-sidecar.service", "queue-issuer.service"])
def test_systemd_finds_the_units_hardened(units: Path, name: str) -> None:
    # Tenths of its measure of exposure, from 0 to 100: what is left is the network.
    analyze("security", "--offline=true", "--threshold=16", "--no-pager", str(units / name))


def test_the_port_of_the_socket_is_the_default_of_the_sidecar() -> None:
    unit = (DEPLOY / "systemd" / "queue-sidecar.socket").read_text()
    (port,) = re.findall(r"^ListenStream=(\S+)$", unit, re.MULTILINE)
    assert f"| `127.0.0.1:{port.rpartition(':')[2]}` |" in settings_reference()
    assert port.startswith("127.0.0.1:")


def settings_reference() -> str:
    return (ROOT / "docs" / "reference" / "settings.md").read_text()


def test_every_setting_in_the_files_exists() -> None:
    known = set(re.findall(r"`((?:QUEUE|FLAG|DATABASE)_[A-Z0-9_]+)`", settings_reference()))
    assert len(known) > 50
    for path in DEPLOY.rglob("*"):
        if path.is_dir() or path.suffix == ".md":
            continue
        named = set(re.findall(r"\b(?:QUEUE|FLAG|DATABASE)_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
        # A name of the service beside it, and the beginning of a family of names.
        assert named - known <= {"QUEUE_SIDECAR_URL", "QUEUE_SERVICE_TOKEN"}, path


def test_kubernetes_takes_the_manifest() -> None:
    for manifest in manifests():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_pod_can_write_nothing_and_is_nobody() -> None:
    (deployment,) = manifests()
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    for container in (sidecar, *pod["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
    probes = {name: sidecar[name]["exec"]["command"] for name in ("startupProbe", "readinessProbe")}
    assert set(map(tuple, probes.values())) == {("/usr/bin/queue-sidecar", "health")}
    assert {"livenessProbe", "ports"}.isdisjoint(sidecar)


def manifests() -> list[dict[str, Any]]:
    text = (DEPLOY / "kubernetes" / "service_with_sidecar.yaml").read_text()
    return list(yaml.safe_load_all(text))


def stages() -> dict[str, list[tuple[str, str]]]:
    """The stages of the container file, and their instructions."""
    text = (DEPLOY / "container" / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            image, _, name = rest.partition(" AS ")
            found[name] = [("FROM", image)]
        else:
            found[list(found)[-1]].append((instruction, rest))
    return found


def test_the_images_run_our_programs_as_nobody(programs: set[str]) -> None:
    found = stages()
    assert list(found) == ["build", "root", "sidecar", "issuer"]
    for name in ("sidecar", "issuer"):
        stage = dict(found[name])
        assert stage["FROM"] == "scratch"
        assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", stage["USER"])
        (program,) = json.loads(stage["ENTRYPOINT"])
        assert program == f"/usr/bin/queue-{name}"
        assert Path(program).name in programs
        copied = [rest for instruction, rest in found[name] if instruction == "COPY"]
        assert any(rest.endswith(f" {program}") for rest in copied)
        assert all(
            rest.startswith("--from=root /root-fs/") or "--chown=" in rest for rest in copied
        )


def test_the_images_are_built_with_our_rust(programs: set[str]) -> None:
    build = stages()["build"]
    (rust,) = re.findall(
        r'^rust-version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE
    )
    assert build[0] == ("FROM", f"rust:{rust}-bookworm")
    (command,) = (rest for instruction, rest in build if instruction == "RUN")
    built = set(re.findall(r"--package (\S+)", command))
    assert built == {"queue-sidecar", "queue-issuer"} <= programs
    assert "--locked" in command


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, DEPLOY / "container" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_procfile_starts_our_programs(programs: set[str]) -> None:
    lines = (DEPLOY / "Procfile").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        name, command = line.split(": ")
        assert re.fullmatch(r"[a-z]+", name)
        assert command.split()[0] in programs
