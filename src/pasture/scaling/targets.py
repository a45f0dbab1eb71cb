"""Which scalable targets there are: documents `scalable-targets/ACCOUNT/REGION/FUNCTION:QUALIFIER`."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pasture.domain.scope import Scope
from pasture.functions.records import Form
from pasture.functions.stored import StoredDocuments
from pasture.kit.keyed_lock import KeyedLock
from pasture.scaling.target import Target
from pasture.store.documents import Documents, RevisionConflict

_PREFIX = "scalable-targets/"


class TargetKey(NamedTuple):
    scope: Scope
    name: str
    qualifier: str

    @property
    def document(self) -> str:
        return f"{_prefix(self.scope)}{self.name}:{self.qualifier}"

    @property
    def resource(self) -> str:
        return f"function:{self.name}:{self.qualifier}"


class Targets:
    """A put with what nobody else has changed meanwhile; `open` before use, `close` at the end."""

    def __init__(self, documents: Documents) -> None:
        self._stored: StoredDocuments[Target] = StoredDocuments(documents, _PREFIX, Form(Target))
        self._writing = KeyedLock()

    def open(self) -> None:
        self._stored.open()

    def close(self) -> None:
        self._stored.close()

    async def find(self, key: TargetKey) -> Target | None:
        return await self._stored.find(key.document)

    async def change(self, key: TargetKey, edit: Callable[[Target | None], Target | None]) -> Target | None:
        """`edit` answers None for one that is to go."""
        async with self._writing.alone(key.document):
            while True:
                stored = await self._stored.read(key.document)
                edited = edit(stored.value if stored is not None else None)
                revision = stored.revision if stored is not None else 0
                try:
                    if edited is not None:
                        return await self._stored.put(key.document, edited, expect=revision)
                    if stored is not None:
                        await self._stored.delete(key.document, expect=revision)
                    return None
                except RevisionConflict:
                    continue

    async def list(
        self, scope: Scope | None, *, after: str = "", limit: int = 1_000
    ) -> Sequence[tuple[TargetKey, Target]]:
        """In order of resource; of every account without a scope. `after` is a key's document."""
        prefix = _prefix(scope) if scope is not None else _PREFIX
        return [(key_of(found.key), found.value) for found in await self._stored.list(prefix, after=after, limit=limit)]


def key_of(document: str) -> TargetKey:
    account, region, function = document.split("/")[1:]
    name, _, qualifier = function.partition(":")
    return TargetKey(Scope(account, region), name, qualifier)


def _prefix(scope: Scope) -> str:
    return f"{_PREFIX}{scope.account}/{scope.region}/"
