"""Directories that have their final name only once they are whole and on disk, and go in one step. In threads."""

import contextlib
import ctypes
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_MAKING = ".making-"


def clear_leftovers(directory: Path) -> None:
    """Make the directory, and clear what a killed process left half made in it."""
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in directory.glob(f"{_MAKING}*"):
        shutil.rmtree(leftover)


@contextlib.contextmanager
def making(directory: Path) -> Iterator[Path]:
    """A directory under a temporary name, removed unless it has been renamed."""
    fresh = _temporary(directory)
    fresh.mkdir(parents=True)
    try:
        yield fresh
    finally:
        if fresh.exists():
            shutil.rmtree(fresh)


def finish(fresh: Path, final: Path) -> None:
    """On disk, and then under its name."""
    sync(fresh)
    try:
        fresh.rename(final)
    except OSError:
        # A call that was cancelled has left its thread behind, and that thread was faster.
        if not final.is_dir():
            raise
    sync(final.parent)


def remove(tree: Path, directory: Path) -> None:
    """First out of sight in one step, to `directory`: a tree with its final name is whole."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(set_aside(tree, directory))


def set_aside(tree: Path, directory: Path) -> Path:
    """Out of sight, to `directory`, until `clear_leftovers`: for a tree that is still mounted somewhere. Answers where
    it is now. Raises FileNotFoundError when there is none.
    """
    aside = _temporary(directory)
    tree.rename(aside)
    return aside


def sync(path: Path) -> None:
    """Everything written to this file system so far is on disk: one call instead of one a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def _temporary(directory: Path) -> Path:
    return directory / f"{_MAKING}{secrets.token_hex(8)}"
