"""Composes the packages of functions: their blobs, and what is unpacked of them and of images within one limit."""

from contextlib import AsyncExitStack
from pathlib import Path

from pasture.app.images import ImageFunctions
from pasture.domain.limits import MIB
from pasture.functions.package import Packages
from pasture.settings import Settings
from pasture.store.blobs import Blobs


async def open_packages(
    stack: AsyncExitStack, data: Path, settings: Settings, blobs: Blobs, images: ImageFunctions
) -> Packages:
    packages = Packages(
        data / "packages", blobs, settings.limits, images.images, cache_bytes=settings.package_cache_mb * MIB
    )
    await packages.open()
    stack.push_async_callback(packages.close)
    return packages
