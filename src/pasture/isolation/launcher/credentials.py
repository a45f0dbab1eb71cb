"""What a program may: who it runs as, no capability at all, no way to gain one, and limits on what it holds."""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.

import contextlib
import errno
import os
import resource

from . import syscalls
from .cgroups import write
from .failure import step

# Of capabilities(7): what a box's init needs to start programs as another user, and to end them.
_CAP_KILL = 5
_CAP_SETGID = 6
_CAP_SETUID = 7
_CAP_SYS_CHROOT = 18
_INIT = 1 << _CAP_KILL | 1 << _CAP_SETGID | 1 << _CAP_SETUID
_LAST = 63
_ALL = 0xFFFFFFFFFFFFFFFF
_OOM_SCORE = 1000

_MEMLOCK = 64 * 1024
_STACK = 8 * 1024 * 1024
# A core handler (core_pattern with a pipe) runs on the host whatever the limit is, except when it is exactly 1.
_CORE = 1


def restrict_init() -> None:
    """Keep what init needs."""
    empty_bounding_set()
    with step("reduce the capabilities of the box's init"):
        syscalls.capset(_INIT, _INIT, 0)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        # Nobody may trace it or read its memory, whatever their user id.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)


def keep_over_exec() -> None:
    """In a user namespace, where this is not root: else an exec takes every capability."""
    with step("keep the capabilities of the user namespace"):
        syscalls.capset(_ALL, _ALL, _ALL)
        for capability in range(_LAST + 1):
            try:
                syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, capability)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    break  # past the last one that this kernel knows
                raise


def empty_bounding_set() -> None:
    """In init for every program that it will start: it never executes anything itself."""
    with step("empty the capability bounding set"):
        for capability in range(_LAST + 1):
            try:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    break  # past the last one that this kernel knows
                raise


def become(uid: int, gid: int, *, switch: bool) -> None:
    """Give up everything. `switch` is False where the user namespace has this one user only, and the program is it."""
    if switch:
        with step(f"become user {uid} of group {gid}"):
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
    with step("drop every capability"):
        with contextlib.suppress(OSError):  # kernels before 4.3 have no ambient set to clear
            _clear_ambient()
        syscalls.capset(0, 0, 0)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def _clear_ambient() -> None:
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)


def limit_resources(open_files: int, processes: int) -> None:
    for name, limit in (
        ("RLIMIT_NOFILE", open_files),
        ("RLIMIT_NPROC", processes),
        ("RLIMIT_CORE", _CORE),
        ("RLIMIT_MEMLOCK", _MEMLOCK),
        ("RLIMIT_STACK", _STACK),
    ):
        with step(f"set {name} to {limit}"):
            _lower(getattr(resource, name), limit)


def _lower(kind: int, limit: int) -> None:
    # Raising a hard limit takes CAP_SYS_RESOURCE: where the host's is lower, the host's holds.
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def prefer_init_for_oom() -> None:
    """When memory runs out, functions go before anything else of the host. Of root's init, no program can undo it."""
    with step("raise oom_score_adj of the box's init"):
        write("/proc/self/oom_score_adj", str(_OOM_SCORE - 1))


def prefer_for_oom() -> None:
    """Programs go before their init."""
    # The file belongs to root as long as the process is not dumpable.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    with step("raise oom_score_adj"):
        write("/proc/self/oom_score_adj", str(_OOM_SCORE))
