"""What is still to be delivered: written in one transaction with the end of the event it tells of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pasture.domain.events import Delivery
from pasture.store.events import Whose


@dataclass(frozen=True, slots=True)
class Troubled:
    """A delivery that has failed, as people are shown it, without its body. Times are seconds since the epoch."""

    id: str
    channel: str
    target: str
    qualifier: str
    condition: str
    """Of the event it tells of: how that ended."""
    created: float
    due: float
    """When it is tried next, unless it was given up."""
    failed: float | None
    """When it was given up."""
    attempts: int
    size: int
    error: str
    """Of the last attempt."""


@dataclass(frozen=True, slots=True)
class Troubles:
    """Of one function: how many in all, and the first of them, those that were given up before the others."""

    waiting: int
    """These failed and are tried again; not counted beyond `COUNTED`."""
    failed: int
    first: Sequence[Troubled] = ()


class Outbox(Protocol):
    """Every method returns only when its effect is durable."""

    async def due(
        self, now: float, limit: int, *, busy: frozenset[str] = frozenset(), resting: frozenset[str] = frozenset()
    ) -> Sequence[Delivery]:
        """The deliveries whose time has come (seconds since the epoch), longest due first.

        Less those whose ids are in `busy`, and less those for the targets in `resting`: these may be many, and must not
        keep the others from being found.
        """
        ...

    async def next_due(self, after: float = 0.0) -> float | None:
        """When the earliest delivery is due that is due later than `after`; None when there is none."""
        ...

    async def delivered(self, id_: str) -> None: ...

    async def postpone(self, id_: str, due: float, error: str) -> None:
        """An attempt failed: again at `due`, one attempt more counted."""
        ...

    async def give_up(self, id_: str, error: str) -> None:
        """It cannot be delivered; it is counted and kept no longer than failed events are."""
        ...

    async def troubles(self, whose: Whose, limit: int) -> Troubles:
        """What has failed at least once of those that tell of a function's events."""
        ...

    async def deliver_again(self, whose: Whose, now: float, id_: str = "") -> int:
        """What was given up is delivered as if it were new: all of a function, or one; answers how many."""
        ...

    async def forget(self, whose: Whose, id_: str = "") -> int:
        """What was given up, all of a function or one; answers how many."""
        ...

    def on_added(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the event loop when something was added. Returns how to stop."""
        ...
