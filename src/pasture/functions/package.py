"""Packages of functions and layers: kept as blobs, unpacked once into `packages/<sha256>/`, shared by environments.

What several layers make of /opt is a tree of its own, `packages/merged/<digest>/`, and is held and removed like them.

A tree appears under its final name only when it is whole and on disk. What is in use is held; `collection`
removes what is neither held nor referenced.
"""

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pasture.domain.errors import RequestEntityTooLarge
from pasture.domain.function import Code, opt_digest
from pasture.domain.limits import Limits
from pasture.functions.merging import merge
from pasture.functions.unzip import unzip
from pasture.kit import making
from pasture.kit.keyed_lock import KeyedLock

_MERGED = "merged"


Package = bytes | Path
"""A zip; or the file with one, too large to be in memory, that becomes the blob when it is kept."""


class BlobStore(Protocol):
    """What is needed of `store.blobs.Blobs`."""

    async def put(self, data: bytes) -> str: ...
    def receiving(self) -> contextlib.AbstractAsyncContextManager[Path]: ...
    async def keep(self, path: Path, sha256: str) -> None: ...
    def path(self, sha256: str) -> Path: ...
    async def delete(self, sha256: str) -> bool: ...
    async def sizes(self) -> Mapping[str, int]: ...


class ImageTrees(Protocol):
    """What is needed of `images.images.Images`: an image is referred to and held by its digest, as packages are."""

    def stored(self) -> Collection[str]: ...
    async def remove(self, digest: str) -> None: ...


class Packages:
    """In memory are only how often each package is held, which may not be needed any more, and which are just being
    changed.
    """

    def __init__(self, directory: Path, blobs: BlobStore, limits: Limits, images: ImageTrees | None = None) -> None:
        self._images = images
        self._directory = directory
        self._blobs = blobs
        self._limits = limits
        self._held: Counter[str] = Counter()
        self._suspected: set[str] = set()
        self._suspicion = asyncio.Event()
        self._lock = KeyedLock()

    def __repr__(self) -> str:
        return f"<Packages {self._directory}, held: {sorted(self._held)}>"

    async def open(self) -> None:
        """Make the directory, and clear what a killed process left half unpacked."""
        await asyncio.to_thread(making.clear_leftovers, self._directory)

    @contextlib.asynccontextmanager
    async def adding(
        self, package: Package, before: Callable[[str], Awaitable[object]] | None = None
    ) -> AsyncIterator[Code]:
        """Check, unpack and keep a package, and hold it inside the `async with`: until then nothing refers to it.

        `before` is awaited with the digest before anything is kept, so that a reference can be on disk first.
        Raises InvalidParameterValue or RequestEntityTooLarge with AWS's words.
        """
        code = await asyncio.to_thread(self._measured, package)
        with self.holding(code.sha256):
            if before is not None:
                await before(code.sha256)
            async with self._lock.alone(code.sha256):
                await asyncio.to_thread(self._unpack, code.sha256, package)
                if isinstance(package, bytes):
                    await self._blobs.put(package)
                else:
                    await self._blobs.keep(package, code.sha256)
            yield code

    async def check(self, package: Package) -> Code:
        """What `adding` would yield or raise; nothing is kept."""
        code = await asyncio.to_thread(self._measured, package)
        await asyncio.to_thread(self._try_to_unpack, package)
        return code

    def receiving(self) -> contextlib.AbstractAsyncContextManager[Path]:
        """An empty file for a package that comes bit by bit, and is added or goes."""
        return self._blobs.receiving()

    async def tree(self, sha256: str) -> Path:
        """The unpacked package, unpacked again from the blob if need be. Raises FileNotFoundError without one."""
        final = self._directory / sha256
        async with self._lock.alone(sha256):
            if not final.is_dir():  # one stat: less than handing it to a thread
                await asyncio.to_thread(self._unpack_blob, sha256)
        return final

    async def opt(self, layers: Sequence[str]) -> Path | None:
        """The tree at /opt of these packages, merged again if need be. Raises FileNotFoundError without one of them."""
        digest = opt_digest(layers)
        if digest is None:
            return None
        if len(layers) == 1:
            return await self.tree(digest)
        final = self._directory / _MERGED / digest
        async with self._lock.alone(digest):
            if not final.is_dir():
                with contextlib.ExitStack() as holds:
                    trees = [await self.tree(holds.enter_context(self.holding(layer))) for layer in layers]
                    await asyncio.to_thread(self._merge, trees, final)
        return final

    def blob(self, sha256: str) -> Path:
        """The file with the zip of a package that is held."""
        return self._blobs.path(sha256)

    async def unzipped_bytes(self, sha256: str) -> int:
        """What the files of a package come to."""
        return await asyncio.to_thread(_size, await self.tree(sha256))

    # Who uses what...

    def hold(self, sha256: str) -> None:
        """Keep a package from removal until `release`, called as often. Hold first, then ask for the tree."""
        self._held[sha256] += 1

    def release(self, sha256: str) -> None:
        self._held[sha256] -= 1
        if self._held[sha256] <= 0:
            del self._held[sha256]
            self.suspect(sha256)

    @contextlib.contextmanager
    def holding(self, sha256: str) -> Iterator[str]:
        self.hold(sha256)
        try:
            yield sha256
        finally:
            self.release(sha256)

    # What nobody needs any more...

    def suspect(self, sha256: str) -> None:
        """Somebody has stopped needing this package; `suspects` hears of it."""
        self._suspected.add(sha256)
        self._suspicion.set()

    async def suspects(self) -> set[str]:
        """Wait until there are packages that may not be needed any more, and take their digests."""
        await self._suspicion.wait()
        self._suspicion.clear()
        taken, self._suspected = self._suspected, set()
        return taken

    async def stored(self) -> set[str]:
        """Every package and image there is anything of."""
        images = self._images.stored() if self._images is not None else ()
        return {*await asyncio.to_thread(self._trees), *await self._blobs.sizes(), *images}

    async def remove_unless_needed(self, sha256: str, is_referenced: Callable[[str], Awaitable[bool]]) -> bool:
        """Remove a package, tree and blob, if nobody holds it and nothing refers to it. Whether it was.

        This happens while nobody can add or unpack it, so a package that comes back meanwhile is made anew.
        """
        async with self._lock.alone(sha256):
            if sha256 in self._held or await is_referenced(sha256) or sha256 in self._held:
                return False
            await asyncio.to_thread(self._remove_tree, sha256)
            await self._blobs.delete(sha256)
            if self._images is not None:
                await self._images.remove(sha256)
            return True

    # On disk; in threads...

    def _trees(self) -> list[str]:
        folders = (self._directory, self._directory / _MERGED)
        names = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
        return [name for name in names if not name.startswith(".") and name != _MERGED]

    def _measured(self, package: Package) -> Code:
        """What is sent with a call has a limit of its own; what is fetched is limited by what comes out of it."""
        if not isinstance(package, bytes):
            with package.open("rb") as file:
                return Code(hashlib.file_digest(file, "sha256").hexdigest(), package.stat().st_size)
        if len(package) > self._limits.code_zipped_bytes:
            raise RequestEntityTooLarge(f"Zipped size must be smaller than {self._limits.code_zipped_bytes} bytes")
        return Code(hashlib.sha256(package).hexdigest(), len(package))

    def _unpack_blob(self, sha256: str) -> None:
        self._unpack(sha256, self._blobs.path(sha256))

    def _unpack(self, sha256: str, package: Package) -> None:
        final = self._directory / sha256
        if final.is_dir():
            return
        with making.making(self._directory) as fresh:
            unzip(package, fresh, self._limits.code_unzipped_bytes)
            making.finish(fresh, final)

    def _merge(self, trees: Sequence[Path], final: Path) -> None:
        with making.making(self._directory) as fresh:
            merge(trees, fresh)
            final.parent.mkdir(exist_ok=True)
            making.finish(fresh, final)

    def _try_to_unpack(self, package: Package) -> None:
        with making.making(self._directory) as fresh:
            unzip(package, fresh, self._limits.code_unzipped_bytes)

    def _remove_tree(self, digest: str) -> None:
        for tree in (self._directory / digest, self._directory / _MERGED / digest):
            making.remove(tree, self._directory)


def _size(tree: Path) -> int:
    return sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
