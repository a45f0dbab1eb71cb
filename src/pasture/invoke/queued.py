"""The asynchronous way: kept first, answered, and run when its turn has come.

`accept` returns when the event is durable. Events then run by the decisions of `lanes` and `retry`; what is running
when the server dies runs again after its start. Nothing is looked at while nothing is due: one timer waits for what is
next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from pasture.domain.events import Event
from pasture.domain.function_settings import Claims
from pasture.domain.scope import Scope
from pasture.invoke.attempts import Attempts, Gone, Later, Observe, Over, Verdict, place
from pasture.invoke.lanes import Begin, Claim, Key, Lanes
from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.store.errors import StoreFailed
from pasture.store.events import EventQueue, Whose

_log = logging.getLogger(__name__)

# So many begin in one go: whoever calls and waits for an answer has the event loop in between.
_IN_ONE_GO = 16
_STORE_PAUSES = (0.1, 5.0)
# After a fault of ours.
_FAULT_PAUSE = 60.0


class Handle(Protocol):
    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Handle]
Room = Callable[[Scope, str, Claims | None, int], bool]
"""Whether one more of the function's invocations could run now, where so many of its events run already.

Claims are what was set apart for it when one of them began last; None when none has.
"""


class QueuedInvoker:
    """Mutable state: what is in flight (`lanes`), and which events run."""

    def __init__(
        self,
        queue: EventQueue,
        lanes: Lanes,
        attempts: Attempts,
        room: Room,
        claimed: Callable[[Scope, str], Awaitable[Claims]],
        observe: Observe,
        clock: Clock,
        *,
        call_later: CallLater | None = None,
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._attempts = attempts
        self._room = room
        self._claimed = claimed
        self._observe = observe
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._call_later: CallLater = call_later or self._loop.call_later
        self._claims: dict[Key, Claims] = {}
        """What was set apart for functions when one of their events began last."""
        self._running: dict[Key, set[str]] = {}
        self._tasks = Tasks("events")
        self._timer: tuple[float, Handle] | None = None
        self._is_pumping = False
        self._stopping = False
        self._stop_listening: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"<QueuedInvoker {self._lanes!r}>"

    def open(self) -> None:
        self._stop_listening = self._queue.on_queued(self._queued)
        for whose, due in self._queue.backlog().items():
            self._lanes.queued((whose.scope, whose.name), due)
        self._pump()

    def stop(self) -> None:
        """Begin nothing more. Idempotent."""
        self._stopping = True
        self._stop_listening()
        if self._timer is not None:
            self._timer[1].cancel()

    async def close(self, seconds: float = 1.0) -> None:
        """What has run gets so long to be written down; what is not is run again by the next server."""
        self.stop()
        await self._tasks.settle(seconds)
        await self._tasks.close()

    async def accept(self, event: Event) -> None:
        """Returns when it is durable. Raises StoreFailed, and then it is not kept."""
        await self._queue.put(event)
        self._observe("AsyncEventsReceived", place(event), 1)

    def running(self, scope: Scope, name: str) -> frozenset[str]:
        """The ids of the events of a function that run at this moment."""
        return frozenset(self._running.get((scope, name), ()))

    # The drain...

    def _queued(self, whose: Whose, due: float) -> None:
        self._lanes.queued((whose.scope, whose.name), due)
        self._pump()

    def _pump(self) -> None:
        """Whatever may be done now is begun. What is begun may come to its end within this, and pump again."""
        if self._is_pumping or self._stopping:
            return
        self._is_pumping = True
        begun = 0
        try:
            for step in self._lanes.plan(self._clock.now(), self._has_room):
                if isinstance(step, Claim):
                    self._tasks.start(self._claim(step), f"claiming for {step.key[1]}")
                    continue
                self._begin(step)
                begun += 1
                if begun == _IN_ONE_GO:
                    self._loop.call_soon(self._pump)
                    break
        finally:
            self._is_pumping = False
        self._set_timer()

    def _begin(self, step: Begin) -> None:
        self._running.setdefault(step.key, set()).add(step.event.id)
        self._tasks.begin(self._run(step.key, step.event), f"event {step.event.id}", self._loop)

    def _has_room(self, key: Key, running: int) -> bool:
        return self._room(*key, self._claims.get(key), running)

    def _set_timer(self) -> None:
        due = self._lanes.wake_at()
        if self._timer is not None:
            if self._timer[0] == due:
                return
            self._timer[1].cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, due - self._clock.now())
            self._timer = (due, self._call_later(delay, self._ring))

    def _ring(self) -> None:
        self._timer = None
        self._pump()

    async def _claim(self, step: Claim) -> None:
        key = step.key
        try:
            claimed = await self._queue.claim(Whose(*key), self._clock.now(), step.limit, step.most_bytes)
        except StoreFailed as error:
            _log.error("events of %s cannot be read: %s", key[1], error)
            self._lanes.claim_failed(key, self._clock.now())
        else:
            self._lanes.claimed(key, list(claimed.events), claimed.next_due)
        self._pump()

    async def _run(self, key: Key, event: Event) -> None:
        verdict = await self._verdict(key, event)
        self._forget_running(key, event)
        set_back = isinstance(verdict, Later) and verdict.set_back
        if set_back and self._stopping:
            return  # the server goes, and the event stays as it was
        self._lanes.ran(key, self._clock.now(), set_back=set_back)
        # Not at once: its environment is about to come free.
        self._loop.call_soon(self._pump)
        if await self._write(key, event, verdict):
            self._lanes.ended(key, event)
            if key not in self._lanes:
                self._claims.pop(key, None)
            self._pump()

    async def _verdict(self, key: Key, event: Event) -> Verdict:
        try:
            self._claims[key] = await self._claimed(*key)
            return await self._attempts.make(event)
        except Exception:  # noqa: BLE001 - logged; the event is not to be lost for it
            _log.exception("event %s of %s could not be tried", event.id, event.function_arn)
            return Later(event, self._clock.now() + _FAULT_PAUSE, "ServiceException", set_back=True)

    def _forget_running(self, key: Key, event: Event) -> None:
        running = self._running[key]
        running.discard(event.id)
        if not running:
            del self._running[key]

    async def _write(self, key: Key, event: Event, verdict: Verdict) -> bool:
        """Until the queue knows: to run it again, because a disk was full for a moment, would be worse."""
        pause = _STORE_PAUSES[0]
        while True:
            try:
                await self._tell(key, event, verdict)
            except StoreFailed as error:
                if pause == _STORE_PAUSES[0]:
                    _log.error("what came of event %s cannot be kept yet: %s", event.id, error)
                if self._stopping:
                    return False
                await asyncio.sleep(pause)
                pause = min(2 * pause, _STORE_PAUSES[1])
            else:
                return True

    async def _tell(self, key: Key, event: Event, verdict: Verdict) -> None:
        if isinstance(verdict, Later):
            await self._queue.retry(verdict.event, verdict.due, verdict.error)
        elif isinstance(verdict, Over):
            await self._queue.finish(verdict.event, verdict.deliveries, verdict.failure)
        elif isinstance(verdict, Gone):
            await self._queue.finish(event)
            dropped = await self._queue.purge(Whose(*key))
            if dropped:
                self._observe("AsyncEventsDropped", place(event), dropped)
                _log.warning("function %s is gone, and %d events of it with it", key[1], dropped + 1)


def _nothing() -> None: ...
