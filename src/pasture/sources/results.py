"""What mappings are told to say as `LastProcessingResult`: written when it changes, and not more often than now and
then.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.scope import Scope
from pasture.kit.settling import Settling

Edit = Callable[[EventSourceMapping], EventSourceMapping]
Write = Callable[[Scope, str, Edit], Awaitable[None]]
"""Changes a mapping that is there, by its UUID; nothing when it is gone."""

_PAUSE_SECONDS = 2.0
_WORDS_MAX = 500


class Results:
    """Mutable state: what was told last of each mapping, and what of it is written."""

    def __init__(self, write: Write, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._write = write
        self._sleep = sleep
        self._told: dict[tuple[Scope, str], str] = {}
        self._written: dict[tuple[Scope, str], str] = {}
        self._settling = Settling("write the result of mapping", self._bring_up_to_date)

    def told(self, scope: Scope, uuid: str, words: str) -> None:
        key = (scope, uuid)
        self._told[key] = words[:_WORDS_MAX]
        if self._written.get(key) != words:
            self._settling.look(key)

    def forget(self, scope: Scope, uuid: str) -> None:
        self._told.pop((scope, uuid), None)
        self._written.pop((scope, uuid), None)

    async def close(self) -> None:
        await self._settling.close()

    async def _bring_up_to_date(self, key: tuple[Scope, str]) -> None:
        words = self._told.get(key)
        if words is None or self._written.get(key) == words:
            return
        await self._write(*key, lambda mapping: dataclasses.replace(mapping, last_result=words))
        self._written[key] = words
        await self._sleep(_PAUSE_SECONDS)
        if self._told.get(key, words) != words:
            self._settling.look(key)
