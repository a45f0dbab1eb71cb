"""Composes asynchronous invocation: the queue, the drain and what keeps its file small."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pasture.destinations import record
from pasture.domain.function_settings import Claims
from pasture.domain.scope import Scope
from pasture.environments.pool import Pool
from pasture.functions.catalog import Catalog
from pasture.invoke.attempts import Attempts
from pasture.invoke.direct import DirectInvoker
from pasture.invoke.lanes import Lanes
from pasture.invoke.queued import QueuedInvoker
from pasture.invoke.recursion import Recursion
from pasture.invoke.resolving import Resolver
from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.metrics.recorder import Recorder
from pasture.settings import Settings
from pasture.store.events import EventQueue
from pasture.store.kinds.events_sqlite import Kept, SqliteEvents
from pasture.store.kinds.outbox_sqlite import SqliteOutbox

_TIDY_SECONDS = 60.0
# A tenth of an account's concurrency is left to those who wait for an answer.
_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class AsyncEvents:
    queue: EventQueue
    outbox: SqliteOutbox
    """What the ends of events leave to be delivered."""
    invoker: QueuedInvoker


async def open_events(
    stack: AsyncExitStack,
    data: Path,
    settings: Settings,
    catalog: Catalog,
    resolver: Resolver,
    direct: DirectInvoker,
    pool: Pool,
    recursion: Recursion,
    recorder: Recorder,
    clock: Clock,
) -> AsyncEvents:
    """What was queued before begins to run."""
    queue = await SqliteEvents.open(data / "events.db", Kept(settings.event_failed_kept, settings.event_failed_seconds))
    stack.push_async_callback(queue.close)
    attempts = Attempts(
        catalog.find,
        resolver,
        partial(direct.invoke, rated=False),
        recursion.check,
        record.deliveries,
        recorder.observe,
        clock,
        scale=settings.event_time_scale,
    )
    invoker = QueuedInvoker(
        queue,
        Lanes(max(1, int(settings.limits.concurrent_executions * _SHARE)), scale=settings.event_time_scale),
        attempts,
        partial(_has_room, direct, pool),
        catalog.reservations.of,
        recorder.observe,
        clock,
    )
    stack.push_async_callback(invoker.close)
    invoker.open()
    tasks = Tasks("event queue")
    stack.push_async_callback(tasks.close)
    tasks.start(_keep_tidy(queue, clock), "tidying")
    return AsyncEvents(queue, queue.outbox, invoker)


def _has_room(direct: DirectInvoker, pool: Pool, scope: Scope, name: str, claims: Claims | None, running: int) -> bool:
    if claims is not None and claims.reserved == 0:
        return True  # to be told so
    reserved, in_all = (claims.reserved, claims.in_all) if claims is not None else (None, 0)
    if not direct.admission.has_room((scope.account, scope.region), name, reserved, in_all):
        return False
    # The first may wait for memory: that is how it gets its turn.
    return not running or not pool.assignment.waiting.short_of(f"{scope.account}/{scope.region}/{name}")


async def _keep_tidy(queue: EventQueue, clock: Clock) -> None:
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        while await queue.tidy(clock.now()):
            pass
