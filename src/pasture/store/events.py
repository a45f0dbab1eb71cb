"""The queue of asynchronous events: what was answered 202 stays here until it has run or was given up.

One server owns a queue. What it has claimed and not ended is known to it alone: a server that starts finds every event
unclaimed that was not ended, and runs it again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pasture.domain.events import Condition, Delivery, Event
from pasture.domain.scope import Scope


class Whose(NamedTuple):
    """The function that events are for."""

    scope: Scope
    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was given up."""

    condition: Condition
    at: float
    """When: seconds since the epoch."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    events: Sequence[Event]
    next_due: float | None
    """When the first of those is due that are claimed by nobody; None when there is none."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One event as people are shown it, without its payload."""

    id: str
    qualifier: str
    accepted: float
    due: float
    attempts: int
    setbacks: int
    size: int
    error: str
    """Of the last attempt; empty before the first."""
    is_claimed: bool = False
    condition: str = ""
    """Of those that were given up: why."""
    failed: float | None = None
    """When it was given up."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Of one function: how many in all, and the first of them."""

    queued: int
    """Not ended: those that are claimed are among them."""
    retrying: int
    """Of these, so many are not due yet; not counted beyond `COUNTED`."""
    claimed: int
    failed: int
    first: Sequence[Shown]
    first_failed: Sequence[Shown]


COUNTED = 10_000

Noticed = Callable[[Whose, float], None]


class EventQueue(Protocol):
    """Every method returns only when its effect is durable; a crash leaves it done or not done, never half.

    Raises `StoreFull` when there is no room, `StoreFailed` on other faults: then nothing of it was done.
    """

    async def put(self, event: Event) -> None: ...

    def backlog(self) -> Mapping[Whose, float]:
        """When the earliest event of each function was due that had any, at the opening of the queue."""
        ...

    def on_queued(self, noticed: Noticed) -> Callable[[], None]:
        """Call `noticed` on the event loop whenever an event is to run, with when it is due. Returns how to stop."""
        ...

    async def claim(self, whose: Whose, now: float, limit: int, most_bytes: int) -> Claimed:
        """Events that are due, longest due first: `limit` at most, and no more than `most_bytes` of payload, but one.

        One claim at a time for a function.
        """
        ...

    async def retry(self, event: Event, due: float, error: str) -> None:
        """A claimed one runs again at `due`, with the attempts and setbacks that `event` has now."""
        ...

    async def finish(self, event: Event, deliveries: Sequence[Delivery] = (), failure: Failure | None = None) -> None:
        """A claimed one is over, and its deliveries are in the outbox, in one transaction.

        With a failure it is kept for a while, to be shown and redriven.
        """
        ...

    async def listing(self, whose: Whose, now: float, limit: int) -> Listing: ...

    async def purge(self, whose: Whose, *, failed: bool = False) -> int:
        """Forget what is queued and not claimed, or what has failed; answers how many."""
        ...

    async def redrive(self, whose: Whose, now: float) -> int:
        """What has failed is queued as if it were new; answers how many."""
        ...

    async def tidy(self, now: float) -> bool:
        """Remove a little of what has been kept long enough, or of the space that is free; False when that was all."""
        ...

    async def close(self) -> None: ...
