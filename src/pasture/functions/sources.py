"""Where the package of a function or layer comes from: the call itself, S3, or a registry of container images."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from pasture.domain.function import FunctionVersion
from pasture.domain.scope import Scope
from pasture.functions import images
from pasture.functions.package import Package, Packages
from pasture.functions.s3 import S3Object
from pasture.images.images import FoundImage, Images

AT_ONCE = 4


class Fetches(Protocol):
    async def fetch(self, wanted: S3Object, scope: Scope, into: Path) -> None:
        """Write an object of S3 into this empty file. Raises ApiError; OSError when the file cannot be written."""
        ...


class Sources:
    """At most `AT_ONCE` packages are on their way from S3: each may fill as much disk as a package can."""

    def __init__(
        self,
        packages: Packages,
        s3: Fetches,
        images: Images | None = None,
        no_images: str = "Container images cannot be run by this server.",
    ) -> None:
        self._images = images
        self.no_images = no_images if images is None else ""
        """Why there can be no container images; empty where they can be."""
        self._packages = packages
        self._s3 = s3
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def code(
        self, code: Mapping[str, Any], scope: Scope, architecture: str
    ) -> AsyncIterator[Package | FoundImage]:
        """As `package`; and of an image, what it is: it comes later."""
        if "ImageUri" in code and self._images is not None:
            yield await images.resolve(self._images, code["ImageUri"], architecture)
            return
        async with self.package(code, scope) as package:
            yield package

    def progress(self, version: FunctionVersion) -> str:
        """How far the pull of its image is; empty when none runs."""
        return self._images.progress(version.code.sha256) if self._images is not None and version.is_image else ""

    @asynccontextmanager
    async def package(self, code: Mapping[str, Any], scope: Scope) -> AsyncIterator[Package]:
        """What `code` (FunctionCode or LayerVersionContentInput, checked) means; a file is there inside only."""
        if (zip_bytes := code.get("ZipFile")) is not None:
            yield zip_bytes
            return
        wanted = S3Object(code["S3Bucket"], code["S3Key"], code.get("S3ObjectVersion"))
        async with self._turns, self._packages.receiving() as path:
            await self._s3.fetch(wanted, scope, path)
            yield path
