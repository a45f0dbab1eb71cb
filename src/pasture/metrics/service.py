"""Recorder and store together: what is counted is stored once a minute, when somebody reads, and at the end.

What was counted in a minute that is not over is in memory only: that much is lost when the server is killed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.metrics.names import Place
from pasture.metrics.recorder import Batch, Recorder
from pasture.metrics.sample import Sample
from pasture.metrics.series import MINUTE, Points, expand, merge
from pasture.metrics.store import MetricStore, Reader
from pasture.metrics.totals import Totals
from pasture.store.errors import StoreFailed

_log = logging.getLogger(__name__)

T = TypeVar("T")

# AWS keeps points of a minute so long.
RETENTION_SECONDS = 15 * 86_400
_SWEEP_SECONDS = 3_600.0
# Between two steps of a sweep.
_STEP_SECONDS = 0.02
# Points that wait for a store that fails; what comes beyond is lost.
_WAITING = 100_000


class Metrics:
    """Made on the event loop; `open` starts what happens by itself, `close` stores the rest and closes the store."""

    def __init__(self, store: MetricStore, clock: Clock) -> None:
        self.recorder = Recorder(clock)
        self._store = store
        self._clock = clock
        self._totals = Totals()
        self._waiting: Points = {}
        self._storing = asyncio.Lock()
        self._tasks = Tasks("metrics")

    def __repr__(self) -> str:
        return f"Metrics({self._store}, {self.recorder})"

    async def open(self) -> None:
        self._tasks.start(self._keep_flushing(), "flush")
        self._tasks.start(self._keep_sweeping(), "sweep")

    async def close(self) -> None:
        await self._tasks.close()
        await self._flush_or_wait()
        await self._store.close()

    async def flush(self) -> None:
        """Everything that was counted so far can be read. Raises StoreFailed; what was counted is not lost by that."""
        # A task of ours: a reader that gives up must not take with it what was counted.
        await asyncio.shield(self._tasks.start(self._flush(), "flush now"))

    async def put(self, points: Points) -> None:
        """Returns when it is stored."""
        await self._store.merge(points)

    async def read(self, work: Callable[[Reader], T]) -> T:
        """`work` runs in a thread, and sees what was counted before the call."""
        await self.flush()
        return await self._store.read(work)

    async def totals(self) -> Mapping[Place, Mapping[str, Sample]]:
        """Since the server's start, by name."""
        await self._flush_or_wait()
        return await asyncio.to_thread(self._totals.snapshot)

    async def sweep(self) -> None:
        """Remove what has outlived its retention, now."""
        while await self._store.sweep_step(self._oldest()):
            pass

    async def _flush(self) -> None:
        async with self._storing:
            batch = self.recorder.take()
            if batch:
                merge(self._waiting, await asyncio.to_thread(self._expanded, batch))
            await self._store.merge(self._waiting)

    def _expanded(self, batch: Batch) -> Points:
        self._totals.absorb(batch)
        return expand(batch)

    async def _flush_or_wait(self) -> None:
        try:
            await self._flush()
        except StoreFailed as error:
            if len(self._waiting) <= _WAITING:
                _log.error("metrics are not stored now, and will be tried again: %s", error)
            else:
                _log.error("metrics are lost: %s", error)
                self._waiting.clear()

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(MINUTE - self._clock.now() % MINUTE)
            await self._flush_or_wait()

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                while await self._store.sweep_step(self._oldest()):  # noqa: ASYNC110 - a pause for others, not a wait
                    await asyncio.sleep(_STEP_SECONDS)
            except StoreFailed as error:
                _log.error("old metrics are not removed now, and will be tried again: %s", error)
            await asyncio.sleep(_SWEEP_SECONDS)

    def _oldest(self) -> int:
        return int(self._clock.now()) - RETENTION_SECONDS
