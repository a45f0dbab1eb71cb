"""Pid 1 of a box: makes the box from the inside, then starts, signals, kills and reaps programs as the server says.

It is cloned before it is asked for, so that whoever wants a box waits for little.
It keeps just the capabilities for that and never executes anything. When the server is
gone it ends, and the kernel ends the rest of the box with it.
"""

import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

from . import (
    credentials,
    image_root,
    namespaces,
    network,
    outbound,
    programs,
    protocol,
    root,
    seccomp,
    signals,
    syscalls,
)
from .cgroups import Group
from .descriptors import close_all_but
from .failure import StepFailed, step
from .netlink import Netlink
from .protocol import BoxRequest, Message, ProgramRequest
from .template import Template


@dataclass(frozen=True)
class Way:
    """What a box's way out is to be. `outside`: a socket of the server's network, this box's own."""

    plan: outbound.Outbound
    number: int
    outside: Netlink

    def lay(self) -> outbound.Way:
        with self.outside:
            return outbound.lay(self.plan, self.number, self.outside)


@dataclass(frozen=True)
class Blank:
    """A box before it is known what it is for."""

    template: Template
    group: Group
    user: namespaces.User
    rootless: bool
    # Of the last box that was asked for: the next will hardly have another /tmp.
    tmp: "tuple[int, str]" = (0, "")
    way: "Way | None" = None


def run(blank: Blank, orders: socket.socket, loaded: "programs.Loaded | None" = None) -> "ProgramRequest | None":
    """In the cloned process: get ready what every box has, wait for the order, be that box to its end.

    Returns in programs that are forked and not executed alone, each time with what it is to be.
    """
    made = _prepare(blank, orders.fileno(), loaded)
    if isinstance(made, ProgramRequest):
        orders.detach()
        return made
    received = protocol.receive(orders)
    if received is None:
        os._exit(0)
    orders.close()
    message, (control,) = received
    init = Init(socket.socket(fileno=control), loaded or programs.Loaded())
    try:
        return _become(blank, made, BoxRequest(**message), init)
    except StepFailed as error:
        init.report(str(error))
    except Exception as error:  # noqa: BLE001  there is nobody else to tell
        init.report(f"the box's init failed: {error!r}.")
    os._exit(1)


@dataclass(frozen=True)
class Prepared:
    listener: socket.socket
    address: str
    tmp: "tuple[int, str]"
    way: "outbound.Way | None"
    spare: "programs.Spare | None"


def _prepare(blank: Blank, kept: int, loaded: "programs.Loaded | None") -> "Prepared | ProgramRequest | Exception":
    """A failure is kept, for whoever asks for the box. With something `loaded`, a process is forked ahead; what is
    answered in there is the program that it is to be.
    """
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        _let_go_of_all_but({kept, blank.way.outside.fileno()} if blank.way else {kept})
        blank.group.enter()
        namespaces.settle(rootless=blank.rootless)
        with step("take a session keyring of its own"):
            syscalls.join_new_session_keyring()
        credentials.prefer_init_for_oom()
        spare = programs.fork_spare(blank.user, loaded) if loaded is not None else None
        if isinstance(spare, ProgramRequest):
            if blank.way is not None:
                blank.way.outside.detach()
            return spare
        root.lay(blank.template, blank.template.identity(blank.user.uid, blank.user.gid))
        return Prepared(*network.listen(), _tmp_in_advance(blank), blank.way.lay() if blank.way else None, spare)
    except Exception as error:  # noqa: BLE001  it is reported by `_become`
        return error


def _become(blank: Blank, made: "Prepared | Exception", request: BoxRequest, init: "Init") -> "ProgramRequest | None":
    if isinstance(made, Exception):
        raise made
    # From now on it is the server's: it outlives a launcher that dies.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
    there = made.tmp
    if request.root:
        image_root.replace(blank.template, request.root, blank.template.identity(blank.user.uid, blank.user.gid))
        there = (0, "")
    root.furnish(blank.template, request.mounts)
    _tmp(blank.template, there, (request.tmp_bytes, request.tmp_image))
    with step(f"set the host name {request.hostname!r}"):
        socket.sethostname(request.hostname)
    _open_or_close(made.way, wanted=request.network)
    root.enter(blank.template)
    credentials.restrict_init()
    init.ready(made, programs.Allowance(blank.user, request.open_files, request.processes))
    # Inherited by every program. It takes the kernel 0.2 ms, in which the server prepares the first of them.
    seccomp.install()
    return init.serve()


def _tmp_in_advance(blank: Blank) -> "tuple[int, str]":
    if blank.tmp != (0, ""):
        with suppress(StepFailed):  # it is tried again, and reported, when the box is asked for
            root.mount_tmp(blank.template, *blank.tmp)
            return blank.tmp
    return (0, "")


def _tmp(template: Template, there: "tuple[int, str]", wanted: "tuple[int, str]") -> None:
    if there == wanted:
        return
    if there != (0, ""):
        root.unmount_tmp(template)
    root.mount_tmp(template, *wanted)


def _open_or_close(way: "outbound.Way | None", *, wanted: bool) -> None:
    if wanted and way is None:
        raise StepFailed("open the box's way out", "this server has none to give")
    if way is not None:
        with way.inside:
            if wanted:
                way.open()


def _let_go_of_all_but(kept: "set[int]") -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard, inheritable=False)
    close_all_but({0, 1, 2} | kept)


class Init:
    """Mutable state: which child is which program. Everything else that ends here is an orphan."""

    def __init__(self, control: socket.socket, loaded: programs.Loaded) -> None:
        self._control = control
        self._loaded = loaded
        self._spare: programs.Spare | None = None
        self._allowance = programs.Allowance(namespaces.User(-1, -1, switch=True), 0, 0)
        self._programs: dict[int, int] = {}
        self._ends = signals.ChildrenEnd()

    def ready(self, made: Prepared, allowance: programs.Allowance) -> None:
        self._allowance = allowance
        self._spare = made.spare
        protocol.send(self._control, {"op": "ready", "address": made.address}, (made.listener.fileno(),))
        made.listener.close()

    def report(self, reason: str) -> None:
        with suppress(OSError):  # the server may be gone; the end of this process says as much
            protocol.send(self._control, {"op": "failed", "reason": reason})

    def serve(self) -> "ProgramRequest | None":
        """Never returns, but in a program that was forked: what it is to be."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._ends, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            self._ends.clear()
            self._reap(os.WNOHANG)
            if self._control.fileno() in ready:
                received = protocol.receive(self._control)
                if received is None:
                    os._exit(0)
                if (forked := self._obey(*received)) is not None:
                    return forked

    def _obey(self, message: Message, descriptors: "list[int]") -> "ProgramRequest | None":
        try:
            if message["op"] == "start":
                return self._start(message["serial"], ProgramRequest(**message["program"]), descriptors)
            if message["op"] == "signal":
                self._signal(message["serial"], message["signal"])
            elif message["op"] == "connect":
                self._connect(message["serial"], message["host"], message["port"])
            else:
                self._kill_all(message["serial"])
        finally:
            protocol.close_all(descriptors)
        return None

    def _start(self, serial: int, request: ProgramRequest, descriptors: "list[int]") -> "ProgramRequest | None":
        try:
            pid = self._run(request, descriptors)
        except StepFailed as error:
            protocol.send(self._control, {"op": "refused", "serial": serial, "reason": str(error)})
            return None
        if pid == 0:
            # What it had is closed; whatever has these numbers now is the program's.
            descriptors.clear()
            self._control.detach()
            self._ends.detach()
            if self._spare is not None:
                self._spare.orders.detach()
            return request
        self._programs[pid] = serial
        protocol.send(self._control, {"op": "started", "serial": serial})
        return None

    def _run(self, request: ProgramRequest, descriptors: "list[int]") -> int:
        if self._spare is not None and self._loaded.serves(request):
            spare, self._spare = self._spare, None
            with suppress(programs.SpareGone):
                return spare.give(request, descriptors, self._allowance)
        return programs.start(request, descriptors, self._allowance, self._loaded)

    def _signal(self, serial: int, number: int) -> None:
        for pid, program in self._programs.items():
            if program == serial:
                os.kill(pid, number)

    def _connect(self, serial: int, host: str, port: int) -> None:
        """Only asked for here, in the box's network: whoever gets the socket waits for it."""
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.connect_ex((host, port))
            protocol.send(self._control, {"op": "connecting", "serial": serial}, (sock.fileno(),))

    def _kill_all(self, serial: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        if self._spare is not None:
            self._spare.orders.close()
            self._spare = None
        # Children of the killed become ours, so that nothing is left when there is no child left.
        self._reap(0)
        protocol.send(self._control, {"op": "killed", "serial": serial})

    def _reap(self, options: int) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, options)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (serial := self._programs.pop(pid, None)) is not None:
                code = os.waitstatus_to_exitcode(status)
                ended = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
                protocol.send(self._control, {"op": "exited", "serial": serial, **ended})
