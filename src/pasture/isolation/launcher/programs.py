"""Starting a program in a box: everything between the fork and the first instruction of the program's own."""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH123

import errno
import fcntl
import json
import os
import warnings  # noqa: F401  os.execvpe imports it when it has to search PATH
from collections.abc import Callable
from dataclasses import dataclass

from . import credentials, signals, syscalls
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

Run = Callable[[ProgramRequest], None]


@dataclass(frozen=True)
class Allowance:
    """What every program of one box runs as and may hold."""

    user: User
    open_files: int
    processes: int


def execute(request: ProgramRequest) -> None:
    program = request.command[0]
    with step(f"execute {program}", _EXEC_HINTS):
        os.execvpe(program, request.command, request.environment)  # noqa: S606  no shell is the point


def start(request: ProgramRequest, descriptors: "list[int]", allowance: Allowance, run: Run = execute) -> int:
    """The pid of a child in which `run` has taken over. Raises StepFailed, naming the step that failed in the child."""
    failure, report = os.pipe2(os.O_CLOEXEC)
    with step("fork"):
        pid = os.fork()
    if pid == 0:
        _child(request, descriptors, allowance, run, report)
    os.close(report)
    with open(failure, "rb") as pipe:
        text = pipe.read()  # ends when the program has taken over: close-on-exec
    if text:
        os.waitpid(pid, 0)
        raise StepFailed(**json.loads(text))
    return pid


def _child(request: ProgramRequest, descriptors: "list[int]", allowance: Allowance, run: Run, report: int) -> None:
    try:
        # Out of the way of the numbers that the program's descriptors get.
        report = _park(report)
        _prepare(request, descriptors, allowance)
        # They are close-on-exec as well; but `run` need not execute anything.
        close_all_but({0, *_STDOUT_AND_STDERR, *request.numbers, report})
        run(request)
    except StepFailed as error:
        fields = {"what": error.what, "reason": error.reason, "number": error.number, "hint": error.hint}
        os.write(report, json.dumps(fields).encode())
    except BaseException as error:  # noqa: BLE001  nothing may get past the fork
        os.write(report, json.dumps({"what": "start the program", "reason": repr(error)}).encode())
    finally:
        os._exit(127)


def _prepare(request: ProgramRequest, descriptors: "list[int]", allowance: Allowance) -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
    os.setsid()
    os.umask(0o022)
    _place(descriptors, (*_STDOUT_AND_STDERR, *request.numbers))
    credentials.prefer_for_oom()
    credentials.limit_resources(allowance.open_files, allowance.processes)
    credentials.become(allowance.user.uid, allowance.user.gid, switch=allowance.user.switch)
    with step(f"change to the directory {request.directory}"):
        os.chdir(request.directory)
    signals.reset_for_program()


def _place(descriptors: "list[int]", numbers: "tuple[int, ...]") -> None:
    with step("pass the program its descriptors"):
        parked = [_park(descriptor) for descriptor in descriptors]
        for descriptor, number in zip(parked, numbers, strict=True):
            os.dup2(descriptor, number)
        os.set_inheritable(0, True)  # init's own: /dev/null


def _park(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _PARKING)
