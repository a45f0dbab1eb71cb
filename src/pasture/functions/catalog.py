"""Which functions there are: the one place that reads and writes them.

Every change is one compare-and-set of one document; what must be on disk before it and may go after it (markers of
unfinished work, references to packages) is written here too. Time and identifiers come from outside.
"""

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from pasture.domain.errors import CodeStorageExceeded, PreconditionFailed, ResourceConflict, ResourceNotFound
from pasture.domain.function import Code, Function, FunctionVersion, LastUpdateStatus, Reason, State
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.keyed_lock import KeyedLock
from pasture.functions.package import Packages
from pasture.functions.records import ACTIVATIONS, CODE, FunctionKey, code_prefix, key_of
from pasture.functions.stored import Listener, Stored, StoredFunctions
from pasture.functions.usage import Usage
from pasture.kit.clock import Clock
from pasture.store.documents import Documents, RevisionConflict

CREATING = Reason("The function is being created.", "Creating")

Edit = Callable[[FunctionVersion], FunctionVersion]


class Catalog:
    """`new_id` answers a fresh UUID each time; `open` before use, `close` at the end."""

    def __init__(
        self, documents: Documents, packages: Packages, *, limits: Limits, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._documents = documents
        self._packages = packages
        self._limits = limits
        self._clock = clock
        self._new_id = new_id
        self._functions = StoredFunctions(documents)
        self._writing = KeyedLock()

    def __repr__(self) -> str:
        return f"<Catalog of {len(self._functions)} functions in memory>"

    def open(self) -> None:
        self._functions.open()

    def close(self) -> None:
        self._functions.close()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every change, None meaning that the function is gone. Returns how to stop."""
        return self._functions.on_change(listener)

    # Reading...

    async def find(self, scope: Scope, name: str) -> Function | None:
        """From memory once it has been asked for or written."""
        return await self._functions.find(FunctionKey(scope, name))

    async def get(self, scope: Scope, name: str, qualifier: str | None = None) -> Function:
        """As `find`; raises ResourceNotFound with the ARN as it was asked for."""
        function = await self.find(scope, name)
        if function is None:
            raise _not_found(scope, name, qualifier)
        return function

    async def list(self, scope: Scope, *, after: str = "", limit: int) -> tuple[Sequence[Function], str | None]:
        """Up to `limit` functions in order of name, and the name to go on after; None when these are the last."""
        return await self._functions.list(scope, after=after, limit=limit)

    async def usage(self, scope: Scope) -> Usage:
        """Counted once, then kept."""
        return await self._functions.usage(scope)

    # Writing...

    async def create(self, draft: FunctionVersion, zip_bytes: bytes, tags: Mapping[str, str]) -> Function:
        """`draft` is the configuration; code, identifiers, time and state are set here."""
        key = FunctionKey(draft.scope, draft.name)
        async with self._writing.alone(key.function):
            if await self._functions.read(key) is not None:
                raise _exists(draft.name)
            async with self._keeping(key, zip_bytes) as code:
                latest = self._stamp(dataclasses.replace(draft, code=code, state=State.PENDING, state_reason=CREATING))
                try:
                    return await self._settle_later(key, Function(latest, tags=tags), expect=0)
                except RevisionConflict:
                    raise _exists(draft.name) from None

    async def update_code(
        self, scope: Scope, name: str, zip_bytes: bytes, edit: Edit, *, revision_id: str | None = None
    ) -> Function:
        """`edit` says what else changes with the code."""
        key = FunctionKey(scope, name)
        async with self._writing.alone(key.function):
            check_updatable((await self._must_read(key)).function.latest, revision_id)
            async with self._keeping(key, zip_bytes) as code:
                return await self._update(key, lambda v: dataclasses.replace(edit(v), code=code), revision_id)

    async def check_code(self, zip_bytes: bytes) -> Code:
        """What `update_code` would make of it, or raise; nothing is kept."""
        return await self._packages.check(zip_bytes)

    async def update_configuration(
        self, scope: Scope, name: str, edit: Edit, *, revision_id: str | None = None
    ) -> Function:
        key = FunctionKey(scope, name)
        async with self._writing.alone(key.function):
            return await self._update(key, edit, revision_id)

    async def change(self, scope: Scope, name: str, edit: Callable[[Function], Function]) -> Function:
        """Settings that no environment depends on: tags, reserved concurrency. Nothing has to settle."""
        key = FunctionKey(scope, name)
        async with self._writing.alone(key.function):
            return await self._edit(key, edit)

    async def settle(self, scope: Scope, name: str, generation: str, failure: Reason | None) -> Function | None:
        """How the activation of a generation ended. None when that generation is not, or no longer, waiting for it."""
        key = FunctionKey(scope, name)
        async with self._writing.alone(key.function):
            stored = await self._functions.read(key)
            if stored is None or stored.function.latest.generation != generation:
                return None
            if not stored.function.latest.is_settling:
                return None
            settled = await self._edit(key, lambda f: _settled(f, failure, self._new_id()))
            await self._drop_references(key, stored.function.code - settled.code)
            return settled

    async def unsettled(self, *, after: str = "") -> Sequence[FunctionKey]:
        """A page of the functions that may have to be brought to rest; each is marked before it changes."""
        markers = await self._documents.list(ACTIVATIONS, after=f"{ACTIVATIONS}{after}" if after else "")
        return [key_of(marker.key) for marker in markers]

    async def unmark(self, scope: Scope, name: str) -> None:
        """Take a function off `unsettled`, unless it has something to settle after all."""
        key = FunctionKey(scope, name)
        async with self._writing.alone(key.function):
            stored = await self._functions.read(key)
            if stored is None or not stored.function.latest.is_settling:
                await self._documents.delete(key.activation)

    async def delete(self, scope: Scope, name: str) -> None:
        key = FunctionKey(scope, name)
        async with self._writing.alone(key.function):
            while True:
                stored = await self._must_read(key)
                try:
                    await self._functions.delete(key, expect=stored.revision)
                    break
                except RevisionConflict:
                    continue
            await self._documents.delete(key.activation)
            await self._drop_references(key, stored.function.code)

    # Which code is needed...

    async def is_referenced(self, sha256: str) -> bool:
        """Whether some function may need this package."""
        return bool(await self._documents.list(code_prefix(sha256), limit=1))

    async def drop_stale_references(self) -> None:
        """What a crash between two writes has left."""
        after = ""
        while documents := await self._documents.list(CODE, after=after, limit=1_000):
            after = documents[-1].key
            for document in documents:
                key = key_of(document.key)
                async with self._writing.alone(key.function):
                    stored = await self._functions.read(key)
                    if stored is None or document.key.split("/")[1] not in stored.function.code:
                        await self._documents.delete(document.key)

    @asynccontextmanager
    async def _keeping(self, key: FunctionKey, zip_bytes: bytes) -> AsyncIterator[Code]:
        """The package, kept and referred to; let go again if the function does not come to need it."""
        referred = set[str]()
        before = await self._functions.read(key)

        async def refer(sha256: str) -> None:
            referred.add(sha256)
            await self._documents.put(key.code(sha256), b"")

        try:
            async with self._packages.adding(zip_bytes, before=refer) as code:
                await self._check_storage(key, code)
                yield code
        finally:
            stored = await self._functions.read(key)
            had = before.function.code if before is not None else frozenset()
            needs = stored.function.code if stored is not None else frozenset()
            await self._drop_references(key, (had | referred) - needs)

    async def _drop_references(self, key: FunctionKey, digests: frozenset[str] | set[str]) -> None:
        for sha256 in sorted(digests):
            await self._documents.delete(key.code(sha256))
            self._packages.suspect(sha256)

    async def _check_storage(self, key: FunctionKey, code: Code) -> None:
        usage = await self.usage(key.scope)
        if usage.code_bytes - usage.share_of(key.name).code_bytes + code.size > self._limits.code_storage_bytes:
            raise CodeStorageExceeded("Code storage limit exceeded.")

    # One document...

    async def _update(self, key: FunctionKey, edit: Edit, revision_id: str | None) -> Function:
        def apply(function: Function) -> Function:
            check_updatable(function.latest, revision_id)
            edited = dataclasses.replace(
                edit(function.latest), last_update=LastUpdateStatus.IN_PROGRESS, last_update_reason=CREATING
            )
            return dataclasses.replace(function, latest=self._stamp(edited))

        while True:
            stored = await self._must_read(key)
            updated = apply(stored.function)
            try:
                return await self._settle_later(key, updated, expect=stored.revision)
            except RevisionConflict:
                continue

    def _stamp(self, version: FunctionVersion) -> FunctionVersion:
        return dataclasses.replace(
            version, revision_id=self._new_id(), generation=self._new_id(), last_modified=self._clock.now()
        )

    async def _settle_later(self, key: FunctionKey, function: Function, *, expect: int) -> Function:
        """The marker first: whoever starts after a crash finds by it what is unfinished."""
        await self._documents.put(key.activation, b"")
        return await self._functions.put(key, function, expect=expect)

    async def _edit(self, key: FunctionKey, edit: Callable[[Function], Function]) -> Function:
        while True:
            stored = await self._must_read(key)
            try:
                return await self._functions.put(key, edit(stored.function), expect=stored.revision)
            except RevisionConflict:
                continue

    async def _must_read(self, key: FunctionKey) -> Stored:
        stored = await self._functions.read(key)
        if stored is None:
            raise _not_found(key.scope, key.name)
        return stored


def check_updatable(latest: FunctionVersion, revision_id: str | None) -> None:
    """Raises what AWS answers to an update that comes at the wrong time, or from the wrong revision."""
    if revision_id is not None and revision_id != latest.revision_id:
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )
    if latest.state is State.PENDING:
        raise ResourceConflict(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {latest.state}"
        )
    if latest.last_update is LastUpdateStatus.IN_PROGRESS:
        raise ResourceConflict(
            f"The operation cannot be performed at this time. An update is in progress for resource: {latest.arn}"
        )


def _settled(function: Function, failure: Reason | None, revision_id: str) -> Function:
    latest = dataclasses.replace(function.latest, revision_id=revision_id)
    if failure is None:
        latest = dataclasses.replace(
            latest, state=State.ACTIVE, state_reason=None,
            last_update=LastUpdateStatus.SUCCESSFUL, last_update_reason=None,
        )  # fmt: skip
        return dataclasses.replace(function, latest=latest, active=latest)
    if latest.last_update is LastUpdateStatus.IN_PROGRESS:
        latest = dataclasses.replace(latest, last_update=LastUpdateStatus.FAILED, last_update_reason=failure)
    if function.active is None:
        latest = dataclasses.replace(latest, state=State.FAILED, state_reason=failure)
    return dataclasses.replace(function, latest=latest)


def _exists(name: str) -> ResourceConflict:
    return ResourceConflict(f"Function already exist: {name}")


def _not_found(scope: Scope, name: str, qualifier: str | None = None) -> ResourceNotFound:
    return ResourceNotFound(f"Function not found: {scope.function_arn(name, qualifier)}")
