"""How much of a run the machine stood still: what was measured then says nothing about us.

Run as a program: sleeps a millisecond at a time until its standard input ends, adds up what took 20 ms longer, and
prints the stalled share. Before all others in the kernel's queue, so that a machine that is merely busy does not count.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator

_NAP = 0.001
_STALL = 0.020


class Stalls:
    """Its share is known once the run is over."""

    share: float | None = None

    def __str__(self) -> str:
        return "stalls were not measured" if self.share is None else f"stalled {self.share:.1%} of the run"


@contextlib.contextmanager
def watching(stalls: Stalls) -> Iterator[None]:
    # A group of its own: Ctrl-C is for the run, which ends this.
    with subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        try:
            yield
        finally:
            stalls.share = float(process.communicate()[0] or 0.0)


def main() -> None:
    with contextlib.suppress(OSError):  # not root: then a busy machine counts too
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    began = last = time.monotonic()
    stalled = 0.0
    while not select.select([0], [], [], _NAP)[0]:
        now = time.monotonic()
        if now - last - _NAP > _STALL:
            stalled += now - last - _NAP
        last = now
    print(stalled / max(time.monotonic() - began, _NAP))


if __name__ == "__main__":
    main()
