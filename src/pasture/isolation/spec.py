"""What a sandbox is to be, and what every kind of isolation promises."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of the host, shown read-only at an absolute path inside."""

    source: Path
    target: str


@dataclass(frozen=True)
class Zygote:
    """A program that is kept loaded where that is possible, so that a sandbox has it by a fork in place of an exec.

    Programs with this `command` and one argument more are started so, when `environment` has what they would read at
    their start. `mounts` are what it is loaded from; a sandbox that is made from it has them as well.
    """

    mounts: tuple[Mount, ...]
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A box that programs can be started in. Sizes are bytes."""

    id: str
    """Unique in this server; letters, digits and hyphens; names it in messages."""
    mounts: tuple[Mount, ...]
    memory_bytes: int
    tmp_bytes: int
    cpus: float
    """How many processors' worth of time, as a hard cap; `Sandbox.limit_cpus` changes it."""
    open_files: int = 1_024
    processes: int = 1_024
    hostname: str = "localhost"
    root: Path | None = None
    """A tree to have as its root, read-only, in place of this system's: see `launcher.image_root`. Without mounts."""
    network: bool = False
    """Whether it has a way out, where the server has one, to what the server's `NetworkOptions` leave open."""
    zygote: Zygote | None = None
    """What it is made from as soon as that is loaded; until then, and without one, its programs are executed."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start in a sandbox. Paths are as seen inside.

    `descriptors` are passed at the numbers given (3 and above); standard input is
    /dev/null, `stdout` and `stderr` are the write ends that the caller made. All of them
    are duplicated: the caller still owns and closes its own.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    stdout: int
    stderr: int
    descriptors: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended: an exit code, or the signal that killed it.

    `out_of_memory`: the box had run out of memory. The kernel kills one process then, and the sandbox the others: every
    program that ran says so, also one that ended itself, with whatever code, after it had lost a child.
    """

    code: int | None
    signal: int | None = None
    out_of_memory: bool = False


class SandboxError(Exception):
    """A sandbox or a program could not be made: names the step, what it failed on, and the kernel's reason."""


class Process(Protocol):
    """A program that was started in a sandbox."""

    @property
    def name(self) -> str: ...

    async def wait(self) -> Exit:
        """Until it has ended. May be awaited by many and any number of times."""
        ...

    def send_signal(self, signal: int) -> None:
        """To the program itself; silently nothing when it has ended."""
        ...


class Sandbox(Protocol):
    """A box: made by `Isolation.create`, removed by `destroy`, and by nothing else but the end of the server."""

    @property
    def id(self) -> str: ...

    @property
    def listener(self) -> socket.socket:
        """A non-blocking TCP socket, already listening inside the sandbox. The sandbox owns it."""
        ...

    @property
    def address(self) -> str:
        """`host:port` at which programs inside reach the listener."""
        ...

    @property
    def is_alive(self) -> bool:
        """False once the box has gone without `destroy`: its init was killed. Destroy it still."""
        ...

    def path(self, inside: str) -> str:
        """Where programs in this sandbox find a mount's target: `inside` itself, except where nothing is mounted."""
        ...

    async def start(self, program: Program) -> Process: ...

    async def connect(self, port: int) -> socket.socket:
        """A non-blocking TCP connection to a program that listens on this port inside; the caller's to close.

        Raises OSError when nobody does, SandboxError when the box has gone.
        """
        ...

    async def kill_all(self) -> None:
        """Every program in the box, with SIGKILL; the box stays, and so does its /tmp. Returns when all are gone."""
        ...

    async def freeze(self) -> None:
        """No program in the box gets processor time until `thaw`. Does nothing where the kind cannot."""
        ...

    async def thaw(self) -> None: ...

    def limit_cpus(self, cpus: float) -> None:
        """From now on the box may use this many processors' worth of time instead of the spec's. Takes microseconds.

        Does nothing where the kind cannot, or when the box has gone.
        """
        ...

    def peak_memory_bytes(self) -> int:
        """The most memory the box has used since it was made; 0 where it is not known."""
        ...

    def pids(self) -> Sequence[int]:
        """Host process ids of everything in the box, the box's own init included; for tests and status."""
        ...

    async def destroy(self) -> None:
        """Kill everything and give back every process, mount, cgroup, namespace, socket and file. Idempotent."""
        ...


class Isolation(Protocol):
    """A way to make sandboxes. One per server; made by `kinds`, opened before use, closed at the end."""

    @property
    def name(self) -> str: ...

    @property
    def warnings(self) -> Sequence[str]:
        """What is not enforced here and why, for people; empty when everything is."""
        ...

    @property
    def stock(self) -> int:
        """So many sandboxes are half made, for whoever asks next."""
        ...

    async def open(self) -> None:
        """Get ready; first clear what a crash of an earlier session of the same data directory left behind."""
        ...

    async def prepare(self, zygote: Zygote) -> None:
        """Have it loaded, where that is possible, for the sandboxes to come. What prevents it is logged, not raised."""
        ...

    async def create(self, spec: SandboxSpec) -> Sandbox: ...

    async def close(self) -> None:
        """Destroy every sandbox that is left and end the launcher."""
        ...
