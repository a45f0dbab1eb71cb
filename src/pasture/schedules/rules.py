"""Event buses and their rules: made, changed, shown and deleted; and events on their way to what the rules say.

Each change is one compare-and-set. The rules of a bus that gets events are in memory, with their patterns made into
functions; a change of any forgets them.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from pasture.domain.scope import Scope
from pasture.functions.records import Form
from pasture.kit.clock import Clock
from pasture.schedules.errors import LimitExceeded, ResourceAlreadyExists, RuleNotFound, ValidationError
from pasture.schedules.event_patterns import matcher
from pasture.schedules.firing import Firing
from pasture.schedules.planning import Plan, aims, firings_of, of_rule
from pasture.schedules.putting import BadEntry, check_size, event_of
from pasture.schedules.rule import (
    DEFAULT_BUS,
    Bus,
    BusKey,
    Rule,
    RuleKey,
    bus_key,
    bus_of,
    buses_of,
    rule_key,
    rules_of,
)
from pasture.schedules.store import Draft, Item, ScheduleStore
from pasture.sources.filtering import Test
from pasture.store.documents import RevisionConflict

_log = logging.getLogger(__name__)

_RULE = Form(Rule)
_BUS = Form(Bus)
_PAGE = 500
RULES_MAX = 300
"""Of one bus."""
BUSES_MAX = 100


class _Matching(NamedTuple):
    key: RuleKey
    rule: Rule
    test: Test


class Rules:
    """Mutable state: the rules of the buses that events were put on."""

    def __init__(self, store: ScheduleStore, clock: Clock, wake: Callable[[], None], new_id: Callable[[], str]) -> None:
        """`wake`: look at what is due, for it has changed."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self._new_id = new_id
        self._known: dict[BusKey, list[_Matching]] = {}
        self._changes = 0

    def __repr__(self) -> str:
        return f"Rules({self._store!r}, {len(self._known)} buses in use)"

    # Rules...

    async def put(self, key: RuleKey, changed: Callable[[Rule | None], Rule]) -> None:
        """`changed` gets what is there."""
        while True:
            bus = await self._bus_item(key.bus_key)
            item = await self._store.get(key.document)
            rule = changed(_RULE.decode(item.value) if item is not None else None)
            if item is None and await self._store.count(key.bus_key.rules) >= RULES_MAX:
                raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
            try:
                expect = item.revision if item is not None else 0
                await self._store.put(
                    key.document, self._draft(rule), expect=expect, beside=(bus.key, bus.revision) if bus else None
                )
            except RevisionConflict:
                continue
            return self._changed(key.bus_key)

    def _draft(self, rule: Rule) -> Draft:
        due = None
        if rule.timing is not None and rule.is_enabled:
            due = rule.timing.following(self._clock.now())
        arns = {arn for to in rule.targets.values() for arn in aims(to.target.arn)}
        return Draft(_RULE.encode(rule), due, tuple(arns))

    async def change(self, key: RuleKey, changed: Callable[[Rule], Rule]) -> Rule:
        """One that is there; answers what it is then."""
        made: list[Rule] = []

        def edit(known: Rule | None) -> Rule:
            if known is None:
                raise _no_rule(key)
            made[:] = [changed(known)]
            return made[0]

        await self.put(key, edit)
        return made[0]

    async def get(self, key: RuleKey) -> Rule:
        item = await self._store.get(key.document)
        if item is None:
            await self.bus(key.bus_key)
            raise _no_rule(key)
        return _RULE.decode(item.value)

    async def delete(self, key: RuleKey) -> None:
        """What is not there is gone already. What it has fired and nobody has yet goes with it."""
        while (item := await self._store.get(key.document)) is not None:
            if _RULE.decode(item.value).targets:
                raise ValidationError("Rule can't be deleted since it has targets.")
            try:
                await self._store.delete(key.document, expect=item.revision)
            except RevisionConflict:
                continue
        self._changed(key.bus_key)

    async def page(self, bus: BusKey, prefix: str, *, after: str, limit: int) -> list[tuple[RuleKey, Rule]]:
        """In order of name."""
        await self.bus(bus)
        items = await self._store.list(bus.rules + prefix, after=after, limit=limit)
        return [(rule_key(item.key), _RULE.decode(item.value)) for item in items]

    async def aiming_at(
        self, arn: str, within: BusKey | Scope, *, after: str = "", limit: int = 1_000
    ) -> list[tuple[RuleKey, Rule]]:
        """Rules of this bus, or of this account and region, that have this target."""
        prefix = within.rules if isinstance(within, BusKey) else rules_of(within)
        items = await self._store.aiming_at(arn, prefix, after=after, limit=limit)
        return [(rule_key(item.key), _RULE.decode(item.value)) for item in items]

    # Buses...

    async def create_bus(self, key: BusKey, bus: Bus) -> None:
        if await self._store.count(buses_of(key.scope)) >= BUSES_MAX:
            raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
        await self._default_bus(key.scope)
        try:
            await self._store.put(key.document, Draft(_BUS.encode(bus)), expect=0)
        except RevisionConflict as conflict:
            raise ResourceAlreadyExists(f"Event bus {key.name} already exists.") from conflict

    async def _default_bus(self, scope: Scope) -> None:
        """It is there for everybody, and from now on as a document too."""
        key, now = BusKey(scope, DEFAULT_BUS), self._clock.now()
        if await self._store.get(key.document) is None:
            with suppress(RevisionConflict):
                await self._store.put(key.document, Draft(_BUS.encode(Bus(now, now))), expect=0)

    async def bus(self, key: BusKey) -> Bus:
        item = await self._bus_item(key)
        return _BUS.decode(item.value) if item is not None else Bus(0.0, 0.0)

    async def _bus_item(self, key: BusKey) -> Item | None:
        """None for the default one while nothing is said of it."""
        item = await self._store.get(key.document)
        if item is None and key.name != DEFAULT_BUS:
            raise RuleNotFound(f"Event bus {key.name} does not exist.")
        return item

    async def change_bus(self, key: BusKey, changed: Callable[[Bus], Bus]) -> Bus:
        while True:
            item = await self._bus_item(key)
            now = self._clock.now()
            bus = replace(changed(_BUS.decode(item.value) if item is not None else Bus(now, now)), modified=now)
            try:
                await self._store.put(key.document, Draft(_BUS.encode(bus)), expect=item.revision if item else 0)
            except RevisionConflict:
                continue
            return bus

    async def delete_bus(self, key: BusKey) -> None:
        if key.name == DEFAULT_BUS:
            raise ValidationError("Cannot delete event bus default.")
        while (item := await self._store.get(key.document)) is not None:
            if await self._store.count(key.rules):
                raise ValidationError("Event bus can't be deleted since it has rules.")
            try:
                await self._store.delete(key.document, expect=item.revision, without=key.rules)
            except RevisionConflict:
                continue
        self._changed(key)

    async def buses(self, scope: Scope, prefix: str, *, after: str, limit: int) -> list[tuple[BusKey, Bus]]:
        """In order of name."""
        await self._default_bus(scope)
        items = await self._store.list(buses_of(scope) + prefix, after=after, limit=limit)
        return [(bus_key(item.key), _BUS.decode(item.value)) for item in items]

    # Events...

    async def put_events(
        self, scope: Scope, request: Mapping[str, Any], *, is_own: bool = False, hops: int = 0, trace: str = ""
    ) -> dict[str, Any]:
        """Answers when all that the entries fire is durable. `is_own`: they are of a service."""
        entries = request["Entries"]
        check_size(entries)
        now = self._clock.now()
        shown: list[dict[str, str]] = []
        firings: list[Firing] = []
        for entry in entries:
            bus = bus_of(entry.get("EventBusName"), scope)
            event = event_of(entry, self._new_id(), bus, now, is_own=is_own)
            if bus.scope.account != scope.account:
                event = BadEntry("AccessDeniedException", f"No policy of {bus.arn} lets in events of {scope.account}.")
            if isinstance(event, BadEntry):
                shown.append({"ErrorCode": event.code, "ErrorMessage": event.message})
                continue
            shown.append({"EventId": event["id"]})
            for key, rule in await self._matching(bus, event):
                header = entry.get("TraceHeader", trace)
                firings += firings_of(key, rule, event, now, hops=hops, trace=header)
        if firings:
            await self._store.add(firings)
            self._wake()
        return {"FailedEntryCount": sum("ErrorCode" in entry for entry in shown), "Entries": shown}

    async def _matching(self, bus: BusKey, event: Mapping[str, Any]) -> Iterator[tuple[RuleKey, Rule]]:
        known = self._known.get(bus)
        if known is None:
            known = await self._load(bus)
        return ((each.key, each.rule) for each in known if each.test(event))

    async def _load(self, bus: BusKey) -> list[_Matching]:
        changes = self._changes
        found = []
        for item in await self._store.list(bus.rules, limit=_PAGE):
            rule = _RULE.decode(item.value)
            if rule.pattern and rule.is_enabled:
                found.append(_Matching(rule_key(item.key), rule, matcher(rule.pattern)))
        if changes == self._changes and (found or bus.name == DEFAULT_BUS):
            self._known[bus] = found
        return found

    def _changed(self, bus: BusKey) -> None:
        self._changes += 1
        self._known.pop(bus, None)
        self._wake()


def plan(item: Item, now: float) -> Plan:
    """For the clockwork."""
    return of_rule(rule_key(item.key), _RULE.decode(item.value), item.due if item.due is not None else now, now)


def _no_rule(key: RuleKey) -> RuleNotFound:
    return RuleNotFound(f"Rule {key.name} does not exist on EventBus {key.bus}.")
