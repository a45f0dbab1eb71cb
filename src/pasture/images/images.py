"""The images of this server: what a reference means, and the tree of an image, pulled when it is not here.

A reference is resolved to a digest once; from then on the digest is what counts. An image is pulled once however many
functions want it, and layers that images share come once. When a registry does not answer, a pull is tried again for
a while, and goes on with the layers that have not come.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pasture.images import manifest as manifests
from pasture.images import reference as references
from pasture.images.errors import ImageError, ImageInvalid, ImageUnreachable
from pasture.images.layout import Layouts
from pasture.images.manifest import Manifest
from pasture.images.options import ImageOptions
from pasture.images.pulling import Progress, pull_layers, read_settings
from pasture.images.reference import Reference
from pasture.images.registry import Registry
from pasture.images.source import Source
from pasture.images.store import ImageStore, StoredImage
from pasture.images.unpacking import Allowance
from pasture.kit.keyed_lock import KeyedLock

_log = logging.getLogger(__name__)

_RESOLVE_SECONDS = 25.0
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 8.0


@dataclass(frozen=True, slots=True)
class ImageLimits:
    image_bytes: int
    """Of an image, unpacked."""
    manifest_bytes: int


@dataclass(frozen=True, slots=True)
class FoundImage:
    """What a reference was found to mean. `digest` is in hexadecimal."""

    uri: str
    resolved_uri: str
    digest: str


class Images:
    """Mutable state: what `ImageStore` knows, the pulls that run and how far they are, the layers that they need."""

    def __init__(
        self,
        directory: Path,
        options: ImageOptions,
        limits: ImageLimits,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options
        self._limits = limits
        self._sleep = sleep
        self._store = ImageStore(directory)
        self._registry = Registry(options)
        self._layouts = Layouts(options)
        self._lock = KeyedLock()
        self._pulls: dict[str, Progress] = {}
        self._needed: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Images {self._store!r}, pulling {', '.join(self._pulls) or 'nothing'}>"

    async def open(self) -> None:
        await asyncio.to_thread(self._store.open)
        await self._drop_layers(await asyncio.to_thread(self._store.layers))

    async def close(self) -> None:
        await self._registry.close()
        await asyncio.to_thread(self._store.close)

    async def resolve(self, uri: str, architecture: str) -> FoundImage:
        """Raises BadReference, or ImageError when there is no such image, or none that could be run."""
        reference = references.parse(uri)
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                digest, manifest = await self._resolved(reference, architecture)
                found = reference.at(digest)
                await read_settings(self._source(found), found, manifest)
        except TimeoutError:
            raise ImageUnreachable(f"{reference.name} does not answer in time") from None
        if manifest.size > self._limits.image_bytes:
            raise ImageInvalid(f"it has more than {self._limits.image_bytes} bytes")
        return FoundImage(uri, str(found), digest.partition(":")[2])

    async def ensure(self, digest: str, resolved_uri: str, *, patient: bool = False) -> StoredImage:
        """The image, pulled if need be; `patient` tries again when a registry does not answer, as long as the options
        say. Raises ImageError, or OSError of the disk.
        """
        async with self._lock.alone(digest):
            if (stored := await self._there(digest)) is not None:
                return stored
            if (stored := await self._made_again(digest)) is not None:
                return stored
            try:
                self._pulls[digest] = Progress()
                return await self._pull(digest, references.parse(resolved_uri), patient=patient)
            finally:
                del self._pulls[digest]

    def progress(self, digest: str) -> str:
        """How far the pull of this image is; empty when none runs."""
        pull = self._pulls.get(digest)
        return str(pull) if pull is not None and pull.layers else ""

    def stored(self) -> Collection[str]:
        """The digests of all images that are here, or can be made again."""
        return self._store.images()

    async def remove(self, digest: str) -> None:
        """An image that nobody needs; and the layers that no other image has."""
        async with self._lock.alone(digest):
            if self._store.find(digest) is not None or digest in self._store.blobs.images():
                await self._drop_layers(await asyncio.to_thread(self._forget, digest))

    # How much room they take...

    @property
    def unpacked_bytes(self) -> int:
        """Of what is unpacked."""
        return self._store.unpacked_bytes

    def uses(self) -> Mapping[str, float]:
        """When each image that is unpacked was last used. Blocks."""
        return self._store.uses()

    async def note_uses(self, uses: Mapping[str, float]) -> None:
        await asyncio.to_thread(self._store.note_uses, uses)

    async def evict(self, digest: str) -> bool:
        """Take away an image's tree, and the layers that no other tree has, if it can be made again without its
        registry. Whether it was. Nobody may be using it.
        """
        async with self._lock.alone(digest):
            if self._store.find(digest) is None or self._store.blobs.settings(digest) is None:
                return False
            await self._drop_layers(await asyncio.to_thread(self._store.remove_image, digest))
            return True

    # What a reference means...

    async def _resolved(self, reference: Reference, architecture: str) -> tuple[str, Manifest]:
        content, kind = await self._manifest(reference)
        if kind in manifests.INDEXES:
            reference = reference.at(manifests.choose(content, architecture).digest)
            content, kind = await self._manifest(reference)
        if kind not in manifests.MANIFESTS:
            raise ImageInvalid("its index leads to another index")
        if len(content) >= self._limits.manifest_bytes:
            raise ImageInvalid(f"its manifest has {self._limits.manifest_bytes} bytes or more")
        return _digest(content), manifests.parse(content)

    async def _manifest(self, reference: Reference) -> tuple[bytes, str]:
        content, media_type = await self._source(reference).manifest(reference)
        if reference.digest and _digest(content) != reference.digest:
            raise ImageInvalid(f"what is given as {reference.digest} is something else")
        return content, manifests.kind(content, media_type)

    def _source(self, reference: Reference) -> Source:
        return self._layouts if reference.transport else self._registry

    # What is here...

    async def _there(self, digest: str) -> StoredImage | None:
        """The image, if its tree is there and what it was."""
        stored = self._store.find(digest)
        if stored is None:
            return None
        if stored.root.is_dir() and (  # one stat: less than handing it to a thread
            self._store.is_believed(digest) or await asyncio.to_thread(self._store.is_whole, digest)
        ):
            return stored
        _log.warning("the tree of the image %s is not what it was: it is made again", digest)
        for layer in await asyncio.to_thread(self._store.remove_image, digest):
            # The trees of its layers are the same files. Other images have their own links to them.
            async with self._lock.alone(layer):
                if not self._needed[layer]:
                    await asyncio.to_thread(self._store.remove_layer, layer)
        return None

    async def _made_again(self, digest: str) -> StoredImage | None:
        """From what was kept of it. None when nothing was, or not all of it is what it was."""
        kept = self._store.blobs
        settings = kept.settings(digest)
        if settings is None:
            return None
        allowance = Allowance(self._limits.image_bytes)
        async with self._needing(settings.diff_ids):
            try:
                for layer in settings.diff_ids:
                    async with self._lock.alone(layer):
                        if await asyncio.to_thread(self._store.layer_bytes, layer) is None:
                            await asyncio.to_thread(self._store.unpack_kept, layer, allowance)
                return await asyncio.to_thread(self._store.add_image, digest, settings)
            except (ImageInvalid, FileNotFoundError) as error:
                _log.warning("the image %s cannot be made from what was kept of it: %s", digest, error)
                return None
            finally:
                allowance.close()

    def _forget(self, digest: str) -> Iterable[str]:
        """Its layers. In a thread."""
        return {*self._store.remove_image(digest), *self._store.blobs.drop_image(digest)}

    # From there to here...

    async def _pull(self, digest: str, reference: Reference, *, patient: bool) -> StoredImage:
        delay = _FIRST_DELAY
        until = asyncio.get_running_loop().time() + (self._options.retry_seconds if patient else 0.0)
        tried: set[str] = set()
        try:
            while True:
                try:
                    return await self._try_to_pull(digest, reference, tried)
                except ImageUnreachable as error:
                    if asyncio.get_running_loop().time() >= until:
                        raise
                    _log.warning("cannot pull %s yet, next try in %.2g s: %s", reference, delay, error)
                await self._sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
        except (ImageError, asyncio.CancelledError):
            # Given up, by us or by who wanted it: nothing of it stays that nobody else needs.
            await asyncio.to_thread(self._store.blobs.drop_image, digest)
            await self._drop_layers(tried)
            raise

    async def _try_to_pull(self, digest: str, reference: Reference, tried: set[str]) -> StoredImage:
        source = self._source(reference)
        content, kind = await self._manifest(reference)
        if kind not in manifests.MANIFESTS:
            raise ImageInvalid("it is an index")
        manifest = manifests.parse(content)
        settings = await read_settings(source, reference, manifest)
        tried.update(settings.diff_ids)
        async with self._needing(settings.diff_ids):
            await pull_layers(
                source,
                reference,
                manifest,
                settings,
                self._store,
                self._limits.image_bytes,
                self._lock.alone,
                self._pulls[digest],
            )
            # Before the tree: what is there can be made again, whatever happens in between.
            await asyncio.to_thread(self._store.blobs.keep_image, digest, settings)
            return await asyncio.to_thread(self._store.add_image, digest, settings)

    @asynccontextmanager
    async def _needing(self, layers: Iterable[str]) -> AsyncIterator[None]:
        """These stay meanwhile, though no image that is here has them."""
        needed = set(layers)
        self._needed.update(needed)
        try:
            yield
        finally:
            self._needed.subtract(needed)
            self._needed += Counter()

    async def _drop_layers(self, layers: Iterable[str]) -> None:
        """Those that no image has and no pull needs: trees and blobs, each for itself."""
        for layer in layers:
            async with self._lock.alone(layer):
                if self._needed[layer]:
                    continue
                if not self._store.is_used(layer):
                    await asyncio.to_thread(self._store.remove_layer, layer)
                if not self._store.blobs.is_used(layer):
                    await asyncio.to_thread(self._store.blobs.drop_layer, layer)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
