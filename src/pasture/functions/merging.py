"""Lays the trees of layers over each other, in order: what a later layer brings replaces what was there before it.

Files are hard links to those of the layers, so merging costs no room; where a file system cannot link (or will not
link any more), they are copied. As in each layer's own tree, nothing is ever reached through a link of the package:
where one layer has a directory and another a file or a symbolic link, the later one takes the place of the other.
"""

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

_MODE = 0o755


def merge(trees: Sequence[Path], into: Path) -> None:
    """Into an empty directory. The trees must not change meanwhile, and never after: their files are shared."""
    for tree in trees:
        _lay(tree, into)
    # Times last: what goes into a directory changes its time. Every tree's own time is that of all.
    time = trees[0].stat().st_mtime
    for folder, _, _ in os.walk(into, topdown=False):
        Path(folder).chmod(_MODE)
        os.utime(folder, (time, time))


def _lay(source: Path, target: Path) -> None:
    """One directory over another, both there."""
    with os.scandir(source) as entries:
        for entry in entries:
            place = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                _make_directory(place)
                _lay(Path(entry.path), place)
            else:
                _clear(place)
                _share(Path(entry.path), place)


def _make_directory(place: Path) -> None:
    kind = _kind(place)
    if kind is not None and not stat.S_ISDIR(kind):
        place.unlink()
        kind = None
    if kind is None:
        place.mkdir()


def _clear(place: Path) -> None:
    kind = _kind(place)
    if kind is None:
        return
    if stat.S_ISDIR(kind):
        shutil.rmtree(place)
    else:
        place.unlink()


def _kind(place: Path) -> int | None:
    """The mode of what is there, which a link is itself; None when nothing is."""
    try:
        return place.lstat().st_mode
    except FileNotFoundError:
        return None


def _share(source: Path, place: Path) -> None:
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:  # EPERM, EMLINK, EXDEV, EOPNOTSUPP: whatever the reason, a copy serves as well
        shutil.copy2(source, place, follow_symlinks=False)
