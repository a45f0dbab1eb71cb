"""Fires what is due, and brings what was fired to its target: at least once, and to functions exactly once.

Level-triggered: whatever wakes the loop (something was written, a firing has ended, a time has come), it looks at what
is due and begins what may begin. What a document fires is written in the transaction that moves it on to its next time;
what a firing does is written down before its place is free. A server that is killed goes on where it was.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from pasture.kit.clock import Clock
from pasture.kit.looking import keep_looking
from pasture.kit.tasks import Tasks
from pasture.schedules.firing import Failure, Firing, failed
from pasture.schedules.planning import Plan
from pasture.schedules.store import Item, ScheduleStore
from pasture.store.errors import StoreFailed

_log = logging.getLogger(__name__)

PAGE = 64
AT_ONCE = (64, 64)
"""Firings of each lane."""
AT_ONE_TARGET = 8
PAUSE_AFTER_A_FAULT = 5.0
LOOK_SECONDS = 30.0

Planner = Callable[[Item, float], Plan]
"""What the document fires that is due, at this moment."""


class Refused(Exception):
    """The target has not taken it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure


Reach = Callable[[Firing], Awaitable[None]]
"""Hands it over; raises Refused."""


class Clockwork:
    """Mutable state: which firings are on their way."""

    def __init__(
        self,
        store: ScheduleStore,
        planners: Mapping[str, Planner],
        reach: Reach,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`planners`: by the first part of a document's key."""
        self._store = store
        self._planners = planners
        self._reach = reach
        self._clock = clock
        self._sleep = sleep
        self._busy: dict[str, Firing] = {}
        self._ended: set[str] = set()
        """Those that ended since what is due was read last."""
        self._wake = asyncio.Event()
        self._tasks = Tasks("schedules")

    def __repr__(self) -> str:
        return f"<Clockwork, {len(self._busy)} firings on their way>"

    def open(self) -> None:
        looking = keep_looking(self._look, self._wake, self._clock, at_least=LOOK_SECONDS)
        self._tasks.start(looking, "clockwork")

    async def close(self) -> None:
        """What is on its way is left: it goes again."""
        await self._tasks.close()

    def wake(self) -> None:
        """Look again."""
        self._wake.set()

    async def _look(self) -> float | None:
        try:
            return await self.step()
        except StoreFailed as error:
            _log.warning("cannot read what is to fire, next try in %g s: %s", PAUSE_AFTER_A_FAULT, error)
        except Exception:  # noqa: BLE001 (logged; one firing that cannot be read must not end the loop)
            _log.exception("cannot tell what is to fire, next try in %g s", PAUSE_AFTER_A_FAULT)
        await self._sleep(PAUSE_AFTER_A_FAULT)
        return 0.0

    async def step(self) -> float | None:
        """Begin all that may begin at this moment; when to look again, unless something wakes before."""
        while await self._fire_what_is_due():
            pass
        times = [await self._store.next_due()]
        for lane, most in enumerate(AT_ONCE):
            times.append(await self._begin_what_is_due(lane, most))
        return min((time for time in times if time is not None), default=None)

    async def settle(self) -> None:
        """Wait until nothing is on its way, and nothing due is left. For tests, without `open`."""
        while True:
            self._wake.clear()
            await self.step()
            await self._tasks.finish()
            if not self._wake.is_set():
                return

    # From documents to firings...

    async def _fire_what_is_due(self) -> bool:
        """Whether there may be more. A page shares the wait for the disk."""
        now = self._clock.now()
        due = await self._store.due(now, PAGE)
        await asyncio.gather(*(self._fire(item, now) for item in due))
        return len(due) == PAGE

    async def _fire(self, item: Item, now: float) -> None:
        try:
            plan = self._planners[item.key.partition("/")[0]](item, now)
        except Exception:  # noqa: BLE001 (logged; one that cannot be read must not keep the others)
            _log.exception("cannot tell what %s is to fire; next try in an hour", item.key)
            plan = Plan((), now + 3_600.0)
        await self._store.fire(item, plan.due, plan.firings, is_over=plan.is_over)

    # From firings to targets...

    async def _begin_what_is_due(self, lane: int, most: int) -> float | None:
        """Until no more may begin. When to look again; what ends looks anyway."""
        now = self._clock.now()
        while (room := most - sum(firing.lane == lane for firing in self._busy.values())) > 0:
            busy = self._busy_targets() if lane else frozenset()
            # Those that are under way are due as well, and are read again; those that end meanwhile too.
            self._ended.clear()
            found = await self._store.firings_due(lane, now, 2 * most, busy=busy)
            begun = 0
            for firing in found:
                if begun < room and firing.id not in self._busy and firing.id not in self._ended:
                    begun += self._begin(firing)
            if not begun:
                return await self._store.next_firing(lane, now)
        return None

    def _busy_targets(self) -> frozenset[str]:
        counted = Counter(firing.destination for firing in self._busy.values() if firing.lane)
        return frozenset(target for target, count in counted.items() if count >= AT_ONE_TARGET)

    def _begin(self, firing: Firing) -> bool:
        """Whether it was begun: its target may have become busy while a page is gone through."""
        if firing.lane and firing.destination in self._busy_targets():
            return False
        self._busy[firing.id] = firing
        self._tasks.start(self._go(firing), firing.source)
        return True

    async def _go(self, firing: Firing) -> None:
        try:
            await self._written(firing, await self._attempt(firing))
        except StoreFailed as error:
            _log.warning("cannot write down what became of a firing of %s: %s", firing.source_arn, error)
            await self._sleep(PAUSE_AFTER_A_FAULT)
        finally:
            del self._busy[firing.id]
            self._ended.add(firing.id)
            self.wake()

    async def _attempt(self, firing: Firing) -> Failure | None:
        try:
            await self._reach(firing)
        except Refused as error:
            return error.failure
        except StoreFailed as error:
            return Failure("InternalFailure", str(error), passes=True)
        except Exception as error:  # noqa: BLE001 (logged with its traceback, and tried again as long as may be)
            _log.exception("a firing of %s failed", firing.source_arn)
            return Failure("InternalFailure", repr(error), passes=True)
        return None

    async def _written(self, firing: Firing, failure: Failure | None) -> None:
        if failure is None:
            await self._store.end(firing)
            return
        following = failed(firing, failure, self._clock.now())
        if following is None:
            _log.error("%s: gave up %s: %s", firing.source_arn, firing.destination, failure.message or failure.code)
            await self._store.end(firing)
            return
        if not firing.attempts or following.failure is not firing.failure:
            _log.warning("%s: %s: %s", firing.source_arn, firing.destination, failure.message or failure.code)
        await self._store.postpone(following)
