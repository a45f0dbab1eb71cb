"""What every place that images come from promises, and how what it gives is checked."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from pasture.images.errors import ImageInvalid
from pasture.images.manifest import Blob
from pasture.images.reference import Reference

CHUNK = 1 << 20
Write = Callable[[bytes], Awaitable[None]]


class Source(Protocol):
    """Raises ImageError. What comes is not checked here, nor bounded beyond what is asked for."""

    async def manifest(self, reference: Reference) -> tuple[bytes, str]:
        """What the reference wants, and its media type as far as it is told."""
        ...

    async def fetch(self, reference: Reference, blob: Blob, write: Write) -> None:
        """A blob of the image, piece by piece. What `write` raises ends it."""
        ...


async def into_file(
    source: Source, reference: Reference, blob: Blob, path: Path, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Raises ImageInvalid when it is not what its digest says; OSError when it cannot be written."""
    digest = hashlib.sha256()
    size = 0
    with await asyncio.to_thread(path.open, "wb") as file:

        def keep(piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        async def write(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            _check_size(size, blob)
            await asyncio.to_thread(keep, piece)
            progress(len(piece))

        await source.fetch(reference, blob, write)
    _check(digest.hexdigest(), size, blob)


async def into_memory(source: Source, reference: Reference, blob: Blob, most: int) -> bytes:
    """As `into_file`, for what is small."""
    if blob.size > most:
        raise ImageInvalid(f"{blob.digest} has {blob.size} bytes; {most} are the most that it may have")
    pieces = bytearray()

    async def write(piece: bytes) -> None:
        pieces.extend(piece)
        _check_size(len(pieces), blob)

    await source.fetch(reference, blob, write)
    _check(hashlib.sha256(pieces).hexdigest(), len(pieces), blob)
    return bytes(pieces)


def _check_size(size: int, blob: Blob) -> None:
    if size > blob.size:
        raise ImageInvalid(f"{blob.digest} is larger than the {blob.size} bytes that its manifest gives it")


def _check(digest: str, size: int, blob: Blob) -> None:
    if digest != blob.hex or size != blob.size:
        raise ImageInvalid(f"what is given as {blob.digest} is something else, of {size} bytes")
