"""Brings every event source mapping that is on its way to Enabled or Disabled, or out of the catalog.

Level-triggered: a notice only says where to look; what is done follows from what the catalog holds. A marker document
lets a start find what a crash has left unfinished.
"""

import asyncio
from collections.abc import Awaitable, Callable

from pasture.domain.event_source import EventSourceMapping
from pasture.functions.event_source_mappings import EventSourceMappings
from pasture.functions.event_source_records import MappingKey
from pasture.kit.settling import Settling


class MappingSettling:
    """`followed` is awaited before a mapping comes to rest: it answers when reading is as the mapping says.

    Errors from it are tried again, like those of the disk.
    """

    def __init__(
        self,
        mappings: EventSourceMappings,
        *,
        followed: Callable[[EventSourceMapping], Awaitable[None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._mappings = mappings
        self._followed = followed
        self._settling = Settling("settle mapping", self._bring_to_rest, sleep=sleep)
        self._stop_listening: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<MappingSettling {self._settling!r}>"

    async def open(self) -> None:
        """From here on every change is looked at; first, what an earlier session left unfinished."""
        self._stop_listening = self._mappings.on_change(self._on_change)
        await self._settling.look_at_marked(self._mappings.unsettled)

    async def idle(self) -> None:
        """Wait until everything that was on its way is at rest."""
        await self._settling.idle()

    async def close(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        await self._settling.close()

    def _on_change(self, key: MappingKey, mapping: EventSourceMapping | None) -> None:
        if mapping is not None and mapping.is_settling:
            self._settling.look(key)

    async def _bring_to_rest(self, key: MappingKey) -> None:
        mapping = await self._mappings.find(key)
        if mapping is not None and mapping.is_settling:
            if self._followed is not None:
                await self._followed(mapping)
            await self._mappings.settle(key, mapping.generation)
        await self._mappings.unmark(key)
