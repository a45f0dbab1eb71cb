"""Published versions: immutable snapshots of `$LATEST`, each a document of its own.

Publishing takes the number first, in one compare-and-set of the function, then writes the version: a crash between the
two leaves a gap between numbers, and publishing again makes the version that is missing. Whoever writes holds the
function's lock.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import msgspec

from pasture.domain.errors import InvalidParameterValue, PreconditionFailed, ResourceConflict
from pasture.domain.function import Function, FunctionVersion, LastUpdateStatus, Published, Reason, State
from pasture.domain.scope import Scope
from pasture.functions.ledger import Ledger, not_found, number_of
from pasture.functions.records import VERSIONS, FunctionKey, VersionKey, decode_number, encode_number, version_key_of
from pasture.functions.stored import Stored
from pasture.store.documents import RevisionConflict

CREATING = Reason("The function is being created.", "Creating")

_sorted = msgspec.json.Encoder(order="sorted")


class Versions:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def on_change(self, listener: Callable[[VersionKey, FunctionVersion | None], None]) -> Callable[[], None]:
        """Call `listener` after every change, None meaning that the version is gone. Returns how to stop."""
        return self._ledger.versions.on_change(lambda key, version: listener(version_key_of(key), version))

    # Reading...

    async def find(self, scope: Scope, name: str, version: str) -> FunctionVersion | None:
        """By its number; from memory once it has been asked for or written."""
        number = number_of(version)
        return await self._ledger.versions.find(VersionKey(scope, name, number).version) if number else None

    async def list(self, function: Function, *, after: int = -1, limit: int) -> Sequence[FunctionVersion]:
        """`$LATEST`, which counts as 0, and the published ones, in order of number, from after that one on."""
        key = FunctionKey(function.scope, function.name)
        first = [function.latest] if after < 0 else []
        start = VersionKey(*key, after).version if after > 0 else ""
        rest = await self._ledger.versions.list(key.versions, after=start, limit=max(limit - len(first), 1))
        return [*first, *(stored.value for stored in rest)][:limit]

    # Writing...

    async def publish(
        self,
        scope: Scope,
        name: str,
        *,
        description: str | None = None,
        code_sha256: str | None = None,
        revision_id: str | None = None,
    ) -> FunctionVersion:
        """The last version again when nothing has changed since. `code_sha256` is base64, as AWS shows it."""
        key = FunctionKey(scope, name)

        def check(latest: FunctionVersion) -> None:
            check_updatable(latest, revision_id)
            current = latest.code_sha256
            if code_sha256 and code_sha256 != current:
                raise InvalidParameterValue(
                    f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST ({current}). "
                    "Please try again with the CodeSHA256 in $LATEST."
                )

        async with self._ledger.writing.alone(key.function):
            return await self.publish_locked(key, check, description)

    async def publish_locked(
        self,
        key: FunctionKey,
        check: Callable[[FunctionVersion], None] | None = None,
        description: str | None = None,
    ) -> FunctionVersion:
        """For who holds the function's lock."""
        while True:
            stored = await self._ledger.must_read(key)
            if check is not None:
                check(stored.value.latest)
            if (same := await self._unchanged(stored.value)) is not None:
                return same
            await self._ledger.check_storage(key.scope, stored.value.latest.code.size)
            try:
                await self._take_number(key, stored)
            except RevisionConflict:
                continue
            return await self._write(key, stored.value, description)

    async def _unchanged(self, function: Function) -> FunctionVersion | None:
        """The version published last, if it is there and was what `$LATEST` is now."""
        last = function.published
        if last is None or last.content != content_digest(function.latest):
            return None
        return await self.find(function.scope, function.name, last.version)

    async def _take_number(self, key: FunctionKey, stored: Stored[Function]) -> None:
        """With a new revision for `$LATEST`, as on AWS (recorded: publishing changes it)."""
        function = stored.value
        latest = dataclasses.replace(function.latest, revision_id=self._ledger.tools.new_id())
        taken = dataclasses.replace(
            function,
            latest=latest,
            active=latest if function.active == function.latest else function.active,
            next_version=function.next_version + 1,
            published=Published(str(function.next_version), content_digest(latest)),
        )
        await self._ledger.functions.put(key.function, taken, expect=stored.revision)

    async def _write(self, key: FunctionKey, function: Function, description: str | None) -> FunctionVersion:
        number = VersionKey(*key, function.next_version)
        version = dataclasses.replace(
            function.latest,
            version=str(number.number),
            revision_id=self._ledger.tools.new_id(),
            description=function.latest.description if description is None else description,
            state=State.PENDING,
            state_reason=CREATING,
            last_update=None,
            last_update_reason=None,
        )
        for digest in sorted(version.digests):
            await self._ledger.refer(number, digest)
        await self._ledger.documents.put(number.activation, b"")
        return await self._ledger.versions.put(number.version, version, expect=0)

    async def settle(self, key: VersionKey, generation: str, failure: Reason | None) -> FunctionVersion | None:
        """How its activation ended; its revision stays, as on AWS. None when it does not wait for that."""
        async with self._ledger.writing.alone(key.function_key.function):
            while True:
                stored = await self._ledger.versions.read(key.version)
                if stored is None or stored.value.generation != generation or not stored.value.is_settling:
                    return None
                try:
                    return await self._ledger.versions.put(
                        key.version, _settled(stored.value, failure), expect=stored.revision
                    )
                except RevisionConflict:
                    continue

    async def delete(self, scope: Scope, name: str, version: str) -> None:
        """Raises ResourceNotFound, or ResourceConflict while aliases refer to it."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            function = (await self._ledger.must_read(key, version)).value
            number = number_of(version)
            if not number or await self._ledger.versions.read(VersionKey(scope, name, number).version) is None:
                raise not_found(scope, name, version)
            if aliases := sorted(alias.name for alias in function.aliases.values() if version in alias.versions):
                raise ResourceConflict(
                    f"Unable to delete version because the following aliases reference it: [{', '.join(aliases)}]"
                )
            await self._forget_settings(key, version)
            await self._delete(VersionKey(scope, name, number))

    async def _forget_settings(self, key: FunctionKey, version: str) -> None:
        while True:
            stored = await self._ledger.must_read(key)
            settings = stored.value.settings.without(version)
            if settings == stored.value.settings:
                return
            try:
                edited = dataclasses.replace(stored.value, settings=settings)
                await self._ledger.functions.put(key.function, edited, expect=stored.revision)
            except RevisionConflict:
                continue

    # With the function...

    async def first_number(self, key: FunctionKey) -> int:
        """What a function of this name that is created now begins with: no number of one before it."""
        await self.clear(key)
        document = await self._ledger.documents.get(key.next_number)
        return decode_number(document.value) if document is not None else 1

    async def keep_number(self, function: Function) -> None:
        """Before the function is deleted."""
        if function.next_version > 1:
            key = FunctionKey(function.scope, function.name)
            await self._ledger.documents.put(key.next_number, encode_number(function.next_version))

    async def clear(self, key: FunctionKey) -> None:
        """Delete every version of a function that is deleted."""
        while page := await self._ledger.versions.list(key.versions):
            for stored in page:
                await self._delete(version_key_of(stored.key))

    async def drop_orphans(self) -> None:
        """Versions whose function is gone: a crash has cut its deletion short."""
        after = ""
        while page := await self._ledger.versions.list(VERSIONS, after=after):
            after = page[-1].key
            for key in {version_key_of(stored.key).function_key for stored in page}:
                async with self._ledger.writing.alone(key.function):
                    if await self._ledger.functions.read(key.function) is None:
                        await self.clear(key)

    async def _delete(self, key: VersionKey) -> None:
        while (stored := await self._ledger.versions.read(key.version)) is not None:
            try:
                await self._ledger.versions.delete(key.version, expect=stored.revision)
            except RevisionConflict:
                continue
            await self._ledger.documents.delete(key.activation)
            await self._ledger.drop(key, stored.value.digests)


def check_updatable(latest: FunctionVersion, revision_id: str | None) -> None:
    """Raises what AWS answers to an update that comes at the wrong time, or from the wrong revision."""
    if revision_id is not None and revision_id != latest.revision_id:
        raise stale_revision()
    if latest.state is State.PENDING:
        raise ResourceConflict(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {latest.state}"
        )
    if latest.last_update is LastUpdateStatus.IN_PROGRESS:
        raise ResourceConflict(
            f"The operation cannot be performed at this time. An update is in progress for resource: {latest.arn}"
        )


def stale_revision() -> PreconditionFailed:
    return PreconditionFailed(
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    )


def content_digest(latest: FunctionVersion) -> str:
    """Of everything that makes a new version worth a number (reference 5): the code and the whole configuration."""
    blank = dataclasses.replace(
        latest,
        revision_id="",
        generation="",
        last_modified=0.0,
        state=State.ACTIVE,
        state_reason=None,
        last_update=None,
        last_update_reason=None,
    )
    return hashlib.sha256(_sorted.encode(blank)).hexdigest()


def _settled(version: FunctionVersion, failure: Reason | None) -> FunctionVersion:
    if failure is not None:
        return dataclasses.replace(version, state=State.FAILED, state_reason=failure)
    return dataclasses.replace(
        version, state=State.ACTIVE, state_reason=None, last_update=LastUpdateStatus.SUCCESSFUL, last_update_reason=None
    )
