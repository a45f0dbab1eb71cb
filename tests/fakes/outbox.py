"""An outbox in memory, and destinations that do what they are told to."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pasture.destinations.kinds import Need, service_of
from pasture.domain.events import Channel, Condition, Delivery
from pasture.domain.scope import Scope
from pasture.store.errors import StoreFailed
from pasture.store.events import Whose
from pasture.store.outbox import Troubled, Troubles

ROLE = "arn:aws:iam::000000000000:role/r"


def a_delivery(target: str, id_: str = "d1", **changes: Any) -> Delivery:
    delivery = Delivery(
        id=id_,
        channel=Channel.DESTINATION,
        target=target,
        scope=Scope(),
        name="f",
        qualifier="$LATEST",
        role=ROLE,
        body=b'{"version":"1.0"}',
        created=1_700_000_000.0,
        condition=Condition.SUCCESS,
    )
    return replace(delivery, **changes)


class FakeOutbox:
    def __init__(self) -> None:
        self.waiting: dict[str, tuple[float, Delivery]] = {}
        self.given_up: dict[str, str] = {}
        self._troubled: dict[str, Troubled] = {}
        self._left: dict[str, Delivery] = {}
        """Those that were given up, whole."""
        self.delivered_ids: list[str] = []
        self.looked = 0
        self.fails = 0
        """So many of the next calls fail."""
        self._wakes: list[Callable[[], None]] = []

    def add(self, *deliveries: Delivery) -> None:
        for delivery in deliveries:
            self.waiting[delivery.id] = (max(delivery.created, delivery.redriven), delivery)
        for wake in list(self._wakes):
            wake()

    async def due(
        self, now: float, limit: int, *, busy: frozenset[str] = frozenset(), resting: frozenset[str] = frozenset()
    ) -> Sequence[Delivery]:
        self._may_fail()
        self.looked += 1
        rows = sorted(self.waiting.values(), key=lambda row: row[0])
        open_ = [d for due, d in rows if due <= now and d.id not in busy and d.target not in resting]
        return open_[:limit]

    async def next_due(self, after: float = 0.0) -> float | None:
        return min((due for due, _ in self.waiting.values() if due > after), default=None)

    async def delivered(self, id_: str) -> None:
        self._may_fail()
        del self.waiting[id_]
        self.delivered_ids.append(id_)

    async def postpone(self, id_: str, due: float, error: str) -> None:
        self._may_fail()
        _, delivery = self.waiting[id_]
        delivery = replace(delivery, attempts=delivery.attempts + 1)
        self.waiting[id_] = (due, delivery)
        self._troubled[id_] = _troubled(delivery, due, None, error)

    async def give_up(self, id_: str, error: str) -> None:
        self._may_fail()
        due, delivery = self.waiting.pop(id_)
        self.given_up[id_] = error
        self._left[id_] = delivery = replace(delivery, attempts=delivery.attempts + 1)
        self._troubled[id_] = _troubled(delivery, due, time.time(), error)

    async def troubles(self, whose: Whose, limit: int) -> Troubles:
        waiting = [self._troubled[id_] for id_, (_, d) in self.waiting.items() if d.attempts and _is_of(d, whose)]
        failed = [self._troubled[id_] for id_, d in self._left.items() if _is_of(d, whose)]
        first = [*reversed(failed), *sorted(waiting, key=lambda one: one.due)]
        return Troubles(len(waiting), len(failed), first[:limit])

    async def deliver_again(self, whose: Whose, now: float, id_: str = "") -> int:
        chosen = self._chosen(whose, id_)
        self.add(*(replace(self._left.pop(one), attempts=0, redriven=now) for one in chosen))
        return len(chosen)

    async def forget(self, whose: Whose, id_: str = "") -> int:
        chosen = self._chosen(whose, id_)
        for one in chosen:
            del self._left[one]
        return len(chosen)

    def _chosen(self, whose: Whose, id_: str) -> list[str]:
        return [one for one, delivery in self._left.items() if _is_of(delivery, whose) and id_ in ("", one)]

    def on_added(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def _may_fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise StoreFailed("the disk is tired.")


def _is_of(delivery: Delivery, whose: Whose) -> bool:
    return (delivery.scope, delivery.name) == whose


def _troubled(delivery: Delivery, due: float, failed: float | None, error: str) -> Troubled:
    return Troubled(
        delivery.id, delivery.channel, delivery.target, delivery.qualifier, delivery.condition, delivery.created,
        due, failed, delivery.attempts, len(delivery.body), error,
    )  # fmt: skip


class FakeKind:
    """Of queues. Raises what is set for a target, or waits while it is held."""

    def __init__(self) -> None:
        self.failing: dict[str, Exception] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.tried: list[str] = []
        self.got: list[str] = []
        self.at_once: dict[str, int] = {}
        self._running: dict[str, int] = {}

    def needs(self, target: str) -> tuple[Need, ...]:
        return (Need(f"{service_of(target)}:SendMessage", target),)

    async def deliver(self, delivery: Delivery) -> None:
        target = delivery.target
        self.tried.append(delivery.id)
        self._running[target] = self._running.get(target, 0) + 1
        self.at_once[target] = max(self.at_once.get(target, 0), self._running[target])
        try:
            if target in self.held:
                await self.held[target].wait()
            if target in self.failing:
                raise self.failing[target]
            self.got.append(delivery.id)
        finally:
            self._running[target] -= 1
