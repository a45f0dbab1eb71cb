"""Schedules and their groups: made, changed, shown and deleted, each as one compare-and-set.

A group that is deleted is marked first, and takes no schedule from then on; its schedules go, and then it goes itself.
What a crash leaves of that is done at the next start.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pasture.domain.scope import Scope
from pasture.functions.records import Form
from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.schedules.errors import Conflict, ScheduleNotFound, ValidationError
from pasture.schedules.planning import Plan, aims, first_due, of_schedule
from pasture.schedules.schedule import (
    DEFAULT_GROUP,
    GROUPS,
    Group,
    GroupKey,
    Schedule,
    ScheduleKey,
    group_key,
    groups_of,
    schedule_key,
    schedules_of,
)
from pasture.schedules.store import Draft, Item, ScheduleStore
from pasture.store.documents import RevisionConflict

_SCHEDULE = Form(Schedule)
_GROUP = Form(Group)
_PAGE = 500


class Schedules:
    def __init__(self, store: ScheduleStore, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake`: look at what is due, for it has changed."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self._tasks = Tasks("schedule groups")

    def __repr__(self) -> str:
        return f"Schedules({self._store!r})"

    async def open(self) -> None:
        """Finish the deletions that were begun."""
        after = ""
        while page := await self._store.list(GROUPS, after=after, limit=_PAGE):
            after = page[-1].key
            for item in page:
                if _GROUP.decode(item.value).is_going:
                    self._tasks.start(self._clear(group_key(item.key)), item.key)

    async def close(self) -> None:
        await self._tasks.close()

    # Schedules...

    async def create(self, key: ScheduleKey, schedule: Schedule) -> None:
        while True:
            if (known := await self._store.get(key.document)) is not None:
                if schedule.token and _SCHEDULE.decode(known.value).token == schedule.token:
                    return
                raise Conflict(f"Schedule {key.name} already exists.")
            group = await self._group_item(key.group_key)
            if _GROUP.decode(group.value).is_going:
                raise Conflict(f"Schedule group {key.group} is being deleted.")
            try:
                beside = (group.key, group.revision)
                await self._store.put(
                    key.document, _draft(schedule, int(schedule.created) - 1), expect=0, beside=beside
                )
            except RevisionConflict:
                continue
            self._wake()
            return

    async def update(self, key: ScheduleKey, changed: Callable[[Schedule], Schedule]) -> None:
        while True:
            item, known = await self._find(key)
            schedule = changed(known)
            try:
                await self._store.put(key.document, _draft(schedule, schedule.modified), expect=item.revision)
            except RevisionConflict:
                continue
            self._wake()
            return

    async def get(self, key: ScheduleKey) -> Schedule:
        return (await self._find(key))[1]

    async def delete(self, key: ScheduleKey) -> None:
        """What it has fired and nobody has yet goes with it."""
        while True:
            item, _ = await self._find(key)
            try:
                return await self._store.delete(key.document, expect=item.revision)
            except RevisionConflict:
                continue

    async def page(
        self, scope: Scope, group: str, prefix: str, *, after: str, limit: int, is_enabled: bool | None = None
    ) -> tuple[list[tuple[ScheduleKey, Schedule]], str]:
        """In order of group and name, at most so many; and after which key to go on, if there may be more."""
        if group:
            await self.group(GroupKey(scope, group))
        start = GroupKey(scope, group).schedules + prefix if group else schedules_of(scope)
        found: list[tuple[ScheduleKey, Schedule]] = []
        while page := await self._store.list(start, after=after, limit=_PAGE):
            for item in page:
                after, key, schedule = item.key, schedule_key(item.key), _SCHEDULE.decode(item.value)
                if key.name.startswith(prefix) and is_enabled in {None, schedule.is_enabled}:
                    found.append((key, schedule))
                    if len(found) == limit:
                        return found, after
        return found, ""

    async def aiming_at(self, scope: Scope, arn: str) -> list[tuple[ScheduleKey, Schedule]]:
        """Schedules of this account and region that have this target."""
        items = await self._store.aiming_at(arn, schedules_of(scope))
        return [(schedule_key(item.key), _SCHEDULE.decode(item.value)) for item in items]

    async def _find(self, key: ScheduleKey) -> tuple[Item, Schedule]:
        item = await self._store.get(key.document)
        if item is None:
            await self.group(key.group_key)
            raise ScheduleNotFound(f"Schedule {key.name} does not exist.")
        return item, _SCHEDULE.decode(item.value)

    # Groups...

    async def create_group(self, key: GroupKey, group: Group) -> None:
        try:
            await self._store.put(key.document, Draft(_GROUP.encode(group)), expect=0)
        except RevisionConflict as conflict:
            known = await self._store.get(key.document)
            if known is None or not group.token or _GROUP.decode(known.value).token != group.token:
                raise Conflict(f"Schedule group {key.name} already exists.") from conflict

    async def group(self, key: GroupKey) -> Group:
        return _GROUP.decode((await self._group_item(key)).value)

    async def change_group(self, key: GroupKey, changed: Callable[[Group], Group]) -> None:
        while True:
            item = await self._group_item(key)
            draft = Draft(_GROUP.encode(replace(changed(_GROUP.decode(item.value)), modified=self._clock.now())))
            try:
                await self._store.put(key.document, draft, expect=item.revision)
            except RevisionConflict:
                continue
            return

    async def delete_group(self, key: GroupKey) -> None:
        if key.name == DEFAULT_GROUP:
            raise ValidationError("The default schedule group cannot be deleted.")
        await self.change_group(key, lambda group: replace(group, is_going=True))
        self._tasks.start(self._clear(key), key.document)

    async def groups(self, scope: Scope, prefix: str, *, after: str, limit: int) -> Sequence[tuple[GroupKey, Group]]:
        """In order of name."""
        await self._group_item(GroupKey(scope, DEFAULT_GROUP))
        page = await self._store.list(groups_of(scope) + prefix, after=after, limit=limit)
        return [(group_key(item.key), _GROUP.decode(item.value)) for item in page]

    async def _group_item(self, key: GroupKey) -> Item:
        """Every account has the default group."""
        while (item := await self._store.get(key.document)) is None:
            if key.name != DEFAULT_GROUP:
                raise ScheduleNotFound(f"Schedule group {key.name} does not exist.")
            now = self._clock.now()
            await self.create_group(key, Group(now, now, token="default"))  # noqa: S106 (no secret: makes it the same)
        return item

    async def _clear(self, key: GroupKey) -> None:
        while page := await self._store.list(key.schedules, limit=_PAGE):
            for item in page:
                with suppress(RevisionConflict):
                    await self._store.delete(item.key, expect=item.revision)
        if (group := await self._store.get(key.document)) is not None:
            with suppress(RevisionConflict):  # tagged meanwhile: the next deletion, or start, ends it
                await self._store.delete(key.document, expect=group.revision)


def plan(item: Item, now: float) -> Plan:
    """For the clockwork."""
    due = item.due if item.due is not None else now
    return of_schedule(schedule_key(item.key), _SCHEDULE.decode(item.value), item.revision, due, now)


def _draft(schedule: Schedule, moment: float) -> Draft:
    """What is made within a second may fire in it."""
    return Draft(_SCHEDULE.encode(schedule), first_due(schedule, moment), aims(schedule.target.arn))
