"""Which functions there are: the one place that reads and writes them.

Every change is one compare-and-set of one document; what must be on disk before it and may go after it (markers of
unfinished work, references to packages) is written here too. Time and identifiers come from outside. Published
versions, aliases, layers, resource policies, reserved concurrency, code signing, function URLs and event source
mappings are the catalog's `versions`, `aliases`, `layers`, `permissions`, `reservations`, `code_signing`, `urls` and
`event_source_mappings`.
"""

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from pasture.domain.errors import ResourceConflict
from pasture.domain.function import LATEST, Code, Function, FunctionVersion, LastUpdateStatus, Reason, State
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.aliases import Aliases
from pasture.functions.code_signing import CodeSigning, Inspect, unsigned
from pasture.functions.event_source_mappings import EventSourceMappings
from pasture.functions.layers import Layers
from pasture.functions.ledger import Ledger, Refer, Tools, not_found
from pasture.functions.package import Package, Packages
from pasture.functions.permissions import Permissions
from pasture.functions.provisioned import Provisioned
from pasture.functions.records import ACTIVATIONS, FunctionKey, VersionKey, functions_prefix, key_of, settling_of
from pasture.functions.settings import Reservations
from pasture.functions.url_index import UrlIndex
from pasture.functions.usage import Usage
from pasture.functions.versions import CREATING, Versions, check_updatable
from pasture.images.images import FoundImage
from pasture.kit.clock import Clock
from pasture.store.documents import Documents, RevisionConflict

Edit = Callable[[FunctionVersion], FunctionVersion]
Listener = Callable[[Scope, str, Function | None], None]


class Catalog:
    """`new_id` answers a fresh UUID each time; `open` before use, `close` at the end."""

    def __init__(
        self,
        documents: Documents,
        packages: Packages,
        *,
        limits: Limits,
        clock: Clock,
        new_id: Callable[[], str],
        inspect: Inspect = unsigned,
    ) -> None:
        self._ledger = Ledger(documents, packages, Tools(limits, clock, new_id))
        self.versions = Versions(self._ledger)
        self.aliases = Aliases(self._ledger, self.versions)
        self.code_signing = CodeSigning(self._ledger, inspect, self._edit)
        self.layers = Layers(self._ledger, self.code_signing)
        self.urls = UrlIndex(self._ledger, self._edit)
        self.permissions = Permissions(self._ledger)
        self.reservations = Reservations(self._ledger, self.change)
        self.provisioned = Provisioned(self._ledger, self.change)
        self.event_source_mappings = EventSourceMappings(documents, self._ledger.tools)

    def __repr__(self) -> str:
        return f"<Catalog of {len(self._ledger.functions)} functions in memory>"

    def open(self) -> None:
        self._ledger.open()
        self.event_source_mappings.open()

    def close(self) -> None:
        self.event_source_mappings.close()
        self._ledger.close()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every change, None meaning that the function is gone. Returns how to stop."""
        return self._ledger.functions.on_change(lambda key, function: listener(*key_of(key), function))

    # Reading...

    async def find(self, scope: Scope, name: str) -> Function | None:
        """From memory once it has been asked for or written."""
        return await self._ledger.functions.find(FunctionKey(scope, name).function)

    async def get(self, scope: Scope, name: str, qualifier: str | None = None) -> Function:
        """As `find`; raises ResourceNotFound with the ARN as it was asked for."""
        function = await self.find(scope, name)
        if function is None:
            raise not_found(scope, name, qualifier)
        return function

    async def find_version(self, scope: Scope, name: str, version: str) -> FunctionVersion | None:
        """A version of a function: `$LATEST` as it is configured, or a published one."""
        if version != LATEST:
            return await self.versions.find(scope, name, version)
        function = await self.find(scope, name)
        return function.latest if function is not None else None

    async def list(self, scope: Scope, *, after: str = "", limit: int) -> tuple[Sequence[Function], str | None]:
        """Up to `limit` functions in order of name, and the name to go on after; None when these are the last."""
        prefix = functions_prefix(scope)
        found = await self._ledger.functions.list(prefix, after=prefix + after if after else "", limit=limit + 1)
        page = [stored.value for stored in found[:limit]]
        return page, page[-1].name if len(found) > limit else None

    async def list_versions(
        self, scope: Scope, *, after: tuple[str, int] = ("", -1), limit: int
    ) -> tuple[Sequence[FunctionVersion], tuple[str, int] | None]:
        """As `list`, of every version of every function; what to go on after is a name and a number."""
        name, number = after
        found: list[FunctionVersion] = []
        function = await self.find(scope, name) if name else None
        while True:
            if function is not None:
                found += await self.versions.list(function, after=number, limit=limit + 1 - len(found))
            if len(found) > limit:
                last = found[limit - 1]
                return found[:limit], (last.name, 0 if last.version == LATEST else int(last.version))
            page, _ = await self.list(scope, after=name, limit=1)
            if not page:
                return found, None
            function, name, number = page[0], page[0].name, -1

    async def usage(self, scope: Scope) -> Usage:
        """Counted once, then kept."""
        return await self._ledger.accounts.usage(scope)

    # Writing...

    async def create(
        self,
        draft: FunctionVersion,
        package: Package | FoundImage,
        tags: Mapping[str, str],
        *,
        publish: bool = False,
        code_signing_config: str = "",
    ) -> Function:
        """`draft` is the configuration; code, identifiers, time and state are set here."""
        key = FunctionKey(draft.scope, draft.name)
        async with self._ledger.writing.alone(key.function):
            if await self._ledger.functions.read(key.function) is not None:
                raise _exists(draft.name)
            async with self._ledger.referring(key) as refer, self._adding(key, package, refer, publish) as added:
                signing = self.code_signing
                code = added
                if not isinstance(package, FoundImage):
                    code = await signing.admitted(key.scope, code_signing_config, added, key.name)
                layers = await signing.admitted_layers(key.scope, code_signing_config, draft.layers, key.name)
                latest = self._stamp(
                    dataclasses.replace(draft, code=code, layers=layers, state=State.PENDING, state_reason=CREATING)
                )
                await self._prepare(latest, refer)
                function = Function(
                    latest,
                    tags=tags,
                    next_version=await self.versions.first_number(key),
                    code_signing_config=code_signing_config,
                )
                try:
                    async with self.code_signing.configs.in_use(key, code_signing_config):
                        await self._settle_later(key, function, expect=0)
                except RevisionConflict:
                    raise _exists(draft.name) from None
            return await self._published(key) if publish else function

    async def update_code(
        self,
        scope: Scope,
        name: str,
        package: Package | FoundImage,
        edit: Edit,
        *,
        revision_id: str | None = None,
        publish: bool = False,
    ) -> Function:
        """`edit` says what else changes with the code."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            current = (await self._ledger.must_read(key)).value
            check_updatable(current.latest, revision_id)
            async with self._ledger.referring(key) as refer, self._adding(key, package, refer, publish) as added:
                code = added
                if not isinstance(package, FoundImage):
                    config, subject = current.code_signing_config, current.latest.arn
                    code = await self.code_signing.admitted(scope, config, added, subject)
                function = await self._update(
                    key, lambda v: dataclasses.replace(edit(v), code=code), refer, revision_id
                )
            return await self._published(key) if publish else function

    async def check_code(self, function: Function, package: Package | FoundImage) -> Code:
        """What `update_code` would make of it, or raise; nothing is kept."""
        if isinstance(package, FoundImage):
            return Code(package.digest, 0)
        code = await self._ledger.packages.check(package)
        config, subject = function.code_signing_config, function.latest.arn
        return await self.code_signing.admitted(function.scope, config, code, subject, package)

    async def update_configuration(
        self, scope: Scope, name: str, edit: Edit, *, revision_id: str | None = None
    ) -> Function:
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function), self._ledger.referring(key) as refer:
            return await self._update(key, edit, refer, revision_id)

    async def change(self, scope: Scope, name: str, edit: Callable[[Function], Function]) -> Function:
        """Settings that no environment depends on: tags, URLs, reserved concurrency. Nothing has to settle."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            return await self._edit(key, edit)

    async def delete(self, scope: Scope, name: str) -> None:
        """With its versions and aliases."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            while True:
                stored = await self._ledger.must_read(key)
                await self.versions.keep_number(stored.value)
                try:
                    await self._ledger.functions.delete(key.function, expect=stored.revision)
                    break
                except RevisionConflict:
                    continue
            await self.code_signing.configs.drop_use(key, stored.value.code_signing_config)
            await self.urls.drop(*(url.id for url in stored.value.settings.urls.values()))
            await self.versions.clear(key)
            await self._ledger.documents.delete(key.activation)
            await self._ledger.drop(key, stored.value.code)

    # Coming to rest...

    async def settle(self, scope: Scope, name: str, generation: str, failure: Reason | None) -> Function | None:
        """How the activation of a generation ended. None when that generation is not, or no longer, waiting for it."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            stored = await self._ledger.functions.read(key.function)
            if stored is None or stored.value.latest.generation != generation:
                return None
            if not stored.value.latest.is_settling:
                return None
            settled = await self._edit(key, lambda f: _settled(f, failure, self._ledger.tools.new_id()))
            await self._ledger.drop(key, stored.value.code - settled.code)
            return settled

    async def unsettled(self, *, after: str = "") -> Sequence[FunctionKey | VersionKey]:
        """A page of what may have to be brought to rest; each is marked before it changes."""
        markers = await self._ledger.documents.list(ACTIVATIONS, after=f"{ACTIVATIONS}{after}" if after else "")
        return [settling_of(marker.key) for marker in markers]

    async def unmark(self, scope: Scope, name: str, number: int | None = None) -> None:
        """Take a function, or a version of it, off `unsettled`, unless it has something to settle after all."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            if number is not None:
                version = await self._ledger.versions.read(VersionKey(*key, number).version)
                if version is None or not version.value.is_settling:
                    await self._ledger.documents.delete(VersionKey(*key, number).activation)
                return
            stored = await self._ledger.functions.read(key.function)
            if stored is None or not stored.value.latest.is_settling:
                await self._ledger.documents.delete(key.activation)

    # Which packages are needed...

    async def is_referenced(self, sha256: str) -> bool:
        """Whether some function, version or layer may need this package."""
        return await self._ledger.is_referenced(sha256)

    async def drop_stale_references(self) -> None:
        """What a crash between two writes has left."""
        await self.versions.drop_orphans()
        await self.code_signing.configs.drop_stale_uses()
        await self.urls.drop_stale()
        await self._ledger.drop_stale_references()

    @asynccontextmanager
    async def _adding(
        self, key: FunctionKey, package: Package | FoundImage, refer: Refer, publish: bool
    ) -> AsyncIterator[Code]:
        """The package, kept and held; refused when the account has no room for it, and for the version it becomes.

        Of an image there is nothing yet: activation pulls it. It does not count as stored, as on AWS.
        """
        if isinstance(package, FoundImage):
            with self._ledger.packages.holding(package.digest):
                await refer((package.digest,))
                yield Code(package.digest, 0)
            return
        async with self._ledger.packages.adding(package, before=lambda sha256: refer((sha256,))) as code:
            await self._ledger.check_storage(key.scope, code.size * (2 if publish else 1), instead_of=key.function)
            yield code

    async def _prepare(self, version: FunctionVersion, refer: Refer) -> None:
        """Before a configuration is written: what it needs fits, and is referred to."""
        await self._ledger.check_unzipped(version)
        await refer(version.digests)

    # One document...

    async def _update(self, key: FunctionKey, edit: Edit, refer: Refer, revision_id: str | None) -> Function:
        while True:
            stored = await self._ledger.must_read(key)
            latest = stored.value.latest
            check_updatable(latest, revision_id)
            updated = self._stamp(
                dataclasses.replace(edit(latest), last_update=LastUpdateStatus.IN_PROGRESS, last_update_reason=CREATING)
            )
            if updated.layers != latest.layers:
                layers = await self.code_signing.admitted_layers(
                    key.scope, stored.value.code_signing_config, updated.layers, latest.arn
                )
                updated = dataclasses.replace(updated, layers=layers)
            if updated.digests != latest.digests:
                await self._prepare(updated, refer)
            try:
                return await self._settle_later(
                    key, dataclasses.replace(stored.value, latest=updated), expect=stored.revision
                )
            except RevisionConflict:
                continue

    async def _published(self, key: FunctionKey) -> Function:
        """The function after its `$LATEST`, just written, has been published."""
        await self.versions.publish_locked(key)
        return (await self._ledger.must_read(key)).value

    def _stamp(self, version: FunctionVersion) -> FunctionVersion:
        tools = self._ledger.tools
        return dataclasses.replace(
            version, revision_id=tools.new_id(), generation=tools.new_id(), last_modified=tools.clock.now()
        )

    async def _settle_later(self, key: FunctionKey, function: Function, *, expect: int) -> Function:
        """The marker first: whoever starts after a crash finds by it what is unfinished."""
        await self._ledger.documents.put(key.activation, b"")
        return await self._ledger.functions.put(key.function, function, expect=expect)

    async def _edit(self, key: FunctionKey, edit: Callable[[Function], Function]) -> Function:
        while True:
            stored = await self._ledger.must_read(key)
            try:
                return await self._ledger.functions.put(key.function, edit(stored.value), expect=stored.revision)
            except RevisionConflict:
                continue


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
