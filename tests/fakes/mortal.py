"""A store whose process dies, to see what a crash leaves."""

from collections.abc import Callable, Sequence

from pasture.store.documents import Document, Watcher
from pasture.store.kinds.memory import MemoryDocuments


class Killed(Exception):
    pass


class MortalDocuments:
    """A store whose process dies after so many writes: that write and all later ones are not made."""

    def __init__(self, inner: MemoryDocuments, writes: int) -> None:
        self._inner = inner
        self._left = writes

    def _live(self) -> None:
        if self._left <= 0:
            raise Killed
        self._left -= 1

    async def get(self, key: str) -> Document | None:
        if self._left <= 0:
            raise Killed
        return await self._inner.get(key)

    async def put(self, key: str, value: bytes, *, expect: int | None = None) -> Document:
        self._live()
        return await self._inner.put(key, value, expect=expect)

    async def delete(self, key: str, *, expect: int | None = None) -> bool:
        self._live()
        return await self._inner.delete(key, expect=expect)

    async def list(self, prefix: str, *, after: str = "", limit: int = 1_000) -> Sequence[Document]:
        return await self._inner.list(prefix, after=after, limit=limit)

    async def count(self, prefix: str) -> int:
        return await self._inner.count(prefix)

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        return self._inner.watch(prefix, watcher)

    async def close(self) -> None:
        await self._inner.close()
