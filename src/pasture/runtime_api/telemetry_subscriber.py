"""One subscriber of telemetry: its buffer, and the task that delivers from it.

The task sends one batch at a time and tries again, with growing pauses, when it is not taken; meanwhile the
buffer fills, and drops and counts what is too much. Adding an event never waits. Batches are delivered at
least once: one that was taken and not answered comes again.
"""

import asyncio
from dataclasses import dataclass

from pasture.kit.clock import Clock
from pasture.runtime_api.telemetry_buffer import Batch, TelemetryBuffer
from pasture.runtime_api.telemetry_delivery import Delivery, DeliveryFailed


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Seconds, and how often a batch is tried before it counts as dropped."""

    answer_seconds: float = 3.0
    first_pause: float = 0.05
    longest_pause: float = 5.0
    attempts: int = 12

    def pause(self, attempt: int) -> float:
        """After so many attempts."""
        return min(self.first_pause * 2.0 ** (attempt - 1), self.longest_pause)


class Subscriber:
    def __init__(
        self,
        name: str,
        buffer: TelemetryBuffer,
        delivery: Delivery,
        clock: Clock,
        settings: DeliverySettings,
    ) -> None:
        self.name = name
        self._buffer = buffer
        self._delivery = delivery
        self._clock = clock
        self._settings = settings
        self._delivered = 0
        """The number of the last event that is done with."""
        self._failures = 0
        """Attempts that failed one after the other."""
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self._stirred = asyncio.Event()
        """Something has come that a sleeping task should look at."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pauses = 0

    def __repr__(self) -> str:
        state = f"failing {self._failures} times" if self._failures else "well"
        return f"<Subscriber {self.name} {state} {self._buffer!r}>"

    @property
    def is_failing(self) -> bool:
        return self._failures > 0

    def add(self, event: bytes) -> None:
        was_empty = len(self._buffer) == 0
        now = self._clock.monotonic()
        self._buffer.add(event, now)
        if was_empty or self._buffer.is_due(now):
            self._stirred.set()

    def pause(self) -> None:
        """The sandbox is frozen: nothing that fails now is the subscriber's fault."""
        self._flowing.clear()
        self._pauses += 1

    def resume(self) -> None:
        self._flowing.set()

    def flush(self) -> "asyncio.Future[None] | None":
        """Deliver what there is without further ado; done when it is. None when there is nothing."""
        if self._delivered >= self._buffer.last:
            return None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append((self._buffer.last, done))
        self._stirred.set()
        return done

    async def run(self) -> None:
        try:
            while True:
                batch = await self._next_batch()
                await self._deliver(batch)
                self._delivered = batch.last
                self._settle_flushes()
        finally:
            self._delivery.close()

    async def _next_batch(self) -> Batch:
        while True:
            await self._flowing.wait()
            self._stirred.clear()
            self._settle_flushes()
            now = self._clock.monotonic()
            batch = self._buffer.take(now, force=bool(self._flushes))
            if batch is not None:
                return batch
            due = self._buffer.due_at()
            await self._sleep(None if due is None else max(due - now, 0.0))

    async def _deliver(self, batch: Batch) -> None:
        attempt = 0
        while True:
            await self._flowing.wait()
            pauses = self._pauses
            if await self._attempt(batch):
                self._failures = 0
                return
            if self._pauses != pauses:
                continue
            attempt += 1
            self._failures += 1
            if attempt >= self._settings.attempts:
                self._buffer.count_dropped(len(batch.events), batch.size)
                return
            self._stirred.clear()
            await self._sleep_unless_flushed(self._settings.pause(attempt))

    async def _attempt(self, batch: Batch) -> bool:
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                await self._delivery.send(batch.events)
        except (DeliveryFailed, TimeoutError):
            self._delivery.close()
            return False
        return True

    async def _sleep_unless_flushed(self, seconds: float) -> None:
        """New events end no pause: a subscriber in trouble is not helped by haste. A flush does."""
        flushes = len(self._flushes)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until and len(self._flushes) <= flushes:
            await self._sleep(until - loop.time())
            self._stirred.clear()

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return

    def _settle_flushes(self) -> None:
        """Those that have what they wait for, or wait no more, are over."""
        still = []
        for last, done in self._flushes:
            if done.done():
                continue
            if self._delivered >= last:
                done.set_result(None)
            else:
                still.append((last, done))
        self._flushes = still
