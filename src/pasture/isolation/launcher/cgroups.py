"""What a box may use: memory, processes, processor time. The interface to cgroups, and what both versions share.

The launcher makes a box's group, the box's first process is in it, and the server reads
it, freezes it and removes it. This `Group` is the one that limits nothing; `cgroup_v1`
and `cgroup_v2` have the real ones; `limits` finds which of them serves here.
"""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH106, PTH112, PTH123

import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .gauge import Gauge

_REMOVAL_SECONDS = 5.0


@dataclass(frozen=True)
class Limits:
    memory_bytes: int
    cpus: float
    processes: int


class Notices(Protocol):
    """A descriptor that is readable from when the kernel has something to say until `clear`."""

    def fileno(self) -> int: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


class Group:
    """The cgroup of one box. This one is the group where nothing is limited; also the base of the real ones.

    `directories` are its places in the file system. Reading and writing them takes
    microseconds; `remove` may take longer and belongs off an event loop.
    """

    version = 0

    def __init__(self, directories: "dict[str, str]", name: str = "") -> None:
        self.directories = directories
        self.name = name
        self._peak: Gauge | None = None

    def make(self) -> None:
        """Raises StepFailed, and leaves nothing then."""

    def limit(self, limits: Limits) -> None:
        """Raises StepFailed."""

    def limit_cpus(self, cpus: "float | None") -> None:
        """None lifts the limit: what is to be killed has to run once more, and hundreds of processes that are held
        to their share, in the midst of a lack of memory, would take minutes over it. Nothing where there is no group.
        """

    def descriptor(self) -> "int | None":
        """Of a directory that a process can be cloned into; the caller closes it."""
        return None

    def enter(self) -> None:
        """Move the calling process in, where it was not cloned into it."""

    def freeze(self) -> None:
        """Returns when nothing in it runs any more, or after a moment."""

    def thaw(self) -> None: ...

    def peak_memory_bytes(self) -> int:
        return 0

    def oom_kills(self) -> int:
        return 0

    def watch_memory(self) -> "Notices | None":
        """Of every time that memory ran out; the caller closes it before the group is removed. None where unknown."""
        return None

    def pids(self) -> "list[int]":
        return []

    def kill(self, but: int = 0) -> None:
        """SIGKILL to everything in it, frozen or not, but to the process `but`. Lifts the limit on processor time."""
        self.limit_cpus(None)
        self.freeze()  # nobody forks meanwhile
        for pid in self.pids():
            if pid != but:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        self.thaw()

    def remove(self) -> None:
        """Kill what is left in it, and remove its directories. Nothing where there is none."""
        if self._peak is not None:
            self._peak.close()
        if not any(os.path.isdir(directory) for directory in self.directories.values()):
            return
        self.kill()
        deadline = time.monotonic() + _REMOVAL_SECONDS
        for directory in self.directories.values():
            _remove(directory, deadline, self.kill)


class Hierarchy:
    """Where the groups of this server are made. `warnings`: what is not enforced, for people."""

    def __init__(self, kind: "type[Group]", roots: "dict[str, str]", warnings: "list[str]") -> None:
        self.kind = kind
        self.roots = roots
        self.warnings = warnings

    def to_message(self) -> "dict[str, Any]":
        return {"version": self.kind.version, "directories": self.roots}

    def group(self, box: str) -> Group:
        return self.kind({name: f"{root}/{box}" for name, root in self.roots.items()}, box)

    def clear(self, prefix: str = "", but: "frozenset[str]" = frozenset()) -> None:
        """Kill and remove every group here, or those with this prefix, `but` these: what is left of a crash."""
        boxes = {entry.name for root in self.roots.values() for entry in _subdirectories(root)}
        for box in boxes - but:
            if box.startswith(prefix):
                self.group(box).remove()

    def remove(self) -> None:
        """Give back the roots too, when nothing is in them."""
        for root in self.roots.values():
            try:
                os.rmdir(root)
            except OSError as error:
                if error.errno not in {errno.EBUSY, errno.ENOENT, errno.ENOTEMPTY}:
                    raise


@dataclass(frozen=True)
class Place:
    """A mounted hierarchy: its controllers ("" for version 2), and where this process is in it."""

    controllers: "frozenset[str]"
    mount: str
    own: str


def mounted() -> "list[Place]":
    own: dict[frozenset[str], str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, listed, path = line.split(":", 2)
        own[frozenset(listed.split(","))] = path
    places = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = after.split()[:3]
        for names, path in own.items():
            if _serves(kind, options, names):
                places.append(Place(names, mount, _inside(mount, root, path)))
    return places


def _serves(kind: str, options: str, controllers: "frozenset[str]") -> bool:
    if controllers == {""}:
        return kind == "cgroup2"
    return kind == "cgroup" and controllers <= set(options.split(","))


def _inside(mount: str, root: str, path: str) -> str:
    """Where `path` of the hierarchy is found, when `root` of it is what is mounted."""
    if root not in {"/", path} and not path.startswith(root + "/"):
        return mount
    relative = path if root == "/" else path[len(root) :]
    return os.path.normpath(mount + "/" + relative)


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, OSError) as error:
        # ENODEV is what reading a file of a removed cgroup says.
        if error.errno in {errno.ENOENT, errno.ENODEV}:
            return ""
        raise


def write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def write_if_there(path: str, value: str) -> None:
    try:
        write(path, value)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV}:
            raise


def counter(text: str, name: str) -> int:
    """`name` of a file with a `name number` on each line."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _remove(directory: str, deadline: float, kill: "Callable[[], None]") -> None:
    pause = 0.0005
    while True:
        try:
            for child in _subdirectories(directory):
                _remove(child.path, deadline, kill)
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        # Processes are there until they are wholly gone.
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
        kill()


def _subdirectories(directory: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
