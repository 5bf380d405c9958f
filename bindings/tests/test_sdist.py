"""The source distribution builds by itself: the verifier's crate is in it, and what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MATURIN = str(Path(sys.executable).with_name("maturin"))


def test_sdist(tmp_path: Path) -> None:
    command = [MATURIN, "sdist", "-m", str(ROOT / "bindings" / "Cargo.toml"), "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    (archive,) = tmp_path.glob("queue_verifier-*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    folder = archive.with_name(archive.name.removesuffix(".tar.gz"))
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / "README.md").read_text() == (ROOT / "bindings" / "README.md").read_text()
    for crate in ("verifier", "bindings"):
        for source in (ROOT / crate / "src").rglob("*.rs"):
            assert str(source.relative_to(ROOT)) in found
    for module in (ROOT / "bindings" / "python").rglob("*.py*"):
        if module.suffix in (".py", ".pyi"):
            assert str(module.relative_to(ROOT / "bindings")) in found
    assert not [name for name in found if name.startswith(("bindings/tests", "bindings/benches"))]
    assert archive.stat().st_size < 1024 * 1024
    # Cargo finds every crate by what the archive says, at the versions of our lock file.
    described = subprocess.run(
        ["cargo", "metadata", "--offline", "--format-version", "1"],  # noqa: S607
        cwd=folder / "bindings",
        check=True,
        capture_output=True,
    )
    metadata = json.loads(described.stdout)
    members = {name.rpartition("/")[2].partition("#")[0] for name in metadata["workspace_members"]}
    assert members == {"verifier", "bindings"}
    (wanted,) = (p for p in metadata["packages"] if p["name"] == "queue-verifier")
    assert Path(wanted["manifest_path"]).is_relative_to(folder)
