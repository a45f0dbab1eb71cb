"""Cgroups of version 2: one directory, controllers handed down from the root, to an ordinary user by delegation."""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH102, PTH103, PTH106, PTH110

import errno
import os
import select
import time
from contextlib import suppress
from pathlib import Path

from .cgroups import Group, Hierarchy, Limits, Notices, Place, counter, read, write, write_if_there
from .failure import step
from .gauge import Gauge

_WANTED = ("memory", "cpu", "pids")
_PERIOD_MICROSECONDS = 100_000
_MINIMUM_MICROSECONDS = 1_000
_FREEZE_SECONDS = 2.0
_LEAF = "pasture-server"


class GroupV2(Group):
    version = 2

    @property
    def _directory(self) -> str:
        return self.directories[""]

    def make(self) -> None:
        with step(f"make the cgroup {self._directory}"):
            os.mkdir(self._directory)

    def limit(self, limits: Limits) -> None:
        directory = self._directory
        with step(f"limit what {directory} may use"):
            # A file that is not there belongs to a controller that is not: `find` has said so.
            write_if_there(directory + "/memory.max", str(limits.memory_bytes))
            write_if_there(directory + "/memory.swap.max", "0")
            write_if_there(directory + "/pids.max", str(limits.processes))
            self.limit_cpus(limits.cpus)

    def limit_cpus(self, cpus: "float | None") -> None:
        quota = "max" if cpus is None else str(max(int(cpus * _PERIOD_MICROSECONDS), _MINIMUM_MICROSECONDS))
        write_if_there(self._directory + "/cpu.max", f"{quota} {_PERIOD_MICROSECONDS}")

    def descriptor(self) -> "int | None":
        with step(f"open the cgroup {self._directory}"):
            return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def freeze(self) -> None:
        write_if_there(self._directory + "/cgroup.freeze", "1")
        deadline = time.monotonic() + _FREEZE_SECONDS
        while (events := read(self._directory + "/cgroup.events")) and not counter(events, "frozen"):
            if time.monotonic() > deadline:
                return
            time.sleep(0.0002)

    def thaw(self) -> None:
        write_if_there(self._directory + "/cgroup.freeze", "0")

    def peak_memory_bytes(self) -> int:
        if self._peak is None:
            self._peak = Gauge(self._directory + "/memory.peak")
        return self._peak.read()

    def oom_kills(self) -> int:
        return counter(read(self._directory + "/memory.events"), "oom_kill")

    def watch_memory(self) -> "Notices | None":
        path = self._directory + "/memory.events"
        return Changes(path) if os.path.exists(path) else None

    def pids(self) -> "list[int]":
        return [int(pid) for pid in read(self._directory + "/cgroup.procs").split()]

    def kill(self, but: int = 0) -> None:
        self.limit_cpus(None)
        if not but and os.path.exists(self._directory + "/cgroup.kill"):
            write_if_there(self._directory + "/cgroup.kill", "1")
        else:
            super().kill(but)


class Changes:
    """Implements `Notices` for a file that the kernel changes: what it says by POLLPRI, which event loops do not ask
    for, a descriptor of epoll's says by being readable.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._file, select.EPOLLPRI)
        self.clear()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def clear(self) -> None:
        with suppress(OSError):  # ENODEV of a group that is gone
            os.pread(self._file, 4096, 0)

    def close(self) -> None:
        self._epoll.close()
        os.close(self._file)


def find(owner: str, places: "list[Place]") -> "Hierarchy | None":
    """Groups in the nearest cgroup, from this process's own upwards, that can be written and has controllers to give.

    A systemd service with `Delegate=yes` has them in its own cgroup; an ordinary user in
    `app.slice` of the user's manager; root at the latest at the top.
    """
    place = next((place for place in places if place.controllers == {""}), None)
    if place is None:
        return None
    best: tuple[str, list[str]] | None = None
    # In the leaf that an earlier call has moved this process to, see `_make_way`.
    own = place.own.removesuffix("/" + _LEAF)
    for parent in _upwards(own, place.mount):
        root = f"{parent}/pasture-{owner}"
        missing = _prepare(parent, root, own)
        if missing is None:
            continue
        if not missing:
            return Hierarchy(GroupV2, {"": root}, [])
        if best is None or len(missing) < len(best[1]):
            best = (root, missing)
    if best is None:
        return None
    root, missing = best
    return Hierarchy(GroupV2, {"": root}, [_warning(missing)])


def _warning(missing: "list[str]") -> str:
    return (
        f"The limits of {', '.join(missing)} are not enforced: no cgroup that can be written here has them. "
        "Run as root, or with `systemd-run --user --scope -p Delegate=yes`."
    )


def _upwards(own: str, mount: str) -> "list[str]":
    here, top = Path(own), Path(mount)
    return [str(path) for path in (here, *here.parents) if path == top or top in path.parents]


def _prepare(parent: str, root: str, own: str) -> "list[str] | None":
    """Make `root` in `parent`, hand it the controllers, say which it lacks; None when it cannot hold our processes."""
    if not _writable(parent):
        return None
    try:
        os.makedirs(root, exist_ok=True)
    except OSError:
        return None
    if parent == own:
        _make_way(parent)
    for directory in (parent, root):
        _hand_down(directory)
    given = read(root + "/cgroup.subtree_control").split()
    missing = [name for name in _WANTED if name not in given]
    if missing and not _in_use(root):
        os.rmdir(root)
        os.makedirs(root, exist_ok=True)
    return missing


def _writable(parent: str) -> bool:
    # Moving a process takes the right to write cgroup.procs of the common ancestor.
    return os.access(parent, os.W_OK) and os.access(parent + "/cgroup.procs", os.W_OK)


def _in_use(root: str) -> bool:
    return any(entry.is_dir() for entry in os.scandir(root))


def _make_way(parent: str) -> None:
    """A cgroup that hands controllers down may hold no process: move ours into a leaf, if nobody else's are there."""
    if not read(parent + "/cgroup.type"):
        return  # the root of all may hold processes
    pids = [int(pid) for pid in read(parent + "/cgroup.procs").split()]
    if not all(_ours(pid) for pid in pids):
        return
    leaf = f"{parent}/{_LEAF}"
    os.makedirs(leaf, exist_ok=True)
    for pid in pids:
        write_if_there(leaf + "/cgroup.procs", str(pid))


def _ours(pid: int) -> bool:
    """This process, or one that it has started."""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            return True
    return False


def _hand_down(directory: str) -> None:
    available = read(directory + "/cgroup.controllers").split()
    for name in _WANTED:
        if name in available:
            try:
                write(directory + "/cgroup.subtree_control", f"+{name}")
            except OSError as error:
                # EBUSY: processes are there; others: not ours to give. What is missing is counted afterwards.
                if error.errno not in {errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EOPNOTSUPP}:
                    raise
