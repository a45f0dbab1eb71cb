"""What is still to be delivered: written in one transaction with the end of the event it tells of."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pasture.domain.events import Delivery


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

    def on_added(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the event loop when something was added. Returns how to stop."""
        ...
