"""What every run of benchmarks does around its work: a directory of its own, an end for all it starts, a title."""

import contextlib
import os
import platform
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from harness import Run
from processes import mentioning

from pasture.isolation.kinds import best_kind

_END_SECONDS = 30.0


@contextlib.contextmanager
def running(*, quick: bool) -> Iterator[Run]:
    """However the run ends (an error, Ctrl-C, SIGTERM), what it has started is ended and its directory removed."""
    signal.signal(signal.SIGTERM, _end)
    # The runtime's user has to reach the code of the floors.
    with tempfile.TemporaryDirectory(prefix="pasture-bench-") as name, contextlib.ExitStack() as stack:
        Path(name).chmod(0o755)
        stack.callback(_sweep, name)
        yield Run(Path(name), stack, quick=quick)


def machine() -> str:
    kind, why = best_kind()
    user = "as root" if os.geteuid() == 0 else "rootless"
    isolation = f"isolation `{kind}` {user}" if not why else f"isolation `{kind}` ({why.splitlines()[-1].rstrip('.')})"
    return (
        f"On {os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}, {isolation}"
    )


def _sweep(directory: str) -> None:
    """A signal can come when something has been started and nobody knows it yet: all that works in the run's directory
    is told to end, and what does not is killed.
    """
    for pid in (told := mentioning(directory)):
        _send(pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while (left := told & mentioning(directory)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _end(_number: int, _frame: object) -> NoReturn:
    # Once: the end itself must not be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
