"""Signals of the launcher and of an init: every one at its default, but for the ends of children, which wake a poll."""

import signal
import socket
from contextlib import suppress

from . import syscalls

# glibc's SIGCANCEL and SIGSETXID: the module `signal` does not let them be set.
_OF_THE_C_LIBRARY = (32, 33)


class ChildrenEnd:
    """Readable when a child may have ended since the last `clear`. One per process."""

    def __init__(self) -> None:
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def fileno(self) -> int:
        return self._wake.fileno()

    def detach(self) -> None:
        """In a child that has closed the descriptors' numbers."""
        self._wake.detach()
        self._woken.detach()

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass


def reset() -> None:
    """In the launcher, for itself and everything cloned from it.

    A server may ignore some (nohup), and Python handles SIGINT: a pid 1 is not reached by
    a signal that it has no handler for. SIGPIPE stays ignored, as sockets need it.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        with suppress(OSError):  # the C library's own
            signal.signal(number, signal.SIG_DFL)
    # Whatever was started by posix_spawn (by make, say) inherits them ignored.
    for internal in _OF_THE_C_LIBRARY:
        with suppress(OSError):
            syscalls.default_signal(internal)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def reset_for_program() -> None:
    """What is not as a program expects it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def set_as_python_does() -> None:
    """What an interpreter does to signals when it starts (and does not do again in a fork)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
