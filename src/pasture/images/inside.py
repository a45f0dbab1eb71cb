"""Paths inside a tree that somebody else has made: links lead to where they would lead if the tree were the root."""

import errno
import os
import shutil
import stat
from collections import deque
from collections.abc import Sequence
from pathlib import Path

_LINKS_MAX = 40


def located(root: Path, parts: Sequence[str], *, follow_last: bool = True) -> Path:
    """Where this path is, every link on the way followed inside the root; it need not be there.

    Raises OSError (ELOOP) after too many links. The tree must not change meanwhile.
    """
    left = deque(part for part in parts if part not in {"", "."})
    found: list[str] = []
    links = 0
    while left:
        part = left.popleft()
        if part == "..":
            del found[-1:]
            continue
        if part in {"", "."}:
            continue
        here = root.joinpath(*found, part)
        if (left or follow_last) and is_link(here):
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(here))
            target = os.readlink(here)  # noqa: PTH115  what it says, not a path
            if target.startswith("/"):
                found = []
            left.extendleft(reversed(target.split("/")))
        else:
            found.append(part)
    return root.joinpath(*found)


def kind(path: Path) -> int | None:
    """The mode of what is there, which a link is itself; None when nothing is."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_link(path: Path) -> bool:
    mode = kind(path)
    return mode is not None and stat.S_ISLNK(mode)


def is_directory(path: Path) -> bool:
    """A directory itself, no link to one."""
    mode = kind(path)
    return mode is not None and stat.S_ISDIR(mode)


def is_file(path: Path) -> bool:
    """A regular file itself, no link to one."""
    mode = kind(path)
    return mode is not None and stat.S_ISREG(mode)


def clear(path: Path) -> None:
    """Whatever is there goes; a link itself does, and not what it leads to."""
    if is_directory(path):
        shutil.rmtree(path)
    elif kind(path) is not None:
        path.unlink()
