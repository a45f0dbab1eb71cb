"""How many environments may be starting at once, so that a burst of starts does not ruin the latency of what runs.

A start is mostly work for the processors: more at once than a few for each of them make all later and none sooner.
Starts that wait for something else (an init that reads from the network) leave the processors idle: then more are let
in, twice as many each time, and a few more even if not, so that slow starts never hold back the others for good.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

# While starts are held back, the processors are looked at so often.
LOOK_SECONDS = 0.1
_PER_PROCESSOR = 4
_LEAST = 8
# Some program waits for a processor for more than this share of the time: they are busy.
_BUSY = 0.6

_PRESSURE = Path("/proc/pressure/cpu")
_LOAD = Path("/proc/loadavg")


class Starts:
    def __init__(self, processors: int, busy: Callable[[], bool]) -> None:
        self._processors = processors
        self._base = max(_LEAST, _PER_PROCESSOR * processors)
        self._busy = busy
        self.at_once = self._base

    def __repr__(self) -> str:
        return f"<Starts: {self.at_once} at once>"

    def grow(self) -> int:
        """Some have been held back for a while."""
        self.at_once += self._processors if self._busy() else self.at_once
        return self.at_once

    def rest(self) -> int:
        """None is held back any more."""
        self.at_once = self._base
        return self.at_once


class Pressure:
    """By pressure stall information where the kernel has it, else by how many programs want to run."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, pressure: Path = _PRESSURE) -> None:
        self._monotonic = monotonic
        self._pressure = pressure
        self._processors = processors()
        self._before: tuple[float, float] | None = None

    def __call__(self) -> bool:
        """Whether processors have been short since the last call, or for some seconds when that is long ago."""
        try:
            some = dict(word.split("=") for word in self._pressure.read_text().split("\n")[0].split()[1:])
            stalled, recent = int(some["total"]) / 1e6, float(some["avg10"]) / 100
        except (OSError, ValueError, KeyError):
            return _wanting() > 2 * self._processors
        now, before = self._monotonic(), self._before
        self._before = (now, stalled)
        if before is None or not 0 < now - before[0] < 10 * LOOK_SECONDS:
            return recent > _BUSY
        return (stalled - before[1]) / (now - before[0]) > _BUSY


def processors() -> int:
    """That this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _wanting() -> int:
    try:
        return int(_LOAD.read_text().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return 0
