"""Delivers what is undelivered to whom it is subscribed, as functions are told (aws-lambda reference 8)."""

import asyncio
import base64
import gzip
import json
import logging
from collections.abc import Awaitable, Callable

from pasture.kit.tasks import Tasks
from pasture.logs import names
from pasture.logs.patterns import compile_pattern
from pasture.logs.records import StoredEvent
from pasture.logs.store import LogStore
from pasture.logs.subscriptions import Undelivered
from pasture.store.errors import StoreFailed

_log = logging.getLogger(__name__)

# Before the next try, after the disk has failed.
_PAUSE = 1.0

Hands = Callable[[Undelivered, bytes], Awaitable[None]]
"""Hands over a payload. It returns when the event is durable, or nobody will have it; raises StoreFailed."""


class Delivering:
    """One task, from `open` until `close`; it sleeps while nothing is undelivered."""

    def __init__(self, store: LogStore, hands: Hands) -> None:
        self._store = store
        self._hands = hands
        self._wanted = asyncio.Event()
        self._tasks = Tasks("log subscriptions")

    def open(self) -> None:
        """With what an earlier server has left undelivered."""
        self._store.on_subscribed = self._wanted.set
        self._wanted.set()
        self._tasks.start(self._run(), "delivering")

    async def close(self) -> None:
        """What is undelivered stays noted."""
        await self._tasks.close()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._deliver_all()
            except StoreFailed as error:
                _log.error("log events cannot be delivered now, and will be tried again: %s", error)
                self._wanted.set()
                await asyncio.sleep(_PAUSE)

    async def _deliver_all(self) -> None:
        """Subscriptions take turns: none waits for all that another has."""
        turn = 0
        while batch := await self._store.undelivered(turn) or await self._store.undelivered(0):
            turn = batch.id
            payload = await asyncio.to_thread(_payload, batch)
            if payload:
                await self._hands(batch, payload)
            await self._store.delivered(batch)


def _payload(batch: Undelivered) -> bytes:
    """Nothing when the pattern finds no event in it."""
    matches = compile_pattern(batch.subscription.pattern)
    found = [event for event in batch.events if matches is None or matches(event.message)]
    if not found:
        return b""
    message = {
        "messageType": "DATA_MESSAGE",
        "owner": batch.scope.account,
        "logGroup": batch.group,
        "logStream": found[0].stream,
        "subscriptionFilters": [batch.subscription.name],
        "logEvents": [_shown(event) for event in found],
    }
    packed = gzip.compress(json.dumps(message, ensure_ascii=False).encode())
    return json.dumps({"awslogs": {"data": base64.b64encode(packed).decode()}}).encode()


def _shown(event: StoredEvent) -> dict[str, object]:
    position = event.position
    return {"id": names.event_id(position), "timestamp": position.timestamp, "message": event.message}
