"""Sandboxes without isolation: the program is a coroutine, the listener is a real socket on the loopback address."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence

from pasture.domain.limits import MIB
from pasture.isolation.spec import Exit, Program, SandboxError, SandboxSpec, Zygote

Script = Callable[["FakeProcess"], Awaitable[None]]
"""What a program does. It ends well when it returns; with `Ended` however that says."""


class Ended(Exception):
    """Raised by a script to end its program in another way than well."""

    def __init__(self, code: int | None = None, signal_: int | None = None) -> None:
        super().__init__(code, signal_)
        self.exit = Exit(code, signal_)


class FakeProcess:
    """A program of a sandbox. Its descriptors are its own duplicates, as with a real one."""

    def __init__(self, sandbox: "FakeSandbox", program: Program, life: int) -> None:
        self.sandbox = sandbox
        self.program = program
        self.life = life
        """The how manieth program of its sandbox this is, from 1."""
        self._descriptors = {1: os.dup(program.stdout), 2: os.dup(program.stderr)}
        self._descriptors |= {number: os.dup(source) for number, source in program.descriptors.items()}
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"{sandbox.id}: {program.name}")
        self._by_signal: int | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def has_ended(self) -> bool:
        return self._exit.done()

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    def send_signal(self, signal: int) -> None:
        if self._by_signal is None:
            self._by_signal = signal
        self._task.cancel()

    def write(self, data: bytes, descriptor: int = 1) -> None:
        os.write(self._descriptors[descriptor], data)

    async def _run(self) -> None:
        exit_ = Exit(1)
        try:
            # A real program's first words come after it was started.
            await asyncio.sleep(0)
            await self.sandbox.isolation.script(self)
            exit_ = Exit(0)
        except Ended as ended:
            exit_ = ended.exit
        except (ConnectionError, EOFError):
            # The Runtime API has gone, which no runtime survives.
            exit_ = Exit(1)
        except asyncio.CancelledError:
            exit_ = Exit(None, self._by_signal)
        except BaseException as error:
            self.sandbox.isolation.faults.append(error)
            raise
        finally:
            for descriptor in self._descriptors.values():
                os.close(descriptor)
            if not self._exit.done():
                self._exit.set_result(exit_)


class FakeSandbox:
    def __init__(self, isolation: "FakeIsolation", spec: SandboxSpec) -> None:
        self.isolation = isolation
        self.spec = spec
        self.tmp: dict[str, str] = {}
        """Stands for /tmp: what one life leaves there, the next finds."""
        self.programs: list[FakeProcess] = []
        self.peak_bytes = 40 * MIB
        self.cpus = spec.cpus
        self._destroyed = False
        self._gone = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def listener(self) -> socket.socket:
        return self._listener

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def is_alive(self) -> bool:
        return not (self._destroyed or self._gone)

    def vanish(self) -> None:
        """As when the launcher is killed: everything in it ends, and nobody is told but those who ask."""
        self._gone = True
        for process in self.programs:
            process.send_signal(signal.SIGKILL)

    def path(self, inside: str) -> str:
        return inside

    async def start(self, program: Program) -> FakeProcess:
        if not self.is_alive:
            raise SandboxError(f"cannot start {program.name} in {self.id}: the sandbox is gone.")
        if self.isolation.refuse_start is not None:
            raise SandboxError(self.isolation.refuse_start)
        process = FakeProcess(self, program, len(self.programs) + 1)
        self.programs.append(process)
        return process

    async def connect(self, port: int) -> socket.socket:
        """Everything in it runs here, so what listens in it listens here."""
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        return sock

    def limit_cpus(self, cpus: float) -> None:
        self.cpus = cpus

    async def kill_all(self) -> None:
        if self.isolation.refuse_kill is not None:
            raise SandboxError(self.isolation.refuse_kill)
        for process in self.programs:
            if not process.has_ended:
                process.send_signal(signal.SIGKILL)
        for process in self.programs:
            await process.wait()

    async def freeze(self) -> None:
        """The kind cannot."""

    async def thaw(self) -> None:
        """The kind cannot."""

    def peak_memory_bytes(self) -> int:
        return self.peak_bytes

    def pids(self) -> Sequence[int]:
        return [n for n, process in enumerate(self.programs) if not process.has_ended]

    async def destroy(self) -> None:
        self._destroyed = True
        for process in self.programs:
            if not process.has_ended:
                process.send_signal(signal.SIGKILL)
        for process in self.programs:
            await process.wait()
        self._listener.close()
        self.isolation.sandboxes.pop(self.id, None)


class FakeIsolation:
    """`script` is what every program in every sandbox does; `refuse_…` is why something cannot be done, when it cannot."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sandboxes: dict[str, FakeSandbox] = {}
        """Those that have not been destroyed."""
        self.created = 0
        self.prepared: list[Zygote] = []
        self.faults: list[BaseException] = []
        """What went wrong in scripts: a test's own mistakes."""
        self.refuse_create: str | None = None
        self.refuse_start: str | None = None
        self.refuse_kill: str | None = None

    @property
    def name(self) -> str:
        return "fake"

    @property
    def warnings(self) -> Sequence[str]:
        return ("Nothing is isolated: programs are coroutines.",)

    @property
    def stock(self) -> int:
        return 0

    async def open(self) -> None:
        """There is nothing that a crash could have left."""

    async def prepare(self, zygote: Zygote) -> None:
        self.prepared.append(zygote)

    async def create(self, spec: SandboxSpec) -> FakeSandbox:
        if self.refuse_create is not None:
            raise SandboxError(self.refuse_create)
        self.created += 1
        sandbox = self.sandboxes[spec.id] = FakeSandbox(self, spec)
        return sandbox

    async def close(self) -> None:
        for sandbox in list(self.sandboxes.values()):
            await sandbox.destroy()
