"""How long a sandbox takes, beside the least that the kernel needs for it. Run as a program: prints medians in milliseconds."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pasture.isolation.kinds import open_kind
from pasture.isolation.spec import Program, SandboxSpec

ROUNDS = 50
# What a box cannot do without: a clone into five namespaces, in a process as small as the launcher.
_FLOOR = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from launcher import namespaces
namespaces.separate()
times = []
for _ in range(int(sys.argv[2])):
    started = time.perf_counter()
    pid, pidfd = namespaces.clone_box(rootless=False, cgroup=None)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    times.append(time.perf_counter() - started)
    os.close(pidfd)
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)
    times.append(time.perf_counter() - started)
print(*times)
"""


def floors() -> tuple[list[float], list[float]]:
    package = Path(sys.modules["pasture.isolation.kinds"].__path__[0]).parent
    command = [sys.executable, "-I", "-S", "-c", _FLOOR, str(package), str(ROUNDS)]
    times = [float(text) for text in subprocess.check_output(command, text=True).split()]
    return times[0::2], times[1::2]


async def measure(pause: float) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"create": [], "start to exit": [], "destroy": []}
    with tempfile.TemporaryDirectory() as directory:
        isolation = open_kind("namespaces", run_directory=Path(directory), owner=f"measure-{os.getpid()}")
        await isolation.open()
        null = os.open(os.devnull, os.O_WRONLY)
        for n in range(ROUNDS):
            await asyncio.sleep(pause)
            clock = _Clock(times)
            sandbox = await isolation.create(SandboxSpec(f"box-{n}", (), 128 << 20, 512 << 20, 1.0))
            clock.lap("create")
            process = await sandbox.start(Program("true", ("/bin/true",), {}, "/", null, null))
            await process.wait()
            clock.lap("start to exit")
            await sandbox.destroy()
            clock.lap("destroy")
        os.close(null)
        await isolation.close()
    return times


class _Clock:
    def __init__(self, times: dict[str, list[float]], now: Callable[[], float] = time.perf_counter) -> None:
        self._times, self._now, self._last = times, now, now()

    def lap(self, name: str) -> None:
        now = self._now()
        self._times[name].append(now - self._last)
        self._last = now


def show(name: str, times: list[float]) -> None:
    print(f"{name:45} median {statistics.median(times) * 1e3:6.2f}  worst {max(times) * 1e3:6.2f}")  # noqa: T201


def main() -> None:
    clone, execute = floors()
    show("floor: clone into five namespaces, and end", clone)
    show("floor: fork, execute /bin/true, end", execute)
    for pause in (0.1, 0.0):
        for name, times in asyncio.run(measure(pause)).items():
            show(f"{name}, one every {pause} s" if pause else f"{name}, one after another", times)


if __name__ == "__main__":
    main()
