"""The unpacked trees of packages on disk, and what is known of them: how large each is, and whether it can be believed.

A tree is there when it has its final name and a listing (`kit.listing`); one without is made again. After an end that
was no orderly one every tree is doubted: before its next use it is compared with its listing, by names, sizes and
times, and its contents are compared when there is time for that.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pasture.kit import listing, making
from pasture.kit.listing import OpenMark

_MERGED = "merged"
_OPEN = "open"


class Trees:
    """Mutable state: the sizes of the trees that are there, those in doubt, and when each was last used. Methods that
    touch the disk block, and are for threads; whoever calls them is alone with the tree.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._merged = directory / _MERGED
        # Beside the trees and not among them: what is in that directory is a tree.
        self._listings = directory.with_name(f"{directory.name}-listings")
        self._mark = OpenMark(self._listings / _OPEN)
        self._sizes: dict[str, int] = {}
        self._in_doubt: dict[str, bool] = {}
        self.unpacked_bytes = 0
        self._counting = threading.Lock()

    def __repr__(self) -> str:
        sizes = f"{len(self._sizes)} of {self.unpacked_bytes} bytes"
        return f"<Trees {self._directory}: {sizes}, {len(self._in_doubt)} in doubt>"

    def __contains__(self, digest: str) -> bool:
        return digest in self._sizes

    def path(self, digest: str, *, merged: bool = False) -> Path:
        return (self._merged if merged else self._directory) / digest

    def is_believed(self, digest: str) -> bool:
        """Whether it may be used as it is: not so when it was not looked at since an end that was no orderly one."""
        return digest in self._sizes and not self._in_doubt.get(digest, False)

    @property
    def doubtful(self) -> Collection[str]:
        """Those whose contents have not been compared yet."""
        return self._in_doubt.keys()

    # On disk...

    def open(self) -> Mapping[str, float]:
        """Clear what a killed process left half made or half removed. Answers when each tree was last used."""
        making.clear_leftovers(self._directory)
        self._listings.mkdir(exist_ok=True)
        unclean = self._mark.set()
        uses = dict[str, float]()
        there = {path.name for path in self._all()}
        for path in self._listings.iterdir():
            size = listing.size(path) if path.name in there else None
            if size is not None:
                self._sizes[path.name] = size
                uses[path.name] = path.stat().st_mtime
            elif path.name != _OPEN:
                path.unlink()
        for tree in self._all():
            if tree.name not in self._sizes:
                making.remove(tree, self._directory)
        self.unpacked_bytes = sum(self._sizes.values())
        self._in_doubt = dict.fromkeys(self._sizes, True) if unclean else {}
        return uses

    def close(self) -> None:
        """Everything that is not in doubt is well."""
        if not self._in_doubt:
            self._mark.clear()

    def names(self) -> Collection[str]:
        """Of every tree there is anything of."""
        return [path.name for path in self._all()]

    def make(self, digest: str, fill: Callable[[Path], None], *, merged: bool = False) -> Path:
        """The tree: the one that is there, if it can be believed, or a new one that `fill` has filled."""
        final = self.path(digest, merged=merged)
        if self._is_whole(digest, final):
            return final
        self.remove(digest)
        with making.making(self._directory) as fresh:
            fill(fresh)
            final.parent.mkdir(exist_ok=True)
            making.finish(fresh, final)
        self._count(digest, listing.write(final, self._listings / digest, contents=True))
        return final

    def compare_contents(self, digest: str) -> bool:
        """Whether it is what it was when it was made; from then on it is believed."""
        final = self.path(digest) if self.path(digest).is_dir() else self.path(digest, merged=True)
        if listing.is_whole(final, self._listings / digest, contents=True):
            self._in_doubt.pop(digest, None)
            return True
        return False

    def remove(self, digest: str, *, in_use: bool = False) -> None:
        """What is in use is out of the way, and goes at the next start."""
        (self._listings / digest).unlink(missing_ok=True)
        self._count(digest, None)
        for merged in (False, True):
            with contextlib.suppress(FileNotFoundError):
                aside = making.set_aside(self.path(digest, merged=merged), self._directory)
                if not in_use:
                    shutil.rmtree(aside)

    def note_uses(self, uses: Mapping[str, float]) -> None:
        for digest, when in uses.items():
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._listings / digest, (when, when))

    def _is_whole(self, digest: str, final: Path) -> bool:
        if digest not in self._sizes or not final.is_dir():
            return False
        if self.is_believed(digest):
            return True
        if not listing.is_whole(final, self._listings / digest, contents=False):
            return False
        self._in_doubt[digest] = False
        return True

    def _count(self, digest: str, size: int | None) -> None:
        """What is there now of a tree, in place of what was."""
        with self._counting:
            self.unpacked_bytes += (size or 0) - self._sizes.pop(digest, 0)
            self._in_doubt.pop(digest, None)
            if size is not None:
                self._sizes[digest] = size

    def _all(self) -> list[Path]:
        folders = (self._directory, self._merged)
        found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
        return [path for path in found if not path.name.startswith(".") and path != self._merged]
