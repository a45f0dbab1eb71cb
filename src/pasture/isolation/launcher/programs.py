"""Starting a program in a box: everything between the fork and the first instruction of the program's own."""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH123

import contextlib
import errno
import fcntl
import json
import os
import socket
import warnings  # noqa: F401  os.execvpe imports it when it has to search PATH
from collections.abc import Iterator
from dataclasses import dataclass

from . import credentials, protocol, seccomp, signals, syscalls
from .descriptors import close_all_but
from .failure import StepFailed, step
from .namespaces import User
from .protocol import ProgramRequest

_STDOUT_AND_STDERR = (1, 2)
# Above every number that a program may ask for.
_PARKING = 512
_EXEC_HINTS = {
    errno.ENOENT: "It, or the interpreter that it names, is not in the sandbox.",
    errno.EACCES: "It is not executable for its user.",
    errno.ENOEXEC: "It is no program for this machine, and has no #! line.",
}


class Loaded:
    """What this process has loaded so that a fork of it can take the place of a program's exec: here, nothing."""

    def serves(self, request: ProgramRequest) -> bool:  # noqa: ARG002  for those that have loaded something
        """Whether it was loaded for programs like this one."""
        return False

    def can_be(self, request: ProgramRequest) -> bool:  # noqa: ARG002
        """Whether this very one can be a fork. Asked in its own process, when all else is done."""
        return False


@dataclass(frozen=True)
class Allowance:
    """What every program of one box runs as and may hold."""

    user: User
    open_files: int
    processes: int


def start(request: ProgramRequest, descriptors: "list[int]", allowance: Allowance, loaded: Loaded) -> int:
    """The pid of a child in which the program has taken over; 0 in one that was forked and not executed.

    Raises StepFailed, naming the step that failed in the child.
    """
    failure, report = os.pipe2(os.O_CLOEXEC)
    with step("fork"):
        pid = os.fork()
    if pid == 0:
        # Out of the way of the numbers that the program's descriptors get.
        report = _park(report)
        with _telling(report):
            _separate()
            credentials.become(allowance.user.uid, allowance.user.gid, switch=allowance.user.switch)
            _take_over(request, descriptors, allowance, loaded, report)
        return 0
    os.close(report)
    with open(failure, "rb") as pipe:
        text = pipe.read()  # ends when the program has taken over: close-on-exec
    raise_if_failed(pid, text)
    return pid


def raise_if_failed(pid: int, text: bytes) -> None:
    if text:
        os.waitpid(pid, 0)
        raise StepFailed(**json.loads(text))


class SpareGone(Exception):
    """The process kept ready has ended before it heard what it is to be: a program of its user's can kill it."""


@dataclass
class Spare:
    """A process that waits to be a program: forked, and its user's, before it is known which. One program's worth.

    `orders` is its parent's end. It ends with its parent.
    """

    pid: int
    orders: socket.socket

    def give(self, request: ProgramRequest, descriptors: "list[int]", allowance: Allowance) -> int:
        """The pid of it, when the program has taken over. Raises StepFailed as `start` does, SpareGone."""
        limits = {"open_files": allowance.open_files, "processes": allowance.processes}
        with self.orders, step("give the program to a process"):
            try:
                protocol.send(self.orders, {"program": request, **limits}, tuple(descriptors))
                text = self.orders.recv(protocol.MAX_MESSAGE)  # ends as the pipe of `start` does
            except (BrokenPipeError, ConnectionResetError):
                raise SpareGone from None
        raise_if_failed(self.pid, text)
        return self.pid


def fork_spare(user: User, loaded: Loaded) -> "Spare | ProgramRequest":
    """The spare; in its own process, the program that it has become without an exec."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with step("fork"):
        pid = os.fork()
    if pid:
        theirs.close()
        return Spare(pid, ours)
    ours.close()
    report = _park(theirs.fileno())
    theirs.close()
    orders = socket.socket(fileno=report)
    close_all_but({0, *_STDOUT_AND_STDERR, report})
    with _telling(report):
        _separate()
        credentials.empty_bounding_set()
        credentials.become(user.uid, user.gid, switch=user.switch)
        seccomp.install()
        received = protocol.receive(orders)
        if received is None:
            os._exit(0)
        message, descriptors = received
        request = ProgramRequest(**message["program"])
        allowance = Allowance(user, message["open_files"], message["processes"])
        orders.detach()
        _take_over(request, descriptors, allowance, loaded, report)
    return request


@contextlib.contextmanager
def _telling(report: int) -> Iterator[None]:
    """In a child: whatever goes wrong is told, and its end."""
    try:
        yield
    except StepFailed as error:
        fields = {"what": error.what, "reason": error.reason, "number": error.number, "hint": error.hint}
        os.write(report, json.dumps(fields).encode())
        os._exit(127)
    except BaseException as error:  # noqa: BLE001  nothing may get past the fork
        os.write(report, json.dumps({"what": "start the program", "reason": repr(error)}).encode())
        os._exit(127)


def _separate() -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
    os.setsid()
    os.umask(0o022)
    credentials.prefer_for_oom()


def _take_over(
    request: ProgramRequest, descriptors: "list[int]", allowance: Allowance, loaded: Loaded, report: int
) -> None:
    """Returns when it is the program by the fork alone."""
    _place(descriptors, (*_STDOUT_AND_STDERR, *request.numbers))
    credentials.limit_resources(allowance.open_files, allowance.processes)
    with step(f"change to the directory {request.directory}"):
        os.chdir(request.directory)
    signals.reset_for_program()
    # They are close-on-exec as well; but a fork is not an exec.
    close_all_but({0, *_STDOUT_AND_STDERR, *request.numbers, report})
    if loaded.can_be(request):
        os.close(report)
        return
    _execute(request)


def _execute(request: ProgramRequest) -> None:
    program = request.command[0]
    with step(f"execute {program}", _EXEC_HINTS):
        os.execvpe(program, request.command, request.environment)  # noqa: S606  no shell is the point


def _place(descriptors: "list[int]", numbers: "tuple[int, ...]") -> None:
    with step("pass the program its descriptors"):
        parked = [_park(descriptor) for descriptor in descriptors]
        for descriptor, number in zip(parked, numbers, strict=True):
            os.dup2(descriptor, number)
        # Init's is of the host's /dev, which is not here any more.
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, 0)
        os.close(null)


def _park(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _PARKING)
