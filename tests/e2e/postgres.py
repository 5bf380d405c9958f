"""A private Postgres that keeps what it acknowledges, and that can be killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path


def programs() -> Path:
    """Return the folder of Debian's newest Postgres."""
    return max(Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)) / "bin"


class Postgres:
    """A cluster on a unix socket of its own, with every guard against a crash switched on."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="queue-postgres-", dir="/tmp"))
        self._as_owner: list[str] = []
        if os.getuid() == 0:
            # The server refuses to run as root.
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            self._as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        init = [programs() / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust"]
        self._run(*init, "-E", "UTF8", "--no-locale")
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def url(self) -> str:
        """Where the issuer finds it."""
        return f"postgres:///postgres?host={self._folder}&user=postgres"

    @property
    def pid(self) -> int:
        """The process that every other of the server comes from."""
        return self._server.pid

    def start(self) -> None:
        """Start the server, after a crash too, and wait until it answers."""
        program = [programs() / "postgres", "-D", self._data, "-k", self._folder]
        log = (self._folder / "log").open("ab")
        self._server = subprocess.Popen(
            [*self._as_owner, *map(str, program), "-c", "listen_addresses="],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        ready = [str(programs() / "pg_isready"), "-q", "-h", str(self._folder)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._server.poll() is None, (self._folder / "log").read_text()

    def kill(self) -> None:
        """Kill the server and each of its processes, as a power cut does."""
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children")
        for pid in [self._server.pid, *map(int, children.read_text().split())]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._server.wait()

    def number(self, sql: str) -> int:
        """Return the whole number that `sql` selects."""
        done = subprocess.run(
            [str(programs() / "psql"), "-X", "-q", "-At", self.url, "-c", sql],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    def close(self) -> None:
        """Stop the server and remove its data."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *command: object) -> None:
        subprocess.run(
            [*self._as_owner, *map(str, command)], cwd="/", check=True, capture_output=True
        )
