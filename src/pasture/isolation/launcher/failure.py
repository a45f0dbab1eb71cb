"""What a step says when it fails: what was tried, on what, the kernel's reason, and what would help."""

import contextlib
import errno
import os
from collections.abc import Iterator


class StepFailed(Exception):
    """One step of making a box or starting a program failed. `str` is for people."""

    def __init__(self, what: str, reason: str, number: int = 0, hint: str = "") -> None:
        super().__init__(f"cannot {what}: {reason}." + (f" {hint}" if hint else ""))
        self.what = what
        self.reason = reason
        self.number = number
        self.hint = hint


@contextlib.contextmanager
def step(what: str, hints: "dict[int, str] | None" = None) -> Iterator[None]:
    """Name the step for every OSError within. `hints`: errno → what to do about it."""
    try:
        yield
    except OSError as error:
        raise failed(what, error, hints) from error


def failed(what: str, error: OSError, hints: "dict[int, str] | None" = None) -> StepFailed:
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    return StepFailed(what, reason, number, (hints or {}).get(number, _HINTS.get(number, "")))


_HINTS = {
    errno.ENOSYS: "This needs Linux 5.12 or newer.",
    errno.ENOSPC: "A limit of the kernel is reached; see /proc/sys/user and `df`.",
    errno.ENOMEM: "The machine, or the server's own cgroup, is out of memory.",
}
