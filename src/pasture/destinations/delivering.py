"""Brings what is in the outbox to its targets: at least once, each by itself, for as long as that may take.

Level-triggered: whatever wakes the loop (something was added, a delivery has ended, a time has come), it looks at what
is due and begins what may begin. What one delivery does is written down in the outbox before the next is begun for its
place, so a server that is killed delivers again what it was about to, and forgets nothing.

- A target that does not answer, or has no time, rests (see `lanes`); its deliveries are given up six hours after they
  were made.
- A target that refuses (no such queue, no right to it, a message too large) is asked again for a quarter of an hour.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from pasture.destinations.kinds import Kind, Undeliverable, Unreachable, service_of
from pasture.destinations.lanes import Lanes, pause
from pasture.destinations.rights import DestinationRights
from pasture.domain.events import Channel, Delivery
from pasture.domain.function import LATEST
from pasture.kit.clock import Clock
from pasture.kit.errors import OperatorError
from pasture.kit.looking import keep_looking
from pasture.kit.tasks import Tasks
from pasture.metrics.names import Place
from pasture.neighbours.caller import NeighbourRefused, NeighbourUnreachable, NoNeighbour
from pasture.store.errors import StoreFailed
from pasture.store.outbox import Outbox

_log = logging.getLogger(__name__)

AT_ONCE = 256
"""Deliveries at once, whatever the lanes would take."""
PAGE = 32
ATTEMPT_SECONDS = 60.0
AGE_SECONDS = 6 * 3_600.0
REFUSED_SECONDS = 900.0
PAUSE_AFTER_A_FAULT = 5.0

_METRICS = {Channel.DESTINATION: "DestinationDeliveryFailures", Channel.DEAD_LETTER: "DeadLetterErrors"}
# Of status 4xx, and passing all the same.
_PASSING_STATUS = frozenset({408, 429})
_PASSING_CODES = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "TooManyRequestsException",
    "RequestLimitExceeded", "SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "KmsThrottled", "KMSThrottling",
})  # fmt: skip

Count = Callable[[str, Place], None]
"""One more of a metric of functions."""


class Delivering:
    """`scale`: of every time, for who wants to see in minutes what takes hours."""

    def __init__(
        self,
        outbox: Outbox,
        kinds: Mapping[str, Kind],
        rights: DestinationRights,
        clock: Clock,
        count: Count,
        *,
        scale: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._outbox = outbox
        self._kinds = kinds
        self._rights = rights
        self._clock = clock
        self._count = count
        self._scale = scale
        self._sleep = sleep
        self._lanes = Lanes(scale)
        self._busy: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks = Tasks("destinations")
        self._stop_listening: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"<Delivering {len(self._busy)} at the moment, {self._lanes!r}>"

    def open(self) -> None:
        self._stop_listening = self._outbox.on_added(self.wake)
        self._tasks.start(keep_looking(self._look, self._wake, self._clock), "outbox")

    async def close(self) -> None:
        """What is on its way is left: it is delivered again."""
        self._stop_listening()
        await self._tasks.close()

    def wake(self) -> None:
        """Look again."""
        self._wake.set()

    async def _look(self) -> float | None:
        try:
            return await self._begin_what_is_due()
        except StoreFailed as error:
            _log.warning("cannot read what is to be delivered, next try in %g s: %s", PAUSE_AFTER_A_FAULT, error)
            await self._sleep(PAUSE_AFTER_A_FAULT)
            return 0.0

    async def _begin_what_is_due(self) -> float | None:
        """Until no more may begin. Answers when to look again, unless something wakes the loop before."""
        while (room := min(PAGE, AT_ONCE - len(self._busy))) > 0:
            now = self._clock.now()
            closed = self._lanes.closed(now)
            found = await self._outbox.due(now, room, busy=frozenset(self._busy), resting=closed)
            begun = [self._begin(delivery, now) for delivery in found]
            if not any(begun):
                times = [await self._outbox.next_due(now), self._lanes.next_opening(now)]
                return min((time for time in times if time is not None), default=None)
        return None

    def _begin(self, delivery: Delivery, now: float) -> bool:
        """Whether it was begun. A lane fills up while a page is gone through."""
        given_up = self._lanes.is_failing(delivery.target) and self._is_old(delivery, now)
        if delivery.id in self._busy or not (given_up or self._lanes.takes(delivery.target, now)):
            return False
        self._busy.add(delivery.id)
        if given_up:
            self._tasks.start(self._written(delivery, self._give_up(delivery, "its target does not answer")), "end")
            return True
        self._lanes.begins(delivery.target)
        self._tasks.start(self._written(delivery, self._deliver(delivery)), delivery.target)
        return True

    async def _written(self, delivery: Delivery, work: Awaitable[None]) -> None:
        try:
            await work
        except StoreFailed as error:
            _log.warning("cannot write down what became of a delivery to %s: %s", delivery.target, error)
            await self._sleep(PAUSE_AFTER_A_FAULT)
        finally:
            self._busy.discard(delivery.id)
            self.wake()

    async def _deliver(self, delivery: Delivery) -> None:
        target = delivery.target
        try:
            await self._attempt(delivery)
        except (Undeliverable, Unreachable) as error:
            passing = isinstance(error, Unreachable)
            until = self._lanes.fails(target, self._clock.now()) if passing else self._refused(delivery)
            await self._failed(delivery, error, until, AGE_SECONDS if passing else REFUSED_SECONDS)
        else:
            self._lanes.answers(target)
            await self._outbox.delivered(delivery.id)
        finally:
            self._lanes.ends(target)

    def _refused(self, delivery: Delivery) -> float:
        self._lanes.answers(delivery.target)
        return self._clock.now() + pause(delivery.attempts + 1, self._scale)

    async def _failed(self, delivery: Delivery, error: Exception, until: float, age: float) -> None:
        self._count(_METRICS[delivery.channel], _place(delivery))
        if self._is_old(delivery, self._clock.now(), age):
            await self._give_up(delivery, str(error))
            return
        level = logging.DEBUG if delivery.attempts else logging.WARNING
        _log.log(level, "cannot deliver to %s what became of %s yet: %s", delivery.target, _event(delivery), error)
        await self._outbox.postpone(delivery.id, until, str(error))

    async def _give_up(self, delivery: Delivery, why: str) -> None:
        _log.error("gave up delivering to %s what became of %s: %s", delivery.target, _event(delivery), why)
        await self._outbox.give_up(delivery.id, why)

    def _is_old(self, delivery: Delivery, now: float, age: float = AGE_SECONDS) -> bool:
        return now - max(delivery.created, delivery.redriven) >= age * self._scale

    async def _attempt(self, delivery: Delivery) -> None:
        """Raises Undeliverable or Unreachable, whatever happens: nothing may be tried without a pause."""
        try:
            await self._deliver_with(delivery)
        except (Undeliverable, Unreachable):
            raise
        except OperatorError as error:
            raise Unreachable(str(error)) from error
        except Exception as error:
            _log.exception("failed to deliver to %s", delivery.target)
            raise Undeliverable(repr(error)) from error

    async def _deliver_with(self, delivery: Delivery) -> None:
        kind = self._kinds.get(service_of(delivery.target))
        if kind is None:
            raise Undeliverable("there is no such kind of destination.")
        if lacking := self._rights.of(delivery):
            raise Undeliverable(f"the role {delivery.role} is not allowed {lacking} on it.")
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await kind.deliver(delivery)
        except NeighbourRefused as error:
            passing = error.status >= 500 or error.status in _PASSING_STATUS or error.code in _PASSING_CODES
            raise (Unreachable(str(error)) if passing else Undeliverable(str(error))) from error
        except (NeighbourUnreachable, NoNeighbour) as error:
            raise Unreachable(str(error)) from error
        except TimeoutError as error:
            raise Unreachable(f"it took longer than {ATTEMPT_SECONDS:g} seconds.") from error


def _place(delivery: Delivery) -> Place:
    """As CloudWatch has it: a function that was addressed without a qualifier is a resource of its name alone."""
    qualified = f":{delivery.qualifier}" if delivery.qualifier != LATEST else ""
    return Place(delivery.scope.account, delivery.scope.region, delivery.name, f"{delivery.name}{qualified}")


def _event(delivery: Delivery) -> str:
    return f"an event of {delivery.scope.function_arn(delivery.name, delivery.qualifier)} ({delivery.condition})"


def _nothing() -> None: ...
