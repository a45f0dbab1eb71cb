"""Packages of functions and layers: kept as blobs, unpacked once into `packages/<sha256>/`, shared by environments.

What several layers make of /opt is a tree of its own, `packages/merged/<digest>/`, and is held and removed like them.

A tree appears under its final name only when it is whole and on disk. What is in use is held; `collection`
removes what is neither held nor referenced. Trees are a cache: those that nobody holds go, the longest unused first,
when all together are over the limit, and are unpacked again when somebody asks (docs/decisions/0029).
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Protocol

from pasture.domain.errors import RequestEntityTooLarge
from pasture.domain.function import Code, opt_digest
from pasture.domain.limits import Limits
from pasture.functions.merging import merge
from pasture.functions.trees import Trees
from pasture.functions.unzip import unzip
from pasture.kit import making
from pasture.kit.keyed_lock import KeyedLock

Package = bytes | Path
"""A zip; or the file with one, too large to be in memory, that becomes the blob when it is kept."""


_log = logging.getLogger(__name__)


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

    @property
    def unpacked_bytes(self) -> int: ...
    def stored(self) -> Collection[str]: ...
    def uses(self) -> Mapping[str, float]: ...
    async def note_uses(self, uses: Mapping[str, float]) -> None: ...
    async def evict(self, digest: str) -> bool: ...
    async def remove(self, digest: str) -> None: ...


class Packages:
    """In memory are only how often each package is held, which may not be needed any more, which are just being
    changed, and which of those that are unpacked nobody holds, the longest unused first.

    `cache_bytes`: all trees together are to have no more than this, those of images included.
    """

    def __init__(
        self,
        directory: Path,
        blobs: BlobStore,
        limits: Limits,
        images: ImageTrees | None = None,
        *,
        cache_bytes: float = inf,
    ) -> None:
        self._images = images
        self._directory = directory
        self._trees = Trees(directory)
        self._cache_bytes = cache_bytes
        self._free: dict[str, None] = {}
        self._uses: dict[str, float] = {}
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
        uses = dict(await asyncio.to_thread(self._trees.open))
        if self._images is not None:
            uses |= await asyncio.to_thread(self._images.uses)
        self._free = dict.fromkeys(sorted(uses, key=uses.__getitem__))

    async def close(self) -> None:
        """An orderly end: the next start finds when each tree was last used, and need not doubt any."""
        await self._note_uses()
        await asyncio.to_thread(self._trees.close)

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
        final = self._trees.path(sha256)
        async with self._lock.alone(sha256):
            # One stat: less than handing it to a thread.
            if not (self._trees.is_believed(sha256) and final.is_dir()):
                await asyncio.to_thread(self._unpack, sha256, self._blobs.path(sha256))
                self._grown(sha256)
        return final

    async def opt(self, layers: Sequence[str]) -> Path | None:
        """The tree at /opt of these packages, merged again if need be. Raises FileNotFoundError without one of them."""
        digest = opt_digest(layers)
        if digest is None:
            return None
        if len(layers) == 1:
            return await self.tree(digest)
        final = self._trees.path(digest, merged=True)
        async with self._lock.alone(digest):
            if not (self._trees.is_believed(digest) and final.is_dir()):
                with contextlib.ExitStack() as holds:
                    trees = [await self._sure_tree(holds.enter_context(self.holding(layer))) for layer in layers]
                    await asyncio.to_thread(self._trees.make, digest, partial(merge, trees), merged=True)
                self._grown(digest)
        return final

    def blob(self, sha256: str) -> Path:
        """The file with the zip of a package that is held."""
        return self._blobs.path(sha256)

    async def unzipped_bytes(self, sha256: str) -> int:
        """What the files of a package come to."""
        with self.holding(sha256):
            return await asyncio.to_thread(_size, await self.tree(sha256))

    # Who uses what...

    def hold(self, sha256: str) -> None:
        """Keep a package from removal until `release`, called as often. Hold first, then ask for the tree."""
        self._held[sha256] += 1
        self._free.pop(sha256, None)

    def release(self, sha256: str) -> None:
        self._held[sha256] -= 1
        if self._held[sha256] <= 0:
            del self._held[sha256]
            self._uses[sha256] = time.time()
            self._free[sha256] = None  # at the end: the most recently used
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
        return {*await asyncio.to_thread(self._trees.names), *await self._blobs.sizes(), *images}

    async def remove_unless_needed(self, sha256: str, is_referenced: Callable[[str], Awaitable[bool]]) -> bool:
        """Remove a package, tree and blob, if nobody holds it and nothing refers to it. Whether it was.

        This happens while nobody can add or unpack it, so a package that comes back meanwhile is made anew.
        """
        async with self._lock.alone(sha256):
            if sha256 in self._held or await is_referenced(sha256) or sha256 in self._held:
                return False
            await asyncio.to_thread(self._trees.remove, sha256)
            await self._blobs.delete(sha256)
            if self._images is not None:
                await self._images.remove(sha256)
            self._free.pop(sha256, None)
            return True

    # What there is no room for...

    @property
    def unpacked_bytes(self) -> int:
        """Of all trees on disk, roughly: files that trees share are counted for each package, once for images."""
        return self._trees.unpacked_bytes + (self._images.unpacked_bytes if self._images is not None else 0)

    async def fit(self) -> int:
        """Evict trees that nobody holds, the longest unused first, until all are within the limit. Answers how many.

        What cannot be made again stays, and so does what is held: while that alone is over the limit, it is exceeded.
        """
        await self._note_uses()
        evicted = 0
        while self.unpacked_bytes > self._cache_bytes and self._free:
            evicted += await self._evict(next(iter(self._free)))
        return evicted

    async def doubt(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """Compare the contents of all trees that are in doubt since an end that was no orderly one, one after the other
        and with pauses as long as the comparing took. What is not what it was is unpacked again when it is wanted;
        environments that use it keep what they have.
        """
        for digest in tuple(self._trees.doubtful):
            began = time.monotonic()
            await self._compare(digest)
            await pause(time.monotonic() - began)

    async def _compare(self, digest: str) -> None:
        async with self._lock.alone(digest):
            if digest in self._trees.doubtful and not await asyncio.to_thread(self._trees.compare_contents, digest):
                _log.warning("the unpacked package %s is not what it was when it was made: it is made again", digest)
                await asyncio.to_thread(self._trees.remove, digest, in_use=digest in self._held)

    async def _sure_tree(self, sha256: str) -> Path:
        """As `tree`, of one whose contents are to become another's."""
        await self._compare(sha256)
        return await self.tree(sha256)

    async def _evict(self, digest: str) -> bool:
        del self._free[digest]
        async with self._lock.alone(digest):
            if digest in self._held:
                return False
            try:
                if digest in self._trees and await asyncio.to_thread(self._can_be_made_again, digest):
                    await asyncio.to_thread(self._trees.remove, digest)
                    return True
                return self._images is not None and await self._images.evict(digest)
            except OSError:
                if digest not in self._held:
                    self._free[digest] = None
                raise

    def _can_be_made_again(self, digest: str) -> bool:
        """Merged trees can: they are referred to together with the packages they are made of."""
        return self._trees.path(digest, merged=True).is_dir() or self._blobs.path(digest).is_file()

    async def _note_uses(self) -> None:
        uses, self._uses = self._uses, {}
        await asyncio.to_thread(self._trees.note_uses, uses)
        if self._images is not None:
            await self._images.note_uses(uses)

    def _grown(self, digest: str) -> None:
        """There is one tree more: `suspects` wakes, so that others may go for it."""
        if digest not in self._held:
            self._free[digest] = None
        self._suspicion.set()

    # On disk; in threads...

    def _measured(self, package: Package) -> Code:
        """What is sent with a call has a limit of its own; what is fetched is limited by what comes out of it."""
        if not isinstance(package, bytes):
            with package.open("rb") as file:
                return Code(hashlib.file_digest(file, "sha256").hexdigest(), package.stat().st_size)
        if len(package) > self._limits.code_zipped_bytes:
            raise RequestEntityTooLarge(f"Zipped size must be smaller than {self._limits.code_zipped_bytes} bytes")
        return Code(hashlib.sha256(package).hexdigest(), len(package))

    def _unpack(self, sha256: str, package: Package) -> None:
        self._trees.make(sha256, lambda fresh: unzip(package, fresh, self._limits.code_unzipped_bytes))

    def _try_to_unpack(self, package: Package) -> None:
        with making.making(self._directory) as fresh:
            unzip(package, fresh, self._limits.code_unzipped_bytes)


def _size(tree: Path) -> int:
    return sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
