"""The event queue in memory: for tests, and for servers that are to forget everything. Its outbox is a list."""

import dataclasses
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pasture.domain.events import Delivery, Event
from pasture.store.events import COUNTED, Claimed, Failure, Listing, Noticed, Shown, Whose


@dataclass(slots=True)
class _Kept:
    event: Event
    due: float
    error: str = ""
    failure: Failure | None = None


class MemoryEvents:
    """Durable for as long as the object lives."""

    def __init__(self) -> None:
        self._order: dict[Whose, list[tuple[float, int]]] = {}
        """Of each function what is queued and not claimed, as a heap: when it is due, and its number."""
        self._events: dict[int, _Kept] = {}
        self._claims: dict[Whose, dict[str, int]] = {}
        self._failed: dict[Whose, dict[int, None]] = {}
        self._numbers = itertools.count()
        self._once: set[str] = set()
        self._noticed: dict[object, Noticed] = {}
        self.deliveries: list[Delivery] = []

    def __repr__(self) -> str:
        return f"MemoryEvents({len(self._events)} events)"

    async def close(self) -> None:
        """Nothing is held."""

    def backlog(self) -> Mapping[Whose, float]:
        return {}

    def on_queued(self, noticed: Noticed) -> Callable[[], None]:
        token = object()
        self._noticed[token] = noticed
        return lambda: self._noticed.pop(token, None) and None

    def _queue(self, whose: Whose, number: int, due: float) -> None:
        heapq.heappush(self._order.setdefault(whose, []), (due, number))
        for noticed in list(self._noticed.values()):
            noticed(whose, due)

    async def put(self, event: Event) -> None:
        if event.is_once and event.id in self._once:
            return
        if event.is_once:
            self._once.add(event.id)
        number = next(self._numbers)
        self._events[number] = _Kept(event, event.accepted)
        self._queue(Whose(event.scope, event.name), number, event.accepted)

    async def claim(self, whose: Whose, now: float, limit: int, most_bytes: int) -> Claimed:
        order = self._order.get(whose, [])
        found: list[Event] = []
        while order and order[0][0] <= now and len(found) < limit:
            event = self._events[order[0][1]].event
            if found and len(event.payload) > most_bytes:
                break
            most_bytes -= len(event.payload)
            _, number = heapq.heappop(order)
            self._claims.setdefault(whose, {})[event.id] = number
            found.append(event)
        return Claimed(found, order[0][0] if order else None)

    async def retry(self, event: Event, due: float, error: str) -> None:
        whose, number = self._released(event)
        self._events[number] = _Kept(event, due, error)
        self._queue(whose, number, due)

    async def finish(self, event: Event, deliveries: Sequence[Delivery] = (), failure: Failure | None = None) -> None:
        whose, number = self._released(event)
        del self._events[number]
        if failure is not None:
            self._events[number] = _Kept(event, failure.at, failure.error, failure)
            self._failed.setdefault(whose, {})[number] = None
        self.deliveries += deliveries

    def _released(self, event: Event) -> tuple[Whose, int]:
        whose = Whose(event.scope, event.name)
        return whose, self._claims[whose].pop(event.id)

    async def listing(self, whose: Whose, now: float, limit: int) -> Listing:
        claims = set(self._claims.get(whose, {}).values())
        order = sorted([*self._order.get(whose, []), *((self._events[n].due, n) for n in claims)])
        failed = [self._events[number] for number in reversed(self._failed.get(whose, {}))]
        return Listing(
            len(order),
            min(COUNTED, sum(due > now for due, _ in order)),
            len(claims),
            len(failed),
            [_shown(self._events[number], number in claims) for _, number in order[:limit]],
            [_shown(kept) for kept in failed[:limit]],
        )

    async def purge(self, whose: Whose, *, failed: bool = False) -> int:
        queued = [] if failed else [number for _, number in self._order.pop(whose, [])]
        gone = list(self._failed.pop(whose, {})) if failed else queued
        for number in gone:
            del self._events[number]
        return len(gone)

    async def redrive(self, whose: Whose, now: float) -> int:
        failed = self._failed.pop(whose, {})
        for number in failed:
            event = self._events[number].event
            again = dataclasses.replace(event, accepted=now, attempts=0, setbacks=0)
            self._events[number] = _Kept(again, now, self._events[number].error)
            self._queue(whose, number, now)
        return len(failed)

    async def tidy(self, now: float) -> bool:  # noqa: ARG002 - nothing is kept on a disk
        return False


def _shown(kept: _Kept, is_claimed: bool = False) -> Shown:
    event, failure = kept.event, kept.failure
    return Shown(
        event.id,
        event.qualifier,
        event.accepted,
        kept.due,
        event.attempts,
        event.setbacks,
        len(event.payload),
        kept.error,
        is_claimed,
        failure.condition if failure else "",
        failure.at if failure else None,
    )
