"""Which event source mappings there are: the one place that reads and writes them.

A change is written as a state on its way (Creating, Updating, Deleting …), and brought to rest by `settle`: that is
for whoever reads the sources, who listens with `on_change` and settles a mapping once reading has begun, changed or
ended. Until then nothing else may be changed, as on AWS.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

from pasture.domain.errors import ResourceConflict, ResourceInUse, ResourceNotFound
from pasture.domain.event_source import KAFKA, EventSourceMapping, MappingState, SourceKind
from pasture.domain.scope import Scope
from pasture.functions.event_source_records import (
    MAPPING,
    MAPPINGS,
    TRANSITIONS,
    MappingKey,
    by_function,
    by_source,
    decode_entries,
    encode_entries,
    index_entries,
    key_of,
    mappings_prefix,
)
from pasture.functions.ledger import Tools
from pasture.functions.stored import Stored, StoredDocuments
from pasture.kit.keyed_lock import KeyedLock
from pasture.store.documents import Documents, RevisionConflict

Edit = Callable[[EventSourceMapping], EventSourceMapping]
Listener = Callable[[MappingKey, EventSourceMapping | None], None]


class EventSourceMappings:
    def __init__(self, documents: Documents, tools: Tools) -> None:
        self._documents = documents
        self._tools = tools
        self._stored: StoredDocuments[EventSourceMapping] = StoredDocuments(documents, MAPPINGS, MAPPING)
        # One at a time per mapping, and within that per function: two must not take one source for it.
        self._writing = KeyedLock()

    def open(self) -> None:
        self._stored.open()

    def close(self) -> None:
        self._stored.close()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every change, None meaning that the mapping is gone. Returns how to stop."""
        return self._stored.on_change(lambda key, mapping: listener(key_of(key), mapping))

    # Reading...

    async def find(self, key: MappingKey) -> EventSourceMapping | None:
        """From memory once it has been asked for or written."""
        return await self._stored.find(key.mapping)

    async def get(self, key: MappingKey) -> EventSourceMapping:
        """Raises ResourceNotFound."""
        mapping = await self.find(key)
        if mapping is None:
            raise _not_found()
        return mapping

    async def list(
        self, scope: Scope, *, function: str = "", source: str = "", after: str = "", limit: int
    ) -> tuple[Sequence[EventSourceMapping], str | None]:
        """Up to `limit` mappings, and the place to go on after; None when these are the last.

        `function` is a name with its qualifier: without one, those of its aliases and versions are not meant.
        """
        if source:
            prefix = by_source(scope, source, function)
        else:
            prefix = by_function(scope, function) if function else mappings_prefix(scope)
        found: list[EventSourceMapping] = []
        places: list[str] = []
        while len(found) <= limit:
            documents = await self._documents.list(prefix, after=prefix + after if after else "", limit=limit + 1)
            if not documents:
                return found, None
            after = documents[-1].key.removeprefix(prefix)
            for document in documents:
                key = MappingKey(scope, document.key.rpartition("/")[2])
                mapping = await self.find(key)
                # What a crash has left in an index, or what is about to leave it, does not count.
                if mapping is not None and document.key in {key.mapping, *index_entries(mapping)}:
                    found.append(mapping)
                    places.append(document.key.removeprefix(prefix))
        return found[:limit], places[limit - 1]

    async def keys(self, *, after: str = "") -> Sequence[MappingKey]:
        """A page of all there are, of whichever account."""
        page = await self._documents.list(MAPPINGS, after=f"{MAPPINGS}{after}" if after else "")
        return [key_of(document.key) for document in page]

    # Writing...

    async def create(self, draft: EventSourceMapping) -> EventSourceMapping:
        """Time and generation are set here. Raises ResourceConflict when the function reads that source already."""
        key = MappingKey(draft.scope, draft.uuid)
        mapping = self._stamped(draft, MappingState.CREATING)
        async with self._writing.alone(str(key)), self._writing.alone(_claim(mapping)):
            await self._check_unclaimed(mapping)
            await self._begin(mapping)
            return await self._stored.put(key.mapping, mapping, expect=0)

    async def update(self, key: MappingKey, edit: Edit) -> EventSourceMapping:
        async with self._writing.alone(str(key)):
            while True:
                stored = await self._at_rest(key, "update")
                known = stored.value
                edited = edit(known)
                mapping = self._stamped(edited, _on_the_way(known, edited))
                async with self._writing.alone(_claim(mapping)):
                    if mapping.function_name != known.function_name:
                        await self._check_unclaimed(mapping)
                    await self._begin(mapping, known)
                    try:
                        return await self._stored.put(key.mapping, mapping, expect=stored.revision)
                    except RevisionConflict:
                        continue

    async def delete(self, key: MappingKey) -> EventSourceMapping:
        """It is gone when it has been settled."""
        async with self._writing.alone(str(key)):
            while True:
                stored = await self._at_rest(key, "delete")
                mapping = self._stamped(stored.value, MappingState.DELETING)
                await self._begin(mapping, stored.value)
                try:
                    return await self._stored.put(key.mapping, mapping, expect=stored.revision)
                except RevisionConflict:
                    continue

    async def retag(self, key: MappingKey, edit: Edit) -> EventSourceMapping:
        """What changes nothing about reading, and may be changed at any time."""
        async with self._writing.alone(str(key)):
            while True:
                stored = await self._must_read(key)
                try:
                    return await self._stored.put(key.mapping, edit(stored.value), expect=stored.revision)
                except RevisionConflict:
                    continue

    # Coming to rest...

    async def settle(self, key: MappingKey, generation: str) -> EventSourceMapping | None:
        """Reading has begun, changed or ended as that generation says. None when it is not waiting, or gone now."""
        async with self._writing.alone(str(key)):
            stored = await self._stored.read(key.mapping)
            if stored is None or stored.value.generation != generation or not stored.value.is_settling:
                return None
            if stored.value.state is MappingState.DELETING:
                await self._stored.delete(key.mapping, expect=stored.revision)
                return None
            state = MappingState.ENABLED if stored.value.enabled else MappingState.DISABLED
            settled = dataclasses.replace(stored.value, state=state, last_modified=self._tools.clock.now())
            return await self._stored.put(key.mapping, settled, expect=stored.revision)

    async def unsettled(self, *, after: str = "") -> Sequence[MappingKey]:
        """A page of what may have to be brought to rest; each is marked before it changes."""
        markers = await self._documents.list(TRANSITIONS, after=f"{TRANSITIONS}{after}" if after else "")
        return [key_of(marker.key) for marker in markers]

    async def unmark(self, key: MappingKey) -> None:
        """Take a mapping that is at rest, or gone, off `unsettled`, and out of the indexes where it no longer is."""
        async with self._writing.alone(str(key)):
            stored = await self._stored.read(key.mapping)
            if stored is not None and stored.value.is_settling:
                return
            needed = index_entries(stored.value) if stored is not None else frozenset()
            for entry in sorted(await self._marked(key) - needed):
                await self._documents.delete(entry)
            await self._documents.delete(key.transition)

    # One document...

    async def _begin(self, mapping: EventSourceMapping, known: EventSourceMapping | None = None) -> None:
        """The marker first: whoever starts after a crash finds by it what is unfinished."""
        key = MappingKey(mapping.scope, mapping.uuid)
        entries = index_entries(mapping)
        there = index_entries(known) if known is not None else frozenset()
        await self._documents.put(key.transition, encode_entries(sorted(await self._marked(key) | entries | there)))
        for entry in sorted(entries - there):
            await self._documents.put(entry, b"")

    async def _marked(self, key: MappingKey) -> frozenset[str]:
        marker = await self._documents.get(key.transition)
        return frozenset(decode_entries(marker.value)) if marker is not None else frozenset()

    async def _must_read(self, key: MappingKey) -> Stored[EventSourceMapping]:
        stored = await self._stored.read(key.mapping)
        if stored is None:
            raise _not_found()
        return stored

    async def _at_rest(self, key: MappingKey, doing: Literal["update", "delete"]) -> Stored[EventSourceMapping]:
        stored = await self._must_read(key)
        if stored.value.is_settling:
            raise ResourceInUse(f"Cannot {doing} the event source mapping because it is in use.")
        return stored

    async def _check_unclaimed(self, mapping: EventSourceMapping) -> None:
        """No function reads a source, or the same topic of it, twice."""
        for source in mapping.sources:
            after: str | None = ""
            while after is not None:
                known, after = await self.list(
                    mapping.scope, function=mapping.function_name, source=source, after=after, limit=100
                )
                for other in known:
                    if other.uuid != mapping.uuid and _channel(other) == _channel(mapping):
                        raise _conflict(mapping, other)

    def _stamped(self, mapping: EventSourceMapping, state: MappingState) -> EventSourceMapping:
        return dataclasses.replace(
            mapping, state=state, generation=self._tools.new_id(), last_modified=self._tools.clock.now()
        )


def _claim(mapping: EventSourceMapping) -> str:
    return f"claims/{mapping.scope.account}/{mapping.scope.region}/{mapping.function_name}"


def _on_the_way(known: EventSourceMapping, edited: EventSourceMapping) -> MappingState:
    if known.enabled == edited.enabled:
        return MappingState.UPDATING
    return MappingState.ENABLING if edited.enabled else MappingState.DISABLING


def _channel(mapping: EventSourceMapping) -> tuple[str, ...]:
    """What is read of a source that has many topics, queues or collections."""
    database = mapping.more.get("DocumentDBEventSourceConfig") or {}
    return (mapping.channel, database.get("DatabaseName", ""), database.get("CollectionName", ""))


def _conflict(mapping: EventSourceMapping, other: EventSourceMapping) -> ResourceConflict:
    """In the three forms that were recorded."""
    if mapping.kind in KAFKA:
        words = (
            f'An event source mapping with event source ("{",".join(mapping.sources)}"), '
            f'function ("{mapping.function_arn}"), topics ("{mapping.channel}") already exists.'
        )
    elif mapping.kind is SourceKind.SQS:
        words = (
            f'An event source mapping with SQS arn (" {mapping.source} ") '
            f'and function (" {mapping.function} ") already exists.'
        )
    else:
        words = (
            f'The event source arn (" {mapping.source} ") and function (" {mapping.function} ") '
            "provided mapping already exists."
        )
    return ResourceConflict(f"{words} Please update or delete the existing mapping with UUID {other.uuid}")


def _not_found() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")
