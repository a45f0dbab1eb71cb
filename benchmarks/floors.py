"""The least that each thing can cost, as programs of their own that are measured in turns with ours."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from client import Connection, to_bytes
from packages import ECHO
from processes import tree

from pasture.runtimes.registry import Runtimes, families
from pasture.runtimes.spec import InstalledRuntime
from pasture.settings import default_runtimes_dir

_SECONDS = 300.0
_HERE = Path(__file__).parent


class NoFloor(Exception):
    """It cannot be measured on this machine, or by this user; the message says why."""


@dataclass(frozen=True)
class Relay:
    """`relay.py`, with so many runtimes."""

    url: str
    pid: int

    def connect(self) -> Connection:
        return Connection(self.url)

    def invocation(self, payload: bytes = b"{}") -> bytes:
        return to_bytes("POST", f"{self.url}/", {"Content-Type": "application/json"}, payload)

    def pids(self) -> set[int]:
        return tree(self.pid)


@contextlib.contextmanager
def relay(directory: Path, runtimes: int) -> Iterator[Relay]:
    code = directory / "relay"
    code.mkdir(exist_ok=True)
    (code / "app.py").write_text(ECHO)
    command = [sys.executable, str(_HERE / "relay.py"), str(runtime_client()), str(code), str(runtimes)]
    with talking(command) as (said, pid):
        yield Relay(said, pid)


@contextlib.contextmanager
def talking(command: list[str]) -> Iterator[tuple[str, int]]:
    """A program that prints a line when it is ready and ends with its standard input: the line, and its process."""
    # A group of its own: Ctrl-C is for the run, which ends this.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.stdin.close()


def runtime() -> InstalledRuntime:
    return Runtimes(families(default_runtimes_dir())).install(f"python3.{sys.version_info.minor}")


def runtime_client() -> Path:
    """Where AWS's runtime client and its bootstrap are on this machine."""
    return next(mount.source for mount in runtime().mounts if mount.target == "/var/runtime")


def namespaces(directory: Path, rounds: int) -> list[float]:
    """Milliseconds of `namespaces_floor.py`. Raises NoFloor."""
    if os.geteuid() != 0:
        raise NoFloor("its floor needs root")
    root, code = directory / "root", directory / "code"
    root.mkdir(exist_ok=True)
    code.mkdir(exist_ok=True)
    return _lines("namespaces_floor.py", str(rounds), str(root), str(code), sys.base_prefix, str(code), "/usr")


def execution(directory: Path, rounds: int) -> list[float]:
    """Milliseconds of `exec_floor.py`. Raises NoFloor."""
    return _lines("exec_floor.py", str(rounds), str(directory / "exec"))


def _lines(program: str, *arguments: str) -> list[float]:
    command = [sys.executable, str(_HERE / program), *arguments]
    # A group of its own: Ctrl-C is for the run, which ends this.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            printed, said = process.communicate(timeout=_SECONDS)
        except BaseException:
            # As by Ctrl-C, so that it gives its sandbox back.
            process.send_signal(signal.SIGINT)
            raise
    if process.returncode != 0:
        raise NoFloor(f"its floor failed: {(said.strip().splitlines() or ['without a word'])[-1]}")
    return [float(line) for line in printed.split()]
