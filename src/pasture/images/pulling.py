"""One image on its way here: its configuration, then every layer that is not here yet, a few at a time."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from pasture.images import manifest as manifests
from pasture.images import source as sources
from pasture.images.errors import ImageInvalid, ImageUnreachable
from pasture.images.manifest import ImageSettings, LayerBlob, Manifest
from pasture.images.reference import Reference
from pasture.images.source import Source
from pasture.images.store import ImageStore
from pasture.images.unpacking import Allowance
from pasture.kit import making

LAYERS_AT_ONCE = 3
_CONFIG_BYTES = 4 << 20


class BadLayer(ImageInvalid):
    """A layer cannot be used: `digest` says which."""

    def __init__(self, digest: str, why: str) -> None:
        super().__init__(why)
        self.digest = digest


@dataclass(slots=True)
class Progress:
    """Of what has to be fetched, and what has come."""

    layers: int = 0
    layers_done: int = 0
    bytes_all: int = 0
    bytes_done: int = 0

    def __str__(self) -> str:
        come, whole = _megabytes(self.bytes_done), _megabytes(self.bytes_all)
        return f"{self.layers_done} of {self.layers} layers, {come} of {whole} MB"


async def read_settings(source: Source, reference: Reference, manifest: Manifest) -> ImageSettings:
    content = await sources.into_memory(source, reference, manifest.config, _CONFIG_BYTES)
    return manifests.settings(content, manifest)


async def pull_layers(
    source: Source,
    reference: Reference,
    manifest: Manifest,
    settings: ImageSettings,
    store: ImageStore,
    bytes_max: int,
    alone: Callable[[str], AbstractAsyncContextManager[None]],
    progress: Progress,
) -> None:
    """Every layer of the image into the store. What has come stays when another cannot be had.

    `alone`: whoever makes one layer is alone with it. Raises ImageError, BadLayer among them, or OSError.
    """
    allowance = Allowance(bytes_max)
    turns = asyncio.Semaphore(LAYERS_AT_ONCE)
    wanted = dict(zip(settings.diff_ids, manifest.layers, strict=True))
    progress.layers, progress.bytes_all = len(wanted), sum(layer.blob.size for layer in wanted.values())
    progress.layers_done = progress.bytes_done = 0

    async def pull(diff_id: str, layer: LayerBlob, scratch: Path) -> None:
        async with turns, alone(diff_id):
            if (size := await asyncio.to_thread(store.layer_bytes, diff_id)) is not None:
                allowance.take(size)
                progress.bytes_done += layer.blob.size
            else:
                path = scratch / layer.blob.hex
                await _pull(source, reference, layer, diff_id, store, allowance, progress, path)
            progress.layers_done += 1

    try:
        with making.making(store.directory) as scratch:
            pulls = (pull(diff_id, layer, scratch) for diff_id, layer in wanted.items())
            # Layers that come are not given up because another does not.
            failures = [error for error in await asyncio.gather(*pulls, return_exceptions=True) if error is not None]
    finally:
        # A thread that still unpacks, for nobody any more, ends.
        allowance.close()
    if failures:
        raise next((error for error in failures if not isinstance(error, ImageUnreachable)), failures[0])


async def _pull(
    source: Source,
    reference: Reference,
    layer: LayerBlob,
    diff_id: str,
    store: ImageStore,
    allowance: Allowance,
    progress: Progress,
    path: Path,
) -> None:
    def came(size: int) -> None:
        progress.bytes_done += size

    try:
        await sources.into_file(source, reference, layer.blob, path, came)
        await asyncio.to_thread(store.add_layer, path, layer, diff_id, allowance)
        await asyncio.to_thread(store.blobs.keep_layer, path, diff_id, layer.compression)
    except ImageInvalid as error:
        raise BadLayer(layer.blob.digest, str(error)) from error
    finally:
        await asyncio.to_thread(Path.unlink, path, missing_ok=True)


def _megabytes(size: int) -> int:
    return -(-size // 1_000_000)
