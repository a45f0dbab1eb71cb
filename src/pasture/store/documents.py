"""Documents with revisions: one aggregate per key, so that one compare-and-set is one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Document:
    key: str
    value: bytes
    revision: int
    """Grows with every write to the store; never used twice."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a watcher is told after a write is durable. `document` is None after a delete."""

    key: str
    document: Document | None


class RevisionConflict(Exception):
    """The document is not at the revision that the write expected. Nothing was changed."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


Watcher = Callable[[Change], None]


class Documents(Protocol):
    """Every method returns only when its effect is durable; a crash leaves a write done or not done, never half."""

    async def get(self, key: str) -> Document | None: ...

    async def put(self, key: str, value: bytes, *, expect: int | None = None) -> Document:
        """Write. `expect` is the revision it must be at: 0 for "must not exist", None for "whatever is there".

        Raises RevisionConflict.
        """
        ...

    async def delete(self, key: str, *, expect: int | None = None) -> bool:
        """Remove; False when there was none and `expect` is None. Raises RevisionConflict."""
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = 1_000) -> Sequence[Document]:
        """Documents whose key starts with `prefix` and is greater than `after`, in order of key (by code point)."""
        ...

    async def count(self, prefix: str) -> int: ...

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` on the event loop after every durable change under `prefix`, in order. Returns how to stop."""
        ...

    async def close(self) -> None: ...
