"""Cgroups of version 1: one directory per controller, as root only."""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH102, PTH103, PTH110

import errno
import os
import time
from contextlib import suppress

from .cgroups import Group, Hierarchy, Limits, Notices, Place, counter, read, write, write_if_there
from .failure import StepFailed, step
from .gauge import Gauge

_WANTED = ("memory", "cpu", "pids", "freezer")
# What every new group has.
_PERIOD_MICROSECONDS = 100_000
_MINIMUM_MICROSECONDS = 1_000
_FREEZE_SECONDS = 2.0


class GroupV1(Group):
    version = 1

    def make(self) -> None:
        try:
            for directory in self.directories.values():
                with step(f"make the cgroup {directory}"):
                    os.mkdir(directory)
        except StepFailed:
            self.remove()
            raise

    def limit(self, limits: Limits) -> None:
        if memory := self.directories.get("memory"):
            with step(f"limit the memory of {memory} to {limits.memory_bytes} bytes"):
                write(memory + "/memory.limit_in_bytes", str(limits.memory_bytes))
                # Memory and swap together, so no swap. Without swap accounting: as little of it as can be.
                write_if_there(memory + "/memory.memsw.limit_in_bytes", str(limits.memory_bytes))
                write_if_there(memory + "/memory.swappiness", "0")
        if pids := self.directories.get("pids"):
            with step(f"limit the processes of {pids} to {limits.processes}"):
                write(pids + "/pids.max", str(limits.processes))
        with step(f"limit the processor time of {self.directories.get('cpu')} to {limits.cpus} processors"):
            self.limit_cpus(limits.cpus)

    def limit_cpus(self, cpus: "float | None") -> None:
        if cpu := self.directories.get("cpu"):
            quota = -1 if cpus is None else max(int(cpus * _PERIOD_MICROSECONDS), _MINIMUM_MICROSECONDS)
            try:
                write_if_there(cpu + "/cpu.cfs_quota_us", str(quota))
            except OSError as error:
                # More than a group above has: without a limit of its own, that one's holds.
                if error.errno != errno.EINVAL:
                    raise
                write_if_there(cpu + "/cpu.cfs_quota_us", "-1")

    def enter(self) -> None:
        for directory in self.directories.values():
            with step(f"enter the cgroup {directory}"):
                write(directory + "/cgroup.procs", "0")

    def freeze(self) -> None:
        if freezer := self.directories.get("freezer"):
            write_if_there(freezer + "/freezer.state", "FROZEN")
            deadline = time.monotonic() + _FREEZE_SECONDS
            while read(freezer + "/freezer.state").strip() == "FREEZING" and time.monotonic() < deadline:
                time.sleep(0.0002)

    def thaw(self) -> None:
        if freezer := self.directories.get("freezer"):
            write_if_there(freezer + "/freezer.state", "THAWED")

    def peak_memory_bytes(self) -> int:
        if self._peak is None:
            self._peak = Gauge(self.directories.get("memory", "") + "/memory.max_usage_in_bytes")
        return self._peak.read()

    def oom_kills(self) -> int:
        return counter(read(self.directories.get("memory", "") + "/memory.oom_control"), "oom_kill")

    def watch_memory(self) -> "Notices | None":
        memory = self.directories.get("memory", "")
        return OutOfMemory(memory) if os.path.exists(memory + "/cgroup.event_control") else None

    def pids(self) -> "list[int]":
        # Every hierarchy has the same; a process on its way in may be in some only.
        found = {int(pid) for place in self.directories.values() for pid in read(place + "/cgroup.procs").split()}
        return sorted(found)


class OutOfMemory:
    """Implements `Notices`: an eventfd that the kernel writes to before it looks for a victim."""

    def __init__(self, directory: str) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        control = os.open(directory + "/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            write_if_there(directory + "/cgroup.event_control", f"{self._event} {control}")
        finally:
            os.close(control)

    def fileno(self) -> int:
        return self._event

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._event)

    def close(self) -> None:
        os.close(self._event)


def find(owner: str, places: "list[Place]") -> "Hierarchy | None":
    """Groups under this process's own ones; None where memory is not of version 1, or nothing can be written."""
    own = {name: place.own for place in places for name in place.controllers if name in _WANTED}
    if "memory" not in own:
        return None
    roots = {name: f"{own[name]}/pasture-{owner}" for name in _WANTED if name in own}
    try:
        for root in roots.values():
            os.makedirs(root, exist_ok=True)
    except OSError:
        return None
    names = {"memory": "Memory", "cpu": "Processor time", "pids": "The number of processes", "freezer": "Freezing"}
    warnings = [
        f"{names[name]} is not enforced: the cgroup controller {name} is not mounted."
        for name in _WANTED
        if name not in own
    ]
    return Hierarchy(GroupV1, roots, warnings)
