"""Directories of runtimes that several servers use: each is held by whoever uses it, and removed when nobody does.

Who uses one has a shared lock on the directory itself, which the kernel gives back with the process, however that ends.
Only what can be locked exclusively is removed, and it is renamed before: nobody finds half of it. A file system without
such locks keeps everything.
"""

import fcntl
import os
import shutil
import threading
import weakref
from contextlib import suppress
from pathlib import Path

_REMOVING = ".removing-"


class Held:
    """Mutable state: the directories that this object has a shared lock on, as long as it lives."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}
        self._holding = threading.Lock()
        weakref.finalize(self, _close_all, self._held)

    def __repr__(self) -> str:
        return f"<Held {', '.join(map(str, self._held)) or 'nothing'}>"

    def hold(self, directory: Path) -> bool:
        """Whether it is there, and stays: from now on nobody removes it. From any thread."""
        with self._holding:
            return self._hold(directory)

    def _hold(self, directory: Path) -> bool:
        if (former := self._held.get(directory)) is not None:
            if _is_still(directory, former):
                return True
            os.close(self._held.pop(directory))
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # it is being removed
            os.close(descriptor)
            return False
        except OSError:  # no locks here, and so no removal either
            os.close(descriptor)
            return directory.is_dir()
        if not _is_still(directory, descriptor):
            os.close(descriptor)
            return False
        self._held[directory] = descriptor
        return True


def remove_unused(parent: Path, *, keep: Path) -> None:
    """Every directory in `parent` but `keep` that nobody holds; names that begin with a dot are others' affair.

    Called by one at a time. What cannot be removed stays.
    """
    for leftover in parent.glob(f"{_REMOVING}*"):  # of a removal that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    for directory in parent.iterdir():
        if directory != keep and not directory.name.startswith(".") and directory.is_dir():
            with suppress(OSError):
                _remove_if_unused(directory)


def _remove_if_unused(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = directory.rename(directory.with_name(_REMOVING + directory.name))
        shutil.rmtree(gone, ignore_errors=True)
    finally:
        os.close(descriptor)


def _is_still(directory: Path, descriptor: int) -> bool:
    """Between the opening and the lock it may have been removed, and another may have its name."""
    try:
        return os.path.samestat(directory.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _close_all(held: dict[Path, int]) -> None:
    for descriptor in held.values():
        os.close(descriptor)
