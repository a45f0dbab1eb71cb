"""Removes packages that nothing needs: those of deleted functions and replaced code, once no environment uses them.

At the start everything stored is looked at, for what a crash has left; after that, only what somebody has stopped
needing. Then unpacked trees are evicted until the others fit the cache. Collecting late does no harm, so a fault is
only told and tried again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pasture.functions.catalog import Catalog
from pasture.functions.package import Packages
from pasture.kit.errors import OperatorError
from pasture.kit.tasks import Tasks

_log = logging.getLogger(__name__)

PAUSE_AFTER_A_FAULT = 30.0


class Collection:
    def __init__(
        self, catalog: Catalog, packages: Packages, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._catalog = catalog
        self._packages = packages
        self._sleep = sleep
        self._tasks = Tasks("collection of packages")

    def open(self) -> None:
        self._tasks.start(self._run(), "sweep")
        self._tasks.start(self._managed(self._packages.doubt(self._sleep)), "doubt")

    async def close(self) -> None:
        await self._tasks.close()

    async def sweep(self) -> int:
        """Look at everything that is stored. Answers how many packages were removed."""
        await self._catalog.drop_stale_references()
        removed = [await self._collect(sha256) for sha256 in sorted(await self._packages.stored())]
        return sum(removed)

    async def _run(self) -> None:
        while not await self._managed(self.sweep()):
            await self._sleep(PAUSE_AFTER_A_FAULT)
        while True:
            await self._managed(self._packages.fit())
            for sha256 in sorted(await self._packages.suspects()):
                if not await self._managed(self._collect(sha256)):
                    self._packages.suspect(sha256)
                    await self._sleep(PAUSE_AFTER_A_FAULT)

    async def _collect(self, sha256: str) -> bool:
        return await self._packages.remove_unless_needed(sha256, self._catalog.is_referenced)

    async def _managed(self, work: Awaitable[object]) -> bool:
        try:
            await work
        except (OSError, OperatorError) as error:
            _log.warning("cannot collect packages, next try in %.0f s: %s", PAUSE_AFTER_A_FAULT, error)
            return False
        return True
