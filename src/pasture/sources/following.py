"""Keeps one poller for every mapping that is enabled: begun, exchanged and ended as the mappings say.

`follow` compares what reads with what should, and may be called as often as anybody likes.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from pasture.domain.event_source import EventSourceMapping, MappingState, SourceKind
from pasture.kit.keyed_lock import KeyedLock
from pasture.sources.kinds import maker
from pasture.sources.source import Make, Poller, Tools

_log = logging.getLogger(__name__)

# Batches that run when a mapping is changed or deleted may go on for so long; then they are somebody else's to read.
_END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Reading:
    generation: str
    poller: Poller


class Following:
    """Mutable state: the pollers, by the ARNs of their mappings."""

    def __init__(
        self, tools: Callable[[EventSourceMapping], Tools], make: Callable[[SourceKind], Make] = maker
    ) -> None:
        self._tools = tools
        self._make = make
        self._readings: dict[str, _Reading] = {}
        self._one_at_a_time = KeyedLock()
        self._closing = False

    def __repr__(self) -> str:
        return f"<Following {len(self._readings)} mappings>"

    def __len__(self) -> int:
        return len(self._readings)

    async def follow(self, mapping: EventSourceMapping) -> None:
        """Answers when reading is as the mapping says."""
        async with self._one_at_a_time.alone(mapping.arn):
            reading = self._readings.get(mapping.arn)
            wanted = mapping.enabled and mapping.state is not MappingState.DELETING and not self._closing
            if reading is not None and (not wanted or reading.generation != mapping.generation):
                await reading.poller.close(_END_SECONDS)
                del self._readings[mapping.arn]
                reading = None
            if wanted and reading is None:
                await self._begin(mapping)
            if mapping.state is MappingState.DELETING:
                await self._forget(mapping)

    async def close(self, seconds: float) -> None:
        """Nothing new is read; batches that run may end within so long."""
        self._closing = True
        readings, self._readings = list(self._readings.values()), {}
        await asyncio.gather(*(reading.poller.close(seconds) for reading in readings), return_exceptions=True)

    async def _begin(self, mapping: EventSourceMapping) -> None:
        tools = self._tools(mapping)
        try:
            poller = self._make(mapping.kind)(mapping, tools)
        except ImportError as error:
            tools.told(f"PROBLEM: This source cannot be read: {error}")
            _log.warning("mapping %s is not read: %s", mapping.uuid, error)
            return
        await poller.open()
        self._readings[mapping.arn] = _Reading(mapping.generation, poller)

    async def _forget(self, mapping: EventSourceMapping) -> None:
        checkpoints = self._tools(mapping).checkpoints
        for part in await checkpoints.load():
            await checkpoints.drop(part)
