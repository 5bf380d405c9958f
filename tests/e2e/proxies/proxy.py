"""A proxy: the files of `examples/proxies`, with our ports and paths in them, and a program."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from running import ROOT, Program, free_port

from .world import World, eventually

EXAMPLES = ROOT / "examples" / "proxies"
# Ours come with the Python environment; Debian keeps servers out of the PATH of a plain user.
SEARCH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
# The program itself: the `envoy` beside Python is a wrapper, which would leave it running.
ENVOY = sysconfig.get_path("platlib") + "/envoy/_bin/envoy"


@dataclass(frozen=True)
class Kind:
    """What differs between proxies."""

    name: str
    folder: str
    """Under `examples/proxies`; every file of it is put in place."""
    command: list[str]
    """`{folder}` stands for where the files are."""
    differs: Mapping[str, str] = field(default_factory=dict)
    """Cases that end otherwise than with a sidecar, and how."""
    asks_sidecar: bool = True
    remembers_seconds: float = 0
    """How long it may go on with what the sidecar said."""
    tells_roles: bool = True
    """Whether the service is told roles: a list does not fit everywhere."""


class Proxy:
    """A running proxy."""

    def __init__(self, kind: Kind, world: World, folder: Path) -> None:
        self.kind = kind
        self.port = free_port()
        for source in (EXAMPLES / kind.folder).iterdir():
            text = _adapted(source.read_text(), world, self.port, folder)
            (folder / source.name).write_text(text)
        (folder / "issuer.pem").write_text(world.public_pem)
        command = [part.format(folder=folder) for part in kind.command]
        self.program = Program([_found(command[0]), *command[1:]], env={}, cwd=folder)
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self.program.is_running(), "".join(self.program.lines)
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


def _adapted(text: str, world: World, port: int, folder: Path) -> str:
    text = text.replace("http://localhost:4100", world.issuer.name)
    text = text.replace("/etc/queue/apache", str(folder)).replace("/etc/queue", str(folder))
    ports = {"8080": port, "4140": world.to_sidecar.port, "4100": world.to_issuer.port}
    ports["9000"] = world.service.port
    return re.sub(r"\b(8080|4140|4100|9000)\b", lambda match: str(ports[match[0]]), text)


def _found(program: str) -> str:
    found = shutil.which(program, path=SEARCH)
    assert found, f"{program} is missing: .ci/setup test"
    return found
