"""A sandbox of namespaces as the server sees it: a socket to its init, a pidfd, a cgroup, a listening socket."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pasture.isolation.channel import Channel
from pasture.isolation.connecting import connected
from pasture.isolation.launcher import protocol
from pasture.isolation.launching import Created
from pasture.isolation.memory import MemoryWatch
from pasture.isolation.spec import Exit, Process, Program, SandboxError

_GONE = "the sandbox is gone."


class BoxGone(SandboxError):
    """Its first process has ended before it was ready, without a word."""


class BoxProcess:
    """One program. It has ended when init says so, or when init itself has."""

    def __init__(self, name: str, send_signal: Callable[[int], None]) -> None:
        self._name = name
        self._send_signal = send_signal
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<BoxProcess {self._name} {self._exit.result() if self._exit.done() else 'running'}>"

    @property
    def name(self) -> str:
        return self._name

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    def send_signal(self, signal: int) -> None:
        if not self._exit.done():
            self._send_signal(signal)

    def ended(self, how: Exit) -> None:
        if not self._exit.done():
            self._exit.set_result(how)


class Box:
    """Implements `Sandbox`. Mutable state: the programs that run, the answers that init owes, whether it is alive,
    which programs end because memory ran out.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  its name
        cpus: float,
        control: socket.socket,
        removed: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._id = id
        self._cpus = cpus
        self._removed = removed
        self._created: Created | None = None
        self._listener: socket.socket | None = None
        self._address = ""
        self._serial = 0
        self._memory: MemoryWatch | None = None
        self._doomed: set[int] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._kills = 0
        self._programs: dict[int, BoxProcess] = {}
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._connections: dict[int, socket.socket] = {}
        self._ready: asyncio.Future[None] = loop.create_future()
        self._destroying: asyncio.Task[None] | None = None
        self._channel = Channel(control, self._received, self._ended)

    def __repr__(self) -> str:
        state = "gone" if self._channel.is_closed else "destroying" if self._destroying else "alive"
        return f"<Box {self._id} {state} programs={[p.name for p in self._programs.values()]}>"

    async def ready(self, created: Created) -> None:
        """Until its init has made it. `created` is the box's from now on."""
        self._created = created
        self._memory = MemoryWatch(created.group, self._out_of_memory)
        await self._ready

    # What it is...

    @property
    def id(self) -> str:
        return self._id

    @property
    def listener(self) -> socket.socket:
        if self._listener is None:
            raise SandboxError(_GONE)
        return self._listener

    @property
    def address(self) -> str:
        return self._address

    @property
    def group_name(self) -> str:
        return self._created.group.name if self._created else ""

    @property
    def is_alive(self) -> bool:
        return self._created is not None and not self._channel.is_closed

    def path(self, inside: str) -> str:
        return inside

    def peak_memory_bytes(self) -> int:
        return self._created.group.peak_memory_bytes() if self._created else 0

    def pids(self) -> Sequence[int]:
        if self._created is None or self._channel.is_closed:
            return []
        return self._created.group.pids() or _tree(self._created.pid)

    # What it does...

    async def start(self, program: Program) -> Process:
        if self._sweeping is not None:
            await asyncio.wait({self._sweeping})
        self._serial += 1
        serial = self._serial
        process = BoxProcess(program.name, lambda number: self._signal(serial, number))
        request = protocol.ProgramRequest(
            command=list(program.command),
            environment=dict(program.environment),
            directory=program.directory,
            numbers=list(program.descriptors),
        )
        descriptors = (program.stdout, program.stderr, *program.descriptors.values())
        self._programs[serial] = process
        try:
            await self._ask({"op": "start", "serial": serial, "program": request}, descriptors)
        except SandboxError as error:
            self._programs.pop(serial, None)
            raise SandboxError(f"{program.name}: {error}") from error
        return process

    async def connect(self, port: int) -> socket.socket:
        self._serial += 1
        serial = self._serial
        host = self._address.rpartition(":")[0]
        try:
            await self._ask({"op": "connect", "serial": serial, "host": host, "port": port})
            return await connected(self._connections.pop(serial))
        finally:
            if (unwanted := self._connections.pop(serial, None)) is not None:
                unwanted.close()

    async def kill_all(self) -> None:
        self._check_memory()
        self._serial += 1
        request = {"op": "kill", "serial": self._serial}
        with suppress(SandboxError):  # gone is killed
            await self._kill(lambda: self._ask(request))

    async def freeze(self) -> None:
        if self._created is not None and not self._channel.is_closed:
            await asyncio.to_thread(self._created.group.freeze)

    async def thaw(self) -> None:
        if self._created is not None and not self._channel.is_closed:
            self._created.group.thaw()

    def limit_cpus(self, cpus: float) -> None:
        self._cpus = cpus
        self._hold_to_share()

    async def destroy(self) -> None:
        if self._destroying is None:
            self._destroying = asyncio.create_task(self._destroy(), name=f"destroy {self._id}")
        # Whoever stops waiting does not stop it.
        await asyncio.shield(self._destroying)

    async def _destroy(self) -> None:
        try:
            self._close_memory()
            if self._sweeping is not None:
                await asyncio.wait({self._sweeping})
            if self._created is not None:
                await self._created.launcher.end(self._created)
        finally:
            self._channel.close()
            self._ended()
            if self._listener is not None:
                self._listener.close()
            self._removed()

    # What init says...

    def _received(self, message: protocol.Message, descriptors: list[int]) -> None:
        match message["op"]:
            case "ready":
                self._address = message["address"]
                self._listener = socket.socket(fileno=descriptors[0])
                self._listener.setblocking(False)
                _settle(self._ready)
            case "failed":
                _settle(self._ready, SandboxError(message["reason"]))
            case "exited":
                self._exited(message)
            case "connecting":
                sock = socket.socket(fileno=descriptors[0])
                answer = self._answers.pop(message["serial"])
                if answer.done():  # nobody waits any more
                    sock.close()
                else:
                    self._connections[message["serial"]] = sock
                    _settle(answer)
            case "refused":
                _settle(self._answers.pop(message["serial"]), SandboxError(message["reason"]))
            case _:
                _settle(self._answers.pop(message["serial"]))

    def _exited(self, message: protocol.Message) -> None:
        self._check_memory()
        serial = message["serial"]
        self._programs.pop(serial).ended(Exit(message["code"], message["signal"], serial in self._doomed))
        self._doomed.discard(serial)

    def _ended(self) -> None:
        """Init is gone, and with it every program."""
        _settle(self._ready, BoxGone(_GONE))
        self._check_memory()
        self._close_memory()
        for serial, process in self._programs.items():
            process.ended(Exit(None, signal.SIGKILL, serial in self._doomed))
        self._programs.clear()
        for answer in self._answers.values():
            _settle(answer, SandboxError(_GONE))
        self._answers.clear()

    # Small things...

    async def _ask(self, message: protocol.Message, descriptors: Sequence[int] = ()) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._channel.send(message, descriptors)
        self._answers[message["serial"]] = answer
        await answer

    async def _kill(self, rest: Callable[[], Awaitable[None]] | None = None) -> None:
        """Every process but init, and then `rest`; meanwhile they are not held to their share of the processor."""
        self._kills += 1
        try:
            if self._created is not None and not self._channel.is_closed:
                # Init shares processor and memory with those that it is to kill: against hundreds it has no chance.
                await asyncio.to_thread(self._created.group.kill, self._created.pid)
            if rest is not None:
                await rest()
        finally:
            self._kills -= 1
            self._hold_to_share()

    def _hold_to_share(self) -> None:
        free = self._kills or self._destroying is not None or self._channel.is_closed
        if self._created is not None and not free:
            self._created.group.limit_cpus(self._cpus)

    def _signal(self, serial: int, number: int) -> None:
        if number == signal.SIGKILL:
            self._check_memory()
        with suppress(SandboxError):  # gone needs no signal
            self._channel.send({"op": "signal", "serial": serial, "signal": int(number)})

    # When memory runs out...

    def _check_memory(self) -> None:
        """Whoever is killed from here on is killed by us, and not for memory."""
        if self._memory is not None and self._destroying is None:
            self._memory.check()

    def _out_of_memory(self) -> None:
        """The kernel has killed a process of the box. AWS lets none of the others live on without it."""
        self._doomed |= self._programs.keys()
        if self._sweeping is None and self._destroying is None:
            self._sweeping = asyncio.create_task(self._sweep(), name=f"out of memory {self._id}")

    async def _sweep(self) -> None:
        try:
            await self._kill()
        finally:
            self._sweeping = None

    def _close_memory(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def _settle(future: "asyncio.Future[None]", error: SandboxError | None = None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        future.exception()  # nobody may be waiting any more
    else:
        future.set_result(None)


def _tree(pid: int) -> list[int]:
    """A process and all its descendants, where there is no cgroup to ask."""
    pids = [pid]
    for parent in pids:
        try:
            for thread in Path(f"/proc/{parent}/task").iterdir():
                pids.extend(int(child) for child in (thread / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pids
