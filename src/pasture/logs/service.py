"""What CloudWatch Logs does: the rules, over a store of groups, streams and events.

Every method that reads stores first what the writers have left so far, so that whoever
has the answer of an invocation finds its log.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pasture.domain.scope import Scope
from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.logs import rules
from pasture.logs.delivering import Delivering, Hands
from pasture.logs.errors import Validation
from pasture.logs.intake import Intake, StreamWriter
from pasture.logs.names import check_group_name, check_stream_name, page_token, parse_page_token
from pasture.logs.records import Found, Group, Position, Search, Span, StoredEvent, Stream, StreamKey
from pasture.logs.spec import LogEvent
from pasture.logs.store import LogStore
from pasture.logs.subscriptions import Subscription
from pasture.store.errors import StoreFailed

_log = logging.getLogger(__name__)

_SWEEP_SECONDS = 3_600.0
# Between two steps of a sweep: appends come first.
_STEP_SECONDS = 0.02
# A search that takes longer is answered with what it has found and where to go on.
_SEARCH_SECONDS = 1.0
_NOWHERE = Position(0, 0)


@dataclass(frozen=True, slots=True)
class EventsPage:
    events: Sequence[StoredEvent]
    """By time, whatever the direction."""
    forward_token: str
    backward_token: str


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """`start` is inclusive, `end` is not. A token decides the direction."""

    start: int | None = None
    end: int | None = None
    limit: int = rules.PAGE_EVENTS
    from_head: bool = False
    token: str = ""


class LogService:
    """Made on the event loop; `open` starts the sweep, `close` stores what was written and closes the store."""

    def __init__(self, store: LogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._intake = Intake(store, clock)
        self._tasks = Tasks("logs")
        self._sweep_wanted = asyncio.Event()

    def __repr__(self) -> str:
        return f"LogService({self._store}, {self._intake})"

    async def open(self) -> None:
        self._tasks.start(self._keep_sweeping(), "sweep")

    async def close(self) -> None:
        await self._tasks.close()
        await self._intake.close()
        await self._store.close()

    # For the server...

    def writer(self, scope: Scope, group: str, stream: str) -> StreamWriter:
        """Group and stream come into being with the first event. A writer needs no closing."""
        return self._intake.writer(StreamKey(scope, group, stream))

    async def flush(self) -> None:
        """Everything that was written so far can be read."""
        await self._intake.flush()

    async def sweep(self) -> None:
        """Remove what is deleted and what has outlived its retention, now."""
        while await self._store.sweep_step(self._now()):
            pass

    # Groups...

    async def create_group(self, scope: Scope, group: Group) -> None:
        """`created` is the service's to set."""
        check_group_name(group.name)
        rules.check_tags(group.tags)
        await self._store.create_group(scope, replace(group, created=self._now()))

    async def group(self, scope: Scope, name: str) -> Group:
        await self._intake.flush()
        return await self._store.group(scope, name)

    async def groups(
        self, scope: Scope, *, prefix: str = "", containing: str = "", after: str = "", limit: int = rules.PAGE_NAMES
    ) -> Sequence[Group]:
        """By name. `containing` is looked for in any case."""
        await self._intake.flush()
        return await self._store.groups(scope, prefix=prefix, containing=containing, after=after, limit=limit)

    async def delete_group(self, scope: Scope, name: str) -> None:
        await self._intake.flush()
        group = await self._store.group(scope, name)
        if group.protected:
            raise Validation("The log group cannot be deleted because deletion protection is enabled.")
        await self._store.delete_group(scope, name)
        self._sweep_wanted.set()

    async def set_protection(self, scope: Scope, name: str, protected: bool) -> None:
        await self._store.set_protection(scope, name, protected)

    async def set_retention(self, scope: Scope, name: str, days: int | None) -> None:
        """None: for ever."""
        rules.check_retention(days)
        await self._store.set_retention(scope, name, days)
        self._sweep_wanted.set()

    async def set_tags(self, scope: Scope, name: str, tags: Mapping[str, str]) -> None:
        """Added to those there are."""

        def add(old: Mapping[str, str]) -> Mapping[str, str]:
            merged = {**old, **tags}
            rules.check_tags(merged)
            return merged

        await self._store.change_tags(scope, name, add)

    async def remove_tags(self, scope: Scope, name: str, keys: Sequence[str]) -> None:
        await self._store.change_tags(
            scope, name, lambda old: {key: value for key, value in old.items() if key not in keys}
        )

    # Streams...

    async def create_stream(self, scope: Scope, group: str, stream: str) -> None:
        check_stream_name(stream)
        await self._intake.flush()
        await self._store.create_stream(StreamKey(scope, group, stream), self._now())

    async def delete_stream(self, scope: Scope, group: str, stream: str) -> None:
        await self._intake.flush()
        await self._store.delete_stream(StreamKey(scope, group, stream))
        self._sweep_wanted.set()

    async def streams_by_name(
        self, scope: Scope, group: str, *, prefix: str = "", after: str = "", limit: int, descending: bool = False
    ) -> Sequence[Stream]:
        await self._intake.flush()
        return await self._store.streams_by_name(
            scope, group, prefix=prefix, after=after, limit=limit, descending=descending
        )

    async def streams_by_time(
        self, scope: Scope, group: str, *, after: tuple[int, str] | None = None, limit: int, descending: bool = False
    ) -> Sequence[Stream]:
        await self._intake.flush()
        return await self._store.streams_by_time(scope, group, after=after, limit=limit, descending=descending)

    # Events...

    async def put_events(self, scope: Scope, group: str, stream: str, events: Sequence[LogEvent]) -> rules.Rejected:
        """Store those that are neither too old nor too new; raises when the batch as a whole is against the rules."""
        await self._intake.flush()
        key = StreamKey(scope, group, stream)
        owner = await self._store.require_stream(key)
        accepted, rejected = rules.judge(events, self._now(), owner.retention_days)
        await self._store.append_existing(key, accepted, self._now())
        return rejected

    async def events(self, scope: Scope, group: str, stream: str, query: EventsQuery) -> EventsPage:
        """A page of a stream. At the end, the token that was passed comes back; it finds what is written later."""
        await self._intake.flush()
        forward, after = parse_page_token(query.token) if query.token else (query.from_head, None)
        span = Span(query.start, query.end, after, forward)
        found = await self._store.page(StreamKey(scope, group, stream), span, query.limit)
        events = found if forward else found[::-1]
        first = events[0].position if events else after or _NOWHERE
        last = events[-1].position if events else after or _NOWHERE
        return EventsPage(events, page_token("f", last), page_token("b", first))

    async def search(self, scope: Scope, group: str, search: Search) -> Found:
        """Events of a group, of all its streams in one order; `rest` may come with no event at all."""
        await self._intake.flush()
        until = self._clock.monotonic() + _SEARCH_SECONDS
        bounded = replace(search, expired=lambda: self._clock.monotonic() > until)
        return await self._store.search(scope, group, bounded)

    # Subscriptions...

    def delivering(self, hands: Hands) -> Delivering:
        """To be opened once functions can be had, and closed before the service."""
        return Delivering(self._store, hands)

    async def put_subscription(self, scope: Scope, group: str, subscription: Subscription) -> None:
        """For what is written from now on. `created` is the service's to set."""
        await self._intake.flush()
        await self._store.put_subscription(scope, group, replace(subscription, created=self._now()))

    async def subscriptions(self, scope: Scope, group: str) -> Sequence[Subscription]:
        """By name."""
        await self._intake.flush()
        return await self._store.subscriptions(scope, group)

    async def delete_subscription(self, scope: Scope, group: str, name: str) -> None:
        await self._store.delete_subscription(scope, group, name)

    async def subscribed(self, function: str) -> Sequence[tuple[str, Subscription]]:
        """To be delivered to a function, by its ARN: with the names of their groups."""
        return await self._store.subscribed(function)

    # Sweeping...

    async def _keep_sweeping(self) -> None:
        while True:
            self._sweep_wanted.clear()
            try:
                while await self._store.sweep_step(self._now()):  # noqa: ASYNC110 - a pause for others, not a wait
                    await asyncio.sleep(_STEP_SECONDS)
            except StoreFailed as error:
                _log.error("old log events are not removed now, and will be tried again: %s", error)
            # Time alone makes events expire.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sweep_wanted.wait(), _SWEEP_SECONDS)

    def _now(self) -> int:
        return int(self._clock.now() * 1000)
