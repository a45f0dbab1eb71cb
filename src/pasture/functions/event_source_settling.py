"""Brings every event source mapping that is on its way to Enabled or Disabled, or out of the catalog.

Level-triggered: a notice only says where to look; what is done follows from what the catalog holds. A marker document
lets a start find what a crash has left unfinished.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pasture.domain.event_source import EventSourceMapping
from pasture.functions.event_source_mappings import EventSourceMappings
from pasture.functions.event_source_records import MappingKey
from pasture.kit.errors import OperatorError
from pasture.kit.tasks import Tasks

_log = logging.getLogger(__name__)

FIRST_DELAY = 0.25
LONGEST_DELAY = 30.0


class MappingSettling:
    """`followed` is awaited before a mapping comes to rest: it answers when reading is as the mapping says.

    OSError and OperatorError from it are tried again, like those of the disk.
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
        self._sleep = sleep
        self._tasks = Tasks("settling of event source mappings")
        self._working: dict[MappingKey, bool] = {}
        self._stop_listening: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<MappingSettling of {', '.join(str(key) for key in self._working) or 'nothing'}>"

    async def open(self) -> None:
        """From here on every change is looked at; first, what an earlier session left unfinished."""
        self._stop_listening = self._mappings.on_change(self._on_change)
        after = ""
        while keys := await self._mappings.unsettled(after=after):
            after = str(keys[-1])
            for key in keys:
                self._look_at(key)

    async def idle(self) -> None:
        """Wait until everything that was on its way is at rest."""
        await self._tasks.finish()

    async def close(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        await self._tasks.close()

    def _on_change(self, key: MappingKey, mapping: EventSourceMapping | None) -> None:
        if mapping is not None and mapping.is_settling:
            self._look_at(key)

    def _look_at(self, key: MappingKey) -> None:
        """One task a mapping; what happens while it works makes it look again."""
        if key in self._working:
            self._working[key] = True
            return
        self._working[key] = False
        self._tasks.start(self._work(key), str(key))

    async def _work(self, key: MappingKey) -> None:
        delay = FIRST_DELAY
        try:
            again = True
            while again:
                self._working[key] = False
                try:
                    await self._bring_to_rest(key)
                    delay = FIRST_DELAY
                    again = self._working[key]
                except (OSError, OperatorError) as error:
                    _log.warning("cannot settle mapping %s yet, next try in %.2g s: %s", key, delay, error)
                    await self._sleep(delay)
                    delay = min(delay * 2, LONGEST_DELAY)
        finally:
            del self._working[key]

    async def _bring_to_rest(self, key: MappingKey) -> None:
        mapping = await self._mappings.find(key)
        if mapping is not None and mapping.is_settling:
            if self._followed is not None:
                await self._followed(mapping)
            await self._mappings.settle(key, mapping.generation)
        await self._mappings.unmark(key)
