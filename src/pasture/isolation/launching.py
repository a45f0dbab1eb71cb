"""A launcher as the server sees it: a process that is asked for boxes. They live on when it dies."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pasture.isolation.channel import Channel
from pasture.isolation.launcher import cgroups, protocol
from pasture.isolation.launcher.outbound import Outbound
from pasture.isolation.launcher.setup import Setup, ZygoteRequest
from pasture.isolation.spec import SandboxError, SandboxSpec, Zygote
from pasture.isolation.stock import KEPT_SECONDS, Numbers, Stock
from pasture.kit.tasks import Tasks

_START = "import sys; sys.path.insert(0, sys.argv[1]); from launcher.main import main; main(sys.argv[2])"
_PACKAGE = str(Path(__file__).parent.resolve())
_READY_SECONDS = 30.0
_END_SECONDS = 10.0
_GONE = "the launcher has ended."


class LauncherGone(SandboxError):
    """It has ended before it has made the box."""


@dataclass(frozen=True, slots=True)
class Created:
    """A box's first process: its pid on the host, a descriptor of it that the receiver owns, its cgroup and number."""

    pid: int
    pidfd: int
    number: int
    group: cgroups.Group
    launcher: "Launcher"


class Launcher:
    """Mutable state: the requests that are not answered, by serial number; the numbers that it has for boxes to come.

    `launch` makes one that is ready.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: socket.socket,
        hierarchy: cgroups.Hierarchy,
        numbers: Numbers,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._process = process
        self._channel = Channel(channel, self._received, self._ended)
        self._hierarchy = hierarchy
        self._numbers = numbers
        self._stock = Stock(loop.time)
        self._given: set[int] = set()
        self._shrinking: asyncio.TimerHandle | None = None
        self._withdrawing = 0
        self._requests: dict[int, asyncio.Future[Created]] = {}
        self._serial = 0
        self._tasks = Tasks("launcher")
        self._hello: asyncio.Future[protocol.Message] = loop.create_future()

    def __repr__(self) -> str:
        return f"<Launcher pid={self.pid}{'' if self.is_alive else ' gone'}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return not self._channel.is_closed

    @property
    def idle_since(self) -> float:
        """When a box was last asked for, in the event loop's time."""
        return self._stock.last

    async def ready(self) -> str:
        """Why the trial failed; nothing when it succeeded."""
        async with asyncio.timeout(_READY_SECONDS):
            hello = await self._hello
        if hello["op"] == "failed":
            raise SandboxError(hello["reason"])
        self._fill()
        trial: str = hello["trial"]
        return trial

    async def create(self, spec: SandboxSpec, control: socket.socket, tmp_image: str) -> Created:
        """A box whose init has `control`; what init makes of it, it says there. When cancelled, the box is ended.

        Raises LauncherGone, now or later, when it has died: another one can make it.
        """
        if not self.is_alive:
            raise LauncherGone(_GONE)
        self._stock.asked()
        self._serial += 1
        self._fill(1 + len(self._requests))
        answer: asyncio.Future[Created] = asyncio.get_running_loop().create_future()
        message = {"op": "create", "serial": self._serial, "box": _request(spec, tmp_image)}
        self._channel.send(message, [control.fileno()])
        self._requests[self._serial] = answer
        return await answer

    async def end(self, created: Created) -> None:
        """Kill a box, wait until all in it is gone, and give back what it had. Also after the launcher's own end."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(created.pidfd, signal.SIGKILL)
        # A frozen process takes a signal only when it runs again, and one that is held to its share only in its turn.
        created.group.thaw()
        created.group.limit_cpus(None)
        await _gone(created.pidfd)
        os.close(created.pidfd)
        await asyncio.to_thread(created.group.remove)
        self._numbers.give_back(created.number)
        if self.is_alive:
            self._channel.send({"op": "forget", "pid": created.pid})

    async def close(self) -> None:
        """End it, and with it every box that is left. Numbers of boxes that nobody asked for come back."""
        await self._tasks.finish()
        if self._shrinking is not None:
            self._shrinking.cancel()
        self._channel.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        for number in self._given:
            self._numbers.give_back(number)
        self._given.clear()

    # Its stock of boxes...

    @property
    def in_stock(self) -> int:
        return max(0, len(self._given) - self._withdrawing)

    def _fill(self, waiting: int = 0) -> None:
        """Numbers for whoever waits, and for as many more as are likely to be asked for at once."""
        wanted = waiting + self._stock.wanted() - (len(self._given) - self._withdrawing)
        if wanted > 0:
            numbers = self._numbers.take(wanted, at_least=1 if waiting and not self._given else 0)
            self._given.update(numbers)
            self._channel.send({"op": "stock", "numbers": numbers})
        if self._shrinking is None and self._stock.wanted() > 1:
            self._shrinking = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._shrink)

    def _shrink(self) -> None:
        self._shrinking = None
        if not self.is_alive:
            return
        excess = len(self._given) - self._withdrawing - len(self._requests) - self._stock.wanted()
        if excess > 0:
            self._withdrawing += excess
            self._channel.send({"op": "withdraw", "count": excess})
        self._fill()

    # What it says...

    def _received(self, message: protocol.Message, descriptors: list[int]) -> None:
        if message["op"] == "returned":
            self._withdrawing -= message["short"]
            for number in message["numbers"]:
                self._given.discard(number)
                self._withdrawing -= 1
                self._numbers.give_back(number)
            return
        if "serial" not in message:
            self._hello.set_result(message)
            return
        answer = self._requests.pop(message["serial"])
        if message["op"] == "failed":
            if not answer.done():
                answer.set_exception(SandboxError(message["reason"]))
            return
        number, group = message["number"], self._hierarchy.group(message["group"])
        self._given.discard(number)
        created = Created(message["pid"], descriptors[0], number, group, self)
        if answer.done():  # nobody wants it any more
            self._tasks.start(self.end(created), f"end the unwanted box {created.pid}")
        else:
            answer.set_result(created)

    def _ended(self) -> None:
        gone = LauncherGone(_GONE)
        for answer in self._requests.values():
            if not answer.done():
                answer.set_exception(gone)
        self._requests.clear()
        if not self._hello.done():
            self._hello.set_exception(
                SandboxError("the launcher ended before it was ready; its last words are on standard error.")
            )


async def launch(
    directory: Path,
    owner: str,
    hierarchy: cgroups.Hierarchy,
    numbers: Numbers,
    *,
    trial: str = "",
    network: Outbound | None = None,
    zygote: Zygote | None = None,
) -> tuple[Launcher, str]:
    """A launcher that is ready, and why it cannot have a /tmp on disk, tried with the image `trial` if there is one.

    `directory` exists, and is its own to mount on.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    told = Setup(
        channel=theirs.fileno(),
        directory=_real(directory),
        owner=owner,
        groups=hierarchy.to_message(),
        trial=trial,
        network=asdict(network) if network else None,
        zygote=_zygote(zygote) if zygote else None,
    )
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _START, _PACKAGE, told.encode(),
            pass_fds=(theirs.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
            # Out of reach of a terminal's Ctrl-C: the server ends it in its own time.
            start_new_session=True,
            env={"LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except OSError as error:
        ours.close()
        reason = os.strerror(error.errno or 0)
        raise SandboxError(f"cannot start the launcher with {sys.executable}: {reason}.") from error
    finally:
        theirs.close()
    launcher = Launcher(process, ours, hierarchy, numbers)
    try:
        return launcher, await launcher.ready()
    except BaseException:
        await launcher.close()
        raise


def _real(path: Path) -> str:
    """Links are followed here: a zygote has the host at another place. Takes microseconds."""
    return os.path.realpath(path)


def _zygote(zygote: Zygote) -> ZygoteRequest:
    mounts = [(_real(mount.source), mount.target) for mount in zygote.mounts]
    return ZygoteRequest(mounts, list(zygote.command), dict(zygote.environment), _PACKAGE)


async def _gone(pidfd: int) -> None:
    """Until the process has ended: as pid 1 of its namespace, after everything else in there."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pidfd)


def _request(spec: SandboxSpec, tmp_image: str) -> protocol.BoxRequest:
    return protocol.BoxRequest(
        id=spec.id,
        mounts=[(_real(mount.source), mount.target) for mount in spec.mounts],
        memory_bytes=spec.memory_bytes,
        tmp_bytes=spec.tmp_bytes,
        cpus=spec.cpus,
        open_files=spec.open_files,
        processes=spec.processes,
        hostname=spec.hostname,
        network=spec.network,
        root=_real(spec.root) if spec.root is not None else "",
        tmp_image=tmp_image,
    )
