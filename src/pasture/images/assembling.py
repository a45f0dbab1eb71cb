"""From the trees of layers to the tree of an image, which is the root of environments.

Files are hard links to those of the layers, so an image costs hardly any room; where a file system cannot link (or will
not any more), they are copied. What environments mount over is there at the end, whatever the image had in its place.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pasture.images import inside
from pasture.images.errors import ImageInvalid
from pasture.images.unpacking import OF_THE_NAME, LayerTree

DIRECTORIES = ("dev", "proc", "tmp", "etc")
FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/passwd", "etc/group")


def assemble(layers: Sequence[tuple[Path, LayerTree]], into: Path) -> None:
    """Into an empty directory, from the lowest layer up. Blocks. The layers must not change, then or ever after.

    Raises ImageInvalid, or the disk's OSError.
    """
    try:
        for tree, layer in layers:
            for path in layer.removed:
                _take_away(into, path)
            for path in layer.opaque:
                _empty(into, path)
            _Laying(tree, frozenset(layer.implied)).lay(tree, into, into)
    except (OSError, RecursionError) as error:
        if isinstance(error, RecursionError) or error.errno in OF_THE_NAME:
            raise ImageInvalid(f"its layers cannot be laid over each other: {error}") from error
        raise
    _make_points(into)
    into.chmod(0o755)


class _Laying:
    def __init__(self, tree: Path, implied: frozenset[str]) -> None:
        self._tree = tree
        self._implied = implied

    def lay(self, source: Path, target: Path, root: Path) -> None:
        """One directory over another, both there."""
        with os.scandir(source) as entries:
            for entry in entries:
                place = target / entry.name
                if not entry.is_dir(follow_symlinks=False):
                    inside.clear(place)
                    _share(Path(entry.path), place)
                    continue
                implied = Path(entry.path).relative_to(self._tree).as_posix() in self._implied
                self.lay(Path(entry.path), self._directory(place, root, implied=implied), root)
                if not implied:
                    shutil.copystat(entry.path, place, follow_symlinks=False)

    def _directory(self, place: Path, root: Path, *, implied: bool) -> Path:
        """The directory at that place; of a link below that a layer has something in, what it leads to."""
        if implied and inside.is_link(place):
            led = inside.located(root, place.relative_to(root).parts)
            if inside.is_directory(led):
                return led
        if not inside.is_directory(place):
            inside.clear(place)
            place.mkdir()
            place.chmod(0o755)
        return place


def _take_away(root: Path, path: str) -> None:
    """A whiteout whose directory is reached through a link of a layer below means what is there."""
    *folder, name = path.split("/")
    inside.clear(inside.located(root, folder) / name)


def _empty(root: Path, path: str) -> None:
    folder = inside.located(root, path.split("/"))
    if inside.is_directory(folder):
        for entry in folder.iterdir():
            inside.clear(entry)


def _make_points(root: Path) -> None:
    for name in DIRECTORIES:
        place = root / name
        if not inside.is_directory(place):
            inside.clear(place)
            place.mkdir()
        place.chmod(0o755)
    for name in FILES:
        # Not written to, but made anew: it may be a link, or a layer's own.
        inside.clear(root / name)
        (root / name).touch(mode=0o644)


def _share(source: Path, place: Path) -> None:
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:  # EPERM, EMLINK, EXDEV, EOPNOTSUPP: whatever the reason, a copy serves as well
        shutil.copy2(source, place, follow_symlinks=False)
