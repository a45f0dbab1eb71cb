"""What processes use, as the kernel counts it."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

# CPUCLOCK_SCHED of linux/posix-timers.h: the time on a processor of all threads of a process, in nanoseconds.
_PROCESS_CLOCK = 2


def tree(root: int, *, also: str = "") -> set[int]:
    """A process and its descendants; `also`: and those whose cgroup has this text in its name, whoever's children."""
    parents: dict[int, int] = {}
    found = {root}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(directory.name)] = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            if also and also in (directory / "cgroup").read_text():
                found.add(int(directory.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found & parents.keys()


def mentioning(text: str) -> set[int]:
    """Processes with this text in their command line."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (directory / "cmdline").read_bytes():
                found.add(int(directory.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """Of each that is still there."""
    times = {}
    for pid in pids:
        try:
            times[pid] = time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)
        except OSError:
            continue
    return times


class CpuMeter:
    """Time on a processor that was used from one `lap` to the next. Who has ended meanwhile is not counted."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._last = cpu_seconds(pids())

    def lap(self) -> float:
        """Seconds since the last one."""
        now = cpu_seconds(self._pids())
        used = sum(seconds - self._last.get(pid, 0.0) for pid, seconds in now.items())
        self._last = now
        return used


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size: what several processes share counts for each in its share."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total
