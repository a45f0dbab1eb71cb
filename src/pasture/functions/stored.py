"""Documents of one type as the store has them, with a cache that the store's own notices keep fresh.

Whoever invokes reads here, and must not wait for a disk. A cache entry is replaced only by a newer revision; when
something was deleted while a read or write was under way, its result is not kept, since it may be what was deleted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pasture.functions.records import Form
from pasture.store.documents import Change, Document, Documents

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    key: str
    value: T
    revision: int


class StoredDocuments(Generic[T]):
    """Everything under one prefix. Listeners are called with the key and the value, None meaning that it is gone."""

    def __init__(self, documents: Documents, prefix: str, form: Form[T]) -> None:
        self._documents = documents
        self._prefix = prefix
        self._form = form
        self._cache: dict[str, Stored[T]] = {}
        self._deletions = 0
        self._listeners: list[Callable[[str, T | None], None]] = []
        self._unwatch: Callable[[], None] | None = None

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._cache)

    def open(self) -> None:
        self._unwatch = self._documents.watch(self._prefix, self._on_change)

    def close(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def on_change(self, listener: Callable[[str, T | None], None]) -> Callable[[], None]:
        """Returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def find(self, key: str) -> T | None:
        """From memory once it has been asked for or written."""
        if (known := self._cache.get(key)) is not None:
            return known.value
        stored = await self.read(key)
        return stored.value if stored is not None else None

    async def read(self, key: str) -> Stored[T] | None:
        """As it is in the store now, with the revision that a write must expect."""
        deletions = self._deletions
        document = await self._documents.get(key)
        if document is None:
            return None
        stored = self._stored(document)
        self._remember(stored, deletions)
        return stored

    async def put(self, key: str, value: T, *, expect: int) -> T:
        """Raises RevisionConflict."""
        deletions = self._deletions
        document = await self._documents.put(key, self._form.encode(value), expect=expect)
        self._remember(Stored(key, value, document.revision), deletions)
        return value

    async def delete(self, key: str, *, expect: int) -> None:
        """Raises RevisionConflict."""
        await self._documents.delete(key, expect=expect)
        self._forget(key)

    async def list(self, prefix: str, *, after: str = "", limit: int = 1_000) -> Sequence[Stored[T]]:
        """In order of key; `after` is a whole key, or empty."""
        documents = await self._documents.list(prefix, after=after, limit=limit)
        return [self._stored(document) for document in documents]

    def _stored(self, document: Document) -> Stored[T]:
        return Stored(document.key, self._form.decode(document.value), document.revision)

    def _remember(self, stored: Stored[T], deletions: int) -> None:
        if self._deletions != deletions:
            self._cache.pop(stored.key, None)
        elif (known := self._cache.get(stored.key)) is None or known.revision < stored.revision:
            self._cache[stored.key] = stored

    def _forget(self, key: str) -> None:
        self._deletions += 1
        self._cache.pop(key, None)

    def _on_change(self, change: Change) -> None:
        value: T | None = None
        if change.document is None:
            self._forget(change.key)
        else:
            stored = self._stored(change.document)
            value = stored.value
            self._remember(stored, self._deletions)
        for listener in tuple(self._listeners):
            listener(change.key, value)
