"""Where the package of a function or layer comes from: the call itself, or S3."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pasture.functions.package import Package, Packages
from pasture.functions.s3 import S3, S3Object

AT_ONCE = 4


class Sources:
    """At most `AT_ONCE` packages are on their way from S3: each may fill as much disk as a package can."""

    def __init__(self, packages: Packages, s3: S3) -> None:
        self._packages = packages
        self._s3 = s3
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def package(self, code: Mapping[str, Any], region: str) -> AsyncIterator[Package]:
        """What `code` (FunctionCode or LayerVersionContentInput, checked) means; a file is there inside only."""
        if (zip_bytes := code.get("ZipFile")) is not None:
            yield zip_bytes
            return
        wanted = S3Object(code["S3Bucket"], code["S3Key"], code.get("S3ObjectVersion"))
        async with self._turns, self._packages.receiving() as path:
            await self._s3.fetch(wanted, region, path)
            yield path
