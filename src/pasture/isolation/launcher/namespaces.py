"""Which namespaces the launcher and its boxes live in, and which user a program of a box is."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from . import syscalls
from .failure import failed, step

# Of the box's user as people see it on AWS; only rootless boxes can have the very numbers.
_UID, _GID = 993, 990
# Unused on every common system: above the 16-bit ids, below systemd's and the distributions' container ranges.
UID_BASE = 1_000_000
UID_COUNT = 65_536

_BOX = (
    syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWNET
)
_FORBIDDEN = {
    1: "User namespaces are forbidden here: see the sysctls kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces, or run as root.",
    28: "The limit user.max_user_namespaces is reached.",
}


@dataclass(frozen=True)
class User:
    """`switch`: init changes to it. Rootless, everything in the box is this one user already."""

    uid: int
    gid: int
    switch: bool


def separate() -> bool:
    """Give the launcher a mount namespace of its own, and rootless a user namespace before. True when rootless."""
    rootless = os.geteuid() != 0
    if rootless:
        uid, gid = os.geteuid(), os.getegid()
        with step("make a user namespace", _FORBIDDEN):
            syscalls.unshare(syscalls.CLONE_NEWUSER)
        _map(uid, gid)
    with step("make a mount namespace", {1: "Root without CAP_SYS_ADMIN cannot; run as an ordinary user, or with it."}):
        syscalls.unshare(syscalls.CLONE_NEWNS)
    return rootless


def _map(uid: int, gid: int) -> None:
    """In a new user namespace: be user and group of a box. The one host user is all there is to map."""
    with step("map the user of the user namespace", _FORBIDDEN):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{_UID} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{_GID} {gid} 1")


def user(owner: str, number: int, *, rootless: bool) -> User:
    """Of the box with this number: as root every box has a host user of its own."""
    if rootless:
        return User(_UID, _GID, switch=False)
    # Servers with different data directories begin at different places.
    own = UID_BASE + (zlib.crc32(owner.encode()) + number) % UID_COUNT
    return User(own, own, switch=True)


def clone_box(*, rootless: bool, cgroup: "int | None") -> "tuple[int, int]":
    """A process in new namespaces, pid 1 of its own: (pid, pidfd); (0, -1) in it.

    Rootless, each box has a user namespace of its own within the launcher's, so that its
    init has no power over other boxes, and its processes are counted for themselves.
    """
    flags = _BOX | (syscalls.CLONE_NEWUSER if rootless else 0)
    try:
        return syscalls.clone(flags, cgroup)
    except OSError as error:
        raise failed("make the namespaces of a box", error, {28: "A limit in /proc/sys/user is reached."}) from error


def settle(*, rootless: bool) -> None:
    """In a box, once it is in its cgroup: be its user in its user namespace, and see that cgroup as the root of all."""
    if rootless:
        _map(_UID, _GID)
        with step("forbid user namespaces in the box"):
            Path("/proc/sys/user/max_user_namespaces").write_text("0")
    with step("make the cgroup namespace of the box"):
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
