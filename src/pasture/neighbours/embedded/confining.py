"""What the process with the embedded services gives up before it serves anyone. Linux; elsewhere nothing.

Whoever may call them can make them work: have SNS post to any URL, or hand what was never tried to their parsers. So
they have no network, no Docker, and where the server is root, no rights.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from pasture.isolation.launcher import syscalls

_NOBODY = 65_534
# Of all that is ours, what holds nothing but copies of test data goes first when the machine has no memory left.
_OOM_SCORE = "500"


def confine(parent: int) -> Iterator[str]:
    """What could not be given up, in words. When this ends, the process dies with `parent`."""
    if sys.platform != "linux":
        return
    Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    if not _leave_network():
        yield "they can reach the network: it could not be taken from them"
    if os.geteuid() == 0 and not _become_nobody():
        yield "they run as root: nobody else can read the files of this Python installation"
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.capset(0, 0, 0)
    # Last: the kernel forgets it with a change of the user.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _leave_network() -> bool:
    """A network of its own, without so much as a loopback that is up. Unix sockets are not affected."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET | (0 if os.geteuid() == 0 else syscalls.CLONE_NEWUSER))
    except OSError:
        return False
    return True


def _become_nobody() -> bool:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, 0)
    os.setresuid(_NOBODY, _NOBODY, 0)
    if not all(map(_is_readable, sys.path)):
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        return False
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    return True


def _is_readable(path: str) -> bool:
    """What is not there need not be."""
    where = Path(path)
    try:
        next(os.scandir(where) if where.is_dir() else iter([where.exists()]), None)
    except NotADirectoryError:
        return True
    except OSError:
        return False
    return True
