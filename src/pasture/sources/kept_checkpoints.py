"""Checkpoints as documents: `source-checkpoints/ACCOUNT/REGION/UUID/PART`.

The revision that a save expects is the fence: whoever saved or loaded last knows it, and nobody else.
"""

from collections.abc import Mapping
from urllib.parse import quote, unquote

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.checkpoints import Fenced
from pasture.store.documents import Documents, RevisionConflict

_PREFIX = "source-checkpoints/"


class KeptCheckpoints:
    """Mutable state: the revision of each part, as this holder knows it."""

    def __init__(self, documents: Documents, mapping: EventSourceMapping) -> None:
        self._documents = documents
        self._prefix = f"{_PREFIX}{mapping.scope.account}/{mapping.scope.region}/{mapping.uuid}/"
        self._revisions: dict[str, int] = {}

    async def load(self) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        self._revisions.clear()
        after = ""
        while page := await self._documents.list(self._prefix, after=after):
            for document in page:
                part = unquote(document.key.removeprefix(self._prefix))
                # Written anew, so that who held it before no longer knows its revision.
                found[part] = document.value
                self._revisions[part] = await self._taken_over(document.key, document.value, document.revision)
            after = page[-1].key
        return found

    async def save(self, part: str, value: bytes) -> None:
        try:
            document = await self._documents.put(self._key(part), value, expect=self._revisions.get(part, 0))
        except RevisionConflict as conflict:
            raise Fenced(part) from conflict
        self._revisions[part] = document.revision

    async def drop(self, part: str) -> None:
        try:
            await self._documents.delete(self._key(part), expect=self._revisions.pop(part, None))
        except RevisionConflict as conflict:
            raise Fenced(part) from conflict

    async def _taken_over(self, key: str, value: bytes, revision: int) -> int:
        try:
            return (await self._documents.put(key, value, expect=revision)).revision
        except RevisionConflict as conflict:
            raise Fenced(key) from conflict

    def _key(self, part: str) -> str:
        return self._prefix + quote(part, safe="")
