"""Functions as the store has them, with a cache that the store's own notices keep fresh.

Whoever invokes reads here, and must not wait for a disk. A cache entry is replaced only by a newer revision; when
something was deleted while a read or write was under way, its result is not kept, since it may be what was deleted.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pasture.domain.function import Function
from pasture.domain.scope import Scope
from pasture.functions.records import FUNCTIONS, FunctionKey, decode, encode, functions_prefix, key_of
from pasture.functions.usage import Share, Usage
from pasture.store.documents import Change, Document, Documents

Listener = Callable[[Scope, str, Function | None], None]


class Stored(NamedTuple):
    function: Function
    revision: int


class StoredFunctions:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._cache: dict[str, Stored] = {}
        self._deletions = 0
        self._usage: dict[Scope, Usage] = {}
        self._listeners: list[Listener] = []
        self._unwatch: Callable[[], None] | None = None

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._cache)

    def open(self) -> None:
        self._unwatch = self._documents.watch(FUNCTIONS, self._on_change)

    def close(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def on_change(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def find(self, key: FunctionKey) -> Function | None:
        """From memory once it has been asked for or written."""
        if (known := self._cache.get(key.function)) is not None:
            return known.function
        stored = await self.read(key)
        return stored.function if stored is not None else None

    async def read(self, key: FunctionKey) -> Stored | None:
        """As it is in the store now, with the revision that a write must expect."""
        deletions = self._deletions
        document = await self._documents.get(key.function)
        if document is None:
            return None
        function = decode(document.value)
        self._remember(document, function, deletions)
        return Stored(function, document.revision)

    async def put(self, key: FunctionKey, function: Function, *, expect: int) -> Function:
        """Raises RevisionConflict."""
        deletions = self._deletions
        document = await self._documents.put(key.function, encode(function), expect=expect)
        self._remember(document, function, deletions)
        return function

    async def delete(self, key: FunctionKey, *, expect: int) -> None:
        """Raises RevisionConflict."""
        await self._documents.delete(key.function, expect=expect)
        self._forget(key.function)

    async def list(self, scope: Scope, *, after: str, limit: int) -> tuple[Sequence[Function], str | None]:
        prefix = functions_prefix(scope)
        documents = await self._documents.list(prefix, after=prefix + after if after else "", limit=limit + 1)
        page = [decode(document.value) for document in documents[:limit]]
        return page, page[-1].name if len(documents) > limit else None

    async def usage(self, scope: Scope) -> Usage:
        usage = self._usage.setdefault(scope, Usage())
        after = ""
        while not usage.counted:
            page, next_name = await self.list(scope, after=after, limit=1_000)
            for function in page:
                usage.found(function.name, _share(function))
            if next_name is None:
                usage.finish_count()
            after = next_name or ""
        return usage

    def _remember(self, document: Document, function: Function, deletions: int) -> None:
        if self._deletions != deletions:
            self._cache.pop(document.key, None)
        elif (known := self._cache.get(document.key)) is None or known.revision < document.revision:
            self._cache[document.key] = Stored(function, document.revision)

    def _forget(self, document_key: str) -> None:
        self._deletions += 1
        self._cache.pop(document_key, None)

    def _on_change(self, change: Change) -> None:
        key = key_of(change.key)
        usage = self._usage.setdefault(key.scope, Usage())
        function = None
        if change.document is None:
            self._forget(change.key)
            usage.removed(key.name)
        else:
            function = decode(change.document.value)
            self._remember(change.document, function, self._deletions)
            usage.changed(key.name, _share(function))
        for listener in tuple(self._listeners):
            listener(key.scope, key.name, function)


def _share(function: Function) -> Share:
    return Share(function.latest.code.size, function.reserved_concurrency or 0)
