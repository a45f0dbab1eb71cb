"""Random sequences of what clients and crashes do to event source mappings, against a simple model of them."""

import asyncio
import dataclasses
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes.management import HERE, counting
from fakes.mortal import Killed, MortalDocuments
from pasture.domain.errors import ApiError, ResourceConflict, ResourceInUse, ResourceNotFound
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.domain.limits import Limits
from pasture.functions.event_source_mappings import EventSourceMappings
from pasture.functions.event_source_records import MAPPINGS, MappingKey, index_entries
from pasture.functions.event_source_settling import MappingSettling
from pasture.functions.ledger import Tools
from pasture.kit.clock import ManualClock
from pasture.store.documents import Documents
from pasture.store.kinds.memory import MemoryDocuments

T = TypeVar("T")

FUNCTIONS = st.sampled_from([("f", ""), ("f", "live"), ("g", "")])
QUEUE = "arn:aws:sqs:us-east-1:000000000000:"
SERVERS = st.sets(st.sampled_from(["a:1", "b:1", "c:1"]), min_size=1)
SOURCES = st.one_of(
    st.sampled_from(["q", "r"]).map(
        lambda name: EventSourceMapping(HERE, "", SourceKind.SQS, "", 10, source=f"{QUEUE}{name}")
    ),
    st.tuples(SERVERS, st.sampled_from(["t", "u"])).map(
        lambda found: EventSourceMapping(
            HERE, "", SourceKind.SELF_MANAGED_KAFKA, "", 100, servers=tuple(sorted(found[0])), channel=found[1]
        )
    ),
)
WHICH = st.integers(0, 5)
WRITES = st.none() | st.integers(0, 8)
"""After how many the machine dies; None when it does not."""


def content(mapping: EventSourceMapping) -> EventSourceMapping:
    """All but what the catalog writes itself."""
    return dataclasses.replace(mapping, generation="", last_modified=0.0)


class Mappings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.disk = MemoryDocuments()
        self.tools = Tools(Limits(), ManualClock(), counting())
        self.uuids = (f"u{number:03}" for number in itertools.count())
        self.mappings = self.made(self.disk)
        self.model: dict[str, EventSourceMapping] = {}
        """At rest or on its way, as it is shown."""

    def made(self, documents: Documents) -> EventSourceMappings:
        mappings = EventSourceMappings(documents, self.tools)
        mappings.open()
        return mappings

    def run_(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.mappings.close()
        self.loop.close()

    def key(self, which: int) -> MappingKey:
        known = sorted(self.model)
        return MappingKey(HERE, known[which % len(known)])

    # What clients do...

    @rule(function=FUNCTIONS, source=SOURCES, enabled=st.booleans(), writes=WRITES)
    def create(self, function: tuple[str, str], source: EventSourceMapping, enabled: bool, writes: int | None) -> None:
        name, qualifier = function
        draft = dataclasses.replace(source, uuid=next(self.uuids), function=name, qualifier=qualifier, enabled=enabled)
        refusal = ResourceConflict if self._claimed(draft) else None
        self._do(lambda mappings: mappings.create(draft), MappingKey(HERE, draft.uuid), draft, refusal, writes)

    @precondition(lambda self: bool(self.model))
    @rule(which=WHICH, function=FUNCTIONS, enabled=st.booleans(), writes=WRITES)
    def update(self, which: int, function: tuple[str, str], enabled: bool, writes: int | None) -> None:
        key = self.key(which)
        known = self.model[key.uuid]
        name, qualifier = function
        wanted = dataclasses.replace(known, function=name, qualifier=qualifier, enabled=enabled)
        refusal: type[ApiError] | None = ResourceConflict if self._claimed(wanted) else None
        if known.is_settling:
            refusal = ResourceInUse

        def edit(mapping: EventSourceMapping) -> EventSourceMapping:
            return dataclasses.replace(mapping, function=name, qualifier=qualifier, enabled=enabled)

        self._do(lambda mappings: mappings.update(key, edit), key, wanted, refusal, writes)

    @precondition(lambda self: bool(self.model))
    @rule(which=WHICH, writes=WRITES)
    def delete(self, which: int, writes: int | None) -> None:
        key = self.key(which)
        known = self.model[key.uuid]
        self._do(
            lambda mappings: mappings.delete(key), key, known, ResourceInUse if known.is_settling else None, writes
        )

    @precondition(lambda self: bool(self.model))
    @rule(which=WHICH, tag=st.sampled_from(["a", "b"]), writes=WRITES)
    def tag(self, which: int, tag: str, writes: int | None) -> None:
        key = self.key(which)
        tagged = dataclasses.replace(self.model[key.uuid], tags={tag: ""})
        self._do(
            lambda mappings: mappings.retag(key, lambda m: dataclasses.replace(m, tags={tag: ""})),
            key,
            tagged,
            None,
            writes,
        )

    @rule()
    def nobody_finds_what_is_not_there(self) -> None:
        for work in (self.mappings.get, self.mappings.delete):
            with pytest.raises(ResourceNotFound):
                self.run_(work(MappingKey(HERE, "unknown")))

    # What brings it to rest...

    @precondition(lambda self: bool(self.model))
    @rule(which=WHICH, writes=WRITES)
    def settle(self, which: int, writes: int | None) -> None:
        key = self.key(which)

        async def settle(mappings: EventSourceMappings) -> None:
            await mappings.settle(key, (await mappings.get(key)).generation)
            await mappings.unmark(key)

        self._mortally(settle, writes)
        self._adopt(key)

    @rule()
    def restart(self) -> None:
        """Everything comes to rest, and nothing is left of what was not finished."""
        self.mappings.close()
        self.mappings = self.made(self.disk)

        async def start() -> None:
            settling = MappingSettling(self.mappings)
            await settling.open()
            await settling.idle()
            await settling.close()

        self.run_(start())
        for uuid in list(self.model):
            self._adopt(MappingKey(HERE, uuid))
        assert not any(mapping.is_settling for mapping in self.model.values())
        needed = {entry for mapping in self.model.values() for entry in index_entries(mapping)}
        needed |= {f"{MAPPINGS}{MappingKey(HERE, uuid)}" for uuid in self.model}
        assert {document.key for document in self.run_(self.disk.list(""))} == needed

    # How it should be...

    def _claimed(self, wanted: EventSourceMapping) -> bool:
        return any(
            uuid != wanted.uuid
            and (other.function_name, other.channel) == (wanted.function_name, wanted.channel)
            and set(other.sources) & set(wanted.sources)
            for uuid, other in self.model.items()
        )

    def _do(
        self, work: Any, key: MappingKey, wanted: EventSourceMapping, refusal: type[ApiError] | None, writes: int | None
    ) -> None:
        """Refused when it should be; and when the machine dies on the way, it is done or it is not."""
        if refusal is not None:
            with pytest.raises(refusal):
                self.run_(work(self.mappings))
            return
        known = self.model.get(key.uuid)
        died = self._mortally(work, writes)
        self._adopt(key)
        found = self.model.get(key.uuid)
        done = found is not None and content(dataclasses.replace(found, state=wanted.state)) == content(wanted)
        assert done or (died and found == known)

    def _mortally(self, work: Any, writes: int | None) -> bool:
        """Whether the machine died on the way. Whoever comes then knows only what is on the disk."""
        self.mappings.close()
        self.mappings = self.made(self.disk if writes is None else MortalDocuments(self.disk, writes))
        try:
            self.run_(work(self.mappings))
            died = False
        except Killed:
            died = True
        self.mappings.close()
        self.mappings = self.made(self.disk)
        return died

    def _adopt(self, key: MappingKey) -> None:
        found = self.run_(self.mappings.find(key))
        known = self.model.get(key.uuid)
        if found is not None:
            self.model[key.uuid] = found
        elif known is not None:
            assert known.state == "Deleting"
            del self.model[key.uuid]

    @invariant()
    def every_list_shows_what_there_is(self) -> None:
        def listed(**query: str) -> list[str]:
            found, after = [], ""
            while True:
                page, rest = self.run_(self.mappings.list(HERE, **query, after=after, limit=2))
                found += [mapping.uuid for mapping in page]
                if rest is None:
                    return sorted(found)
                after = rest

        assert listed() == sorted(self.model)
        for function in ("f", "f:live", "g"):
            mine = {uuid for uuid, mapping in self.model.items() if mapping.function_name == function}
            assert listed(function=function) == sorted(mine)
            for source in (f"{QUEUE}q", f"{QUEUE}r", "a:1", "b:1", "c:1"):
                theirs = {uuid for uuid, mapping in self.model.items() if source in mapping.sources}
                assert listed(source=source) == sorted(theirs)
                assert listed(source=source, function=function) == sorted(mine & theirs)

    @invariant()
    def no_function_reads_a_source_twice(self) -> None:
        assert not any(self._claimed(mapping) for mapping in self.model.values())


Mappings.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestMappings = Mappings.TestCase
