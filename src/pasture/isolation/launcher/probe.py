"""Whether boxes can be made here, found out by making one: without limits, and gone at once."""

import os
import signal
import socket
import sys
from dataclasses import asdict

from . import cgroups, init, namespaces, protocol
from .failure import StepFailed
from .protocol import BoxRequest, Message
from .template import Template

_MEGABYTE = 1 << 20


def main(directory: str) -> int:
    """0 when it works, else 1 with the reason on standard output. The process is of no other use afterwards."""
    try:
        reason = _try(directory)
    except StepFailed as error:
        reason = str(error)
    sys.stdout.write(reason)
    return 1 if reason else 0


def _try(directory: str) -> str:
    rootless = namespaces.separate()
    template = Template(directory)
    template.build()
    user = namespaces.user("probe", 1, rootless=rootless)
    orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid, _ = namespaces.clone_box(rootless=rootless, cgroup=None)
    if pid == 0:
        init.run(init.Blank(template, cgroups.Group({}), user, rootless), theirs)
        os._exit(0)
    theirs.close()
    ours, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    protocol.send(orders, asdict(BoxRequest("probe", [], 0, _MEGABYTE, 0, 64, 64, "probe")), (control.fileno(),))
    control.close()
    received = protocol.receive(ours)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return _reason(received[0] if received else {"op": "failed", "reason": "the init of the box ended without a word."})


def _reason(message: Message) -> str:
    return "" if message["op"] == "ready" else str(message["reason"])
