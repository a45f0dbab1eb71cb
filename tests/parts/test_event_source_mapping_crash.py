"""After a crash at any write of the life of an event source mapping, nothing is left half."""

import dataclasses

import pytest

from fakes.management import HERE, counting
from fakes.mortal import Killed, MortalDocuments
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.domain.limits import Limits
from pasture.functions.event_source_mappings import EventSourceMappings
from pasture.functions.event_source_records import MAPPINGS, MappingKey, index_entries
from pasture.functions.event_source_settling import MappingSettling
from pasture.functions.ledger import Tools
from pasture.kit.clock import ManualClock
from pasture.store.documents import Documents
from pasture.store.kinds.memory import MemoryDocuments

DRAFT = EventSourceMapping(
    HERE, "u", SourceKind.SELF_MANAGED_KAFKA, "f", 100, servers=("a:1", "b:1"), channel="t", consumer_group="u"
)
KEY = MappingKey(HERE, "u")
WRITES = 24
"""Of the whole life."""


def made(documents: Documents) -> EventSourceMappings:
    mappings = EventSourceMappings(documents, Tools(Limits(), ManualClock(), counting()))
    mappings.open()
    return mappings


async def rest(mappings: EventSourceMappings) -> None:
    mapping = await mappings.find(KEY)
    assert mapping is not None
    await mappings.settle(KEY, mapping.generation)
    await mappings.unmark(KEY)


async def life(documents: Documents) -> None:
    mappings = made(documents)
    await mappings.create(DRAFT)
    await rest(mappings)
    await mappings.update(KEY, lambda mapping: dataclasses.replace(mapping, function="g", enabled=False))
    await rest(mappings)
    await mappings.delete(KEY)
    await rest(mappings)


async def test_the_life_makes_as_many_writes_as_are_tried() -> None:
    await life(MortalDocuments(MemoryDocuments(), WRITES))
    with pytest.raises(Killed):
        await life(MortalDocuments(MemoryDocuments(), WRITES - 1))


@pytest.mark.parametrize("writes", range(WRITES + 1))
async def test_the_next_start_brings_everything_to_rest(writes: int) -> None:
    disk = MemoryDocuments()
    try:
        await life(MortalDocuments(disk, writes))
    except Killed:
        assert writes < WRITES
    mappings = made(disk)
    settling = MappingSettling(mappings)
    await settling.open()
    await settling.idle()
    mapping = await mappings.find(KEY)
    left = {document.key for document in await disk.list("")}
    if mapping is None:
        assert left == set()
    else:
        assert mapping.state == ("Enabled" if mapping.enabled else "Disabled")
        assert left == {f"{MAPPINGS}{KEY}", *index_entries(mapping)}
        for function in ("f", "g"):
            found, _ = await mappings.list(HERE, function=function, limit=10)
            assert [other.uuid for other in found] == (["u"] if function == mapping.function else [])
    await settling.close()


@pytest.mark.parametrize("writes", range(WRITES + 1))
async def test_what_a_crash_has_left_is_in_nobodys_way(writes: int) -> None:
    """A client that comes before the start has settled everything."""
    disk = MemoryDocuments()
    try:
        await life(MortalDocuments(disk, writes))
    except Killed:
        assert writes < WRITES
    mappings = made(disk)
    mapping = await mappings.find(KEY)
    known = {mapping.function} if mapping is not None else set()
    for name in {"f", "g"} - known:
        await mappings.create(dataclasses.replace(DRAFT, uuid=f"new-{name}", function=name))
    for name in ("f", "g"):
        for query in ({"function": name}, {"function": name, "source": "a:1"}):
            found, rest_ = await mappings.list(HERE, **query, limit=10)
            assert ([other.function for other in found], rest_) == ([name], None)


async def test_what_one_change_has_left_in_an_index_goes_with_the_next() -> None:
    disk = MemoryDocuments()
    mappings = made(disk)
    await mappings.create(DRAFT)
    await rest(mappings)
    moved = await mappings.update(KEY, lambda mapping: dataclasses.replace(mapping, function="g"))
    await mappings.settle(KEY, moved.generation)  # and here the machine dies
    mappings = made(disk)
    changed = await mappings.update(KEY, lambda mapping: dataclasses.replace(mapping, enabled=False))
    await rest(mappings)
    assert {document.key for document in await disk.list("")} == {f"{MAPPINGS}{KEY}", *index_entries(changed)}
