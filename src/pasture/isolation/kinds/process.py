"""No isolation: programs are ordinary processes of the server's user. For machines without Linux namespaces."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pasture.isolation.connecting import connected
from pasture.isolation.network.options import NetworkOptions
from pasture.isolation.spec import Exit, Isolation, Mount, Process, Program, Sandbox, SandboxError, SandboxSpec, Zygote

# Puts descriptors at their numbers and becomes the program. argv: a descriptor for the reason of a failure, the
# directory, `from:to` pairs, whether LC_CTYPE is the program's own (else it is what this interpreter has set, PEP 538),
# then the command. Runs in the child alone, so nothing of the server can interfere.
_EXEC = """
import fcntl, os, sys
report = fcntl.fcntl(int(sys.argv[1]), fcntl.F_DUPFD_CLOEXEC, 64)
os.close(int(sys.argv[1]))
pairs = [pair.split(":") for pair in sys.argv[3].split(",") if pair]
parked = [(fcntl.fcntl(int(a), fcntl.F_DUPFD_CLOEXEC, 64), int(b)) for a, b in pairs]
for a, _ in pairs:
    os.close(int(a))
first = 3
for a in sorted({report, *(a for a, _ in parked)}):
    if first < a:
        os.closerange(first, a)  # an event loop may have let more through than was asked for
    first = a + 1
os.closerange(first, 65536)
for a, b in parked:
    os.dup2(a, b)
step = "change to the directory " + sys.argv[2]
try:
    os.chdir(sys.argv[2])
    step = "execute " + sys.argv[5]
    if sys.argv[4] == "no":
        os.environ.pop("LC_CTYPE", None)
    import signal
    # What Python ignores, and what whoever started the server in the background made it ignore.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(sys.argv[5], sys.argv[5:], os.environ)
except OSError as error:
    os.write(report, f"cannot {step}: {error.strerror}.".encode())
    os._exit(127)
"""
_TMP = "/tmp"  # noqa: S108  where programs expect it; it is a directory of the sandbox's own
_WARNING = (
    "Nothing is isolated: functions run as the server's own user, see its files and network, "
    "and their memory, processor time, processes and /tmp are not limited."
)


class HostProcess:
    """A process group of its own on the host."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    def __repr__(self) -> str:
        return f"<HostProcess {self._name} pid={self.pid} {self._process.returncode}>"

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def wait(self) -> Exit:
        code = await self._process.wait()
        return Exit(code) if code >= 0 else Exit(None, -code)

    def send_signal(self, signal: int) -> None:
        if not self.has_ended:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal)

    def kill_group(self) -> None:
        """Its children too, also after it has ended itself; not those that made a session of their own."""
        with suppress(ProcessLookupError, PermissionError):  # macOS answers the second for a group of zombies
            os.killpg(self.pid, signal.SIGKILL)


class ProcessSandbox:
    """Implements `Sandbox`. Mutable state: the programs started, and whether it is destroyed."""

    def __init__(self, spec: SandboxSpec, directory: Path) -> None:
        self._spec = spec
        self._directory = directory
        self._programs: list[HostProcess] = []
        self._is_destroyed = False
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(511)
        self._listener.setblocking(False)

    def __repr__(self) -> str:
        return f"<ProcessSandbox {self.id} programs={self._programs}>"

    @property
    def id(self) -> str:
        return self._spec.id

    @property
    def listener(self) -> socket.socket:
        return self._listener

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def is_alive(self) -> bool:
        return True

    def path(self, inside: str) -> str:
        if inside == _TMP or inside.startswith(_TMP + "/"):
            return str(self._directory) + inside[len(_TMP) :]
        for mount in sorted(self._spec.mounts, key=lambda mount: -len(mount.target)):
            target = mount.target.rstrip("/")
            if inside == target or inside.startswith(target + "/"):
                return str(mount.source) + inside[len(target) :]
        return inside

    async def connect(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        return await connected(sock)

    async def start(self, program: Program) -> Process:
        if self._is_destroyed:
            raise SandboxError("the sandbox is gone.")
        reason, report = os.pipe()
        try:
            process = await self._spawn(program, report)
        except OSError as error:
            os.close(reason)
            raise SandboxError(f"{program.name}: cannot start {sys.executable}: {error.strerror}.") from error
        finally:
            os.close(report)
        started = HostProcess(program.name, process)
        self._programs.append(started)
        if failure := await _read_all(reason):
            await process.wait()
            self._programs.remove(started)
            raise SandboxError(f"{program.name}: {failure}")
        return started

    async def _spawn(self, program: Program, report: int) -> asyncio.subprocess.Process:
        pairs = ",".join(f"{ours}:{number}" for number, ours in program.descriptors.items())
        own_locale = "yes" if "LC_CTYPE" in program.environment else "no"
        arguments = (str(report), program.directory, pairs, own_locale, *program.command)
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _EXEC, *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=program.stdout,
            stderr=program.stderr,
            pass_fds=tuple({report, *program.descriptors.values()}),
            env={**program.environment, "TMPDIR": str(self._directory)},
            start_new_session=True,
        )  # fmt: skip

    async def kill_all(self) -> None:
        for program in self._programs:
            program.kill_group()
        for program in self._programs:
            await program.wait()
        self._programs.clear()

    async def freeze(self) -> None:
        """Not here: a stopped process would be seen as such by its parent."""

    async def thaw(self) -> None:
        """Nothing was frozen."""

    def limit_cpus(self, cpus: float) -> None:
        """Not here: nothing limits the processes of a user."""

    def peak_memory_bytes(self) -> int:
        return 0

    def pids(self) -> Sequence[int]:
        return [program.pid for program in self._programs if not program.has_ended]

    async def destroy(self) -> None:
        self._is_destroyed = True
        await self.kill_all()
        self._listener.close()
        await asyncio.to_thread(_kill_strays, self._directory)
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)


class ProcessIsolation:
    """Mutable state: the sandboxes by id."""

    def __init__(self, run_directory: Path) -> None:
        self._directory = run_directory / "processes"
        self._sandboxes: dict[str, ProcessSandbox] = {}

    @property
    def name(self) -> str:
        return "process"

    @property
    def warnings(self) -> Sequence[str]:
        return (_WARNING,)

    @property
    def stock(self) -> int:
        return 0

    async def open(self) -> None:
        await asyncio.to_thread(_kill_strays, self._directory)
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)

    async def prepare(self, zygote: Zygote) -> None:
        """There is nothing to fork it into."""

    async def create(self, spec: SandboxSpec) -> Sandbox:
        _check(spec.mounts)
        if spec.root is not None:
            raise SandboxError(f"cannot have {spec.root} as the root: there are no namespaces to have it in.")
        directory = await asyncio.to_thread(tempfile.mkdtemp, prefix=f"{spec.id}-", dir=self._directory)
        sandbox = self._sandboxes[spec.id] = ProcessSandbox(spec, Path(directory))
        return sandbox

    async def close(self) -> None:
        await asyncio.gather(*(sandbox.destroy() for sandbox in self._sandboxes.values()))
        self._sandboxes.clear()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)


def _check(mounts: tuple[Mount, ...]) -> None:
    for mount in mounts:
        if not mount.source.exists():
            raise SandboxError(f"cannot show {mount.source} at {mount.target}: No such file or directory.")


async def _read_all(descriptor: int) -> str:
    """What the child says of its failure; empty, as soon as it has become the program."""

    def read() -> str:
        with open(descriptor, "rb") as pipe:
            return pipe.read().decode(errors="replace")

    return await asyncio.to_thread(read)


def _kill_strays(directory: Path) -> None:
    """Processes that have left their group, or outlived a server; known by their TMPDIR, where there is a /proc."""
    mark = b"\0TMPDIR=" + os.fsencode(directory)
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # ended meanwhile, or another user's
            if mark in b"\0" + environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)


def make(*, run_directory: Path, owner: str, network: NetworkOptions) -> Isolation:  # noqa: ARG001  every kind is made so
    return ProcessIsolation(run_directory)
