"""Documents in memory: for tests, and for servers that are to forget everything."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

from pasture.store.documents import Change, Document, RevisionConflict, Watcher
from pasture.store.watchers import Watchers


class MemoryDocuments:
    """Durable for as long as the object lives. Watchers are told before the write returns."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._keys: list[str] = []
        self._revision = 0
        self._watchers = Watchers()

    def __repr__(self) -> str:
        return f"MemoryDocuments({len(self._keys)} documents, revision {self._revision})"

    async def get(self, key: str) -> Document | None:
        return self._documents.get(key)

    async def put(self, key: str, value: bytes, *, expect: int | None = None) -> Document:
        self._check(key, expect)
        self._revision += 1
        document = Document(key, bytes(value), self._revision)
        if key not in self._documents:
            insort(self._keys, key)
        self._documents[key] = document
        self._watchers.tell(Change(key, document))
        return document

    async def delete(self, key: str, *, expect: int | None = None) -> bool:
        self._check(key, expect)
        if key not in self._documents:
            return False
        self._revision += 1
        del self._documents[key]
        del self._keys[bisect_left(self._keys, key)]
        self._watchers.tell(Change(key, None))
        return True

    async def list(self, prefix: str, *, after: str = "", limit: int = 1_000) -> Sequence[Document]:
        first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after) if after else 0)
        found = []
        for key in self._keys[first : first + limit]:
            if not key.startswith(prefix):
                break
            found.append(self._documents[key])
        return found

    async def count(self, prefix: str) -> int:
        return sum(key.startswith(prefix) for key in self._keys)

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        return self._watchers.add(prefix, watcher)

    async def close(self) -> None:
        """Nothing is held."""

    def _check(self, key: str, expect: int | None) -> None:
        document = self._documents.get(key)
        if expect is not None and expect != (document.revision if document else 0):
            raise RevisionConflict(key)
