"""What the parts of the catalog share: the documents, who may write, and which packages are referred to.

A reference is on disk before what needs the package, and is dropped after it, so a crash leaves one too many.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pasture.domain.errors import CodeStorageExceeded, InvalidParameterValue, ResourceNotFound
from pasture.domain.function import Function, FunctionVersion
from pasture.domain.layer import LayerVersion
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.accounts import Accounts
from pasture.functions.package import Packages
from pasture.functions.records import (
    CODE,
    FUNCTION,
    FUNCTIONS,
    LAYER_VERSION,
    LAYER_VERSIONS,
    VERSION,
    VERSIONS,
    FunctionKey,
    LayerVersionKey,
    Owner,
    VersionKey,
    code_prefix,
    owner_of,
)
from pasture.functions.stored import Stored, StoredDocuments
from pasture.kit.clock import Clock
from pasture.kit.keyed_lock import KeyedLock
from pasture.store.documents import Documents

_NUMBER = re.compile(r"[1-9]\d{0,9}", re.ASCII)

Refer = Callable[[Iterable[str]], Awaitable[None]]
"""Put on disk that these digests may be needed."""


@dataclass(frozen=True, slots=True)
class Tools:
    limits: Limits
    clock: Clock
    new_id: Callable[[], str]


class Ledger:
    """`writing` is alone per function and per layer: who changes one, or what belongs to it, takes it."""

    def __init__(self, documents: Documents, packages: Packages, tools: Tools) -> None:
        self.documents = documents
        self.packages = packages
        self.tools = tools
        self.functions: StoredDocuments[Function] = StoredDocuments(documents, FUNCTIONS, FUNCTION)
        self.versions: StoredDocuments[FunctionVersion] = StoredDocuments(documents, VERSIONS, VERSION)
        self.layers: StoredDocuments[LayerVersion] = StoredDocuments(documents, LAYER_VERSIONS, LAYER_VERSION)
        self.accounts = Accounts(self.functions, self.versions, self.layers)
        self.writing = KeyedLock()

    def open(self) -> None:
        for stored in (self.functions, self.versions, self.layers):
            stored.open()

    def close(self) -> None:
        for stored in (self.functions, self.versions, self.layers):
            stored.close()

    async def must_read(self, key: FunctionKey, qualifier: str | None = None) -> Stored[Function]:
        """Raises ResourceNotFound."""
        stored = await self.functions.read(key.function)
        if stored is None:
            raise not_found(key.scope, key.name, qualifier)
        return stored

    # Which packages are needed...

    @asynccontextmanager
    async def referring(self, key: FunctionKey) -> AsyncIterator[Refer]:
        """What the function comes to need is referred to by what this yields; what it does not need after it goes."""
        had = await self._needs(key)
        referred = set[str]()

        async def refer(digests: Iterable[str]) -> None:
            for digest in sorted(set(digests) - had - referred):
                referred.add(digest)
                await self.refer(key, digest)

        try:
            yield refer
        finally:
            await self.drop(key, (had | referred) - await self._needs(key))

    async def refer(self, owner: Owner, digest: str) -> None:
        await self.documents.put(owner.code(digest), b"")

    async def drop(self, owner: Owner, digests: Collection[str]) -> None:
        for digest in sorted(digests):
            await self.documents.delete(owner.code(digest))
            self.packages.suspect(digest)

    async def is_referenced(self, digest: str) -> bool:
        return bool(await self.documents.list(code_prefix(digest), limit=1))

    async def drop_stale_references(self) -> None:
        """What a crash between two writes has left."""
        after = ""
        while documents := await self.documents.list(CODE, after=after, limit=1_000):
            after = documents[-1].key
            for document in documents:
                owner = owner_of(document.key)
                async with self.writing.alone(lock_of(owner)):
                    if document.key.split("/")[1] not in await self._needs(owner):
                        await self.documents.delete(document.key)

    async def _needs(self, owner: Owner) -> frozenset[str]:
        match owner:
            case FunctionKey():
                function = await self.functions.read(owner.function)
                return function.value.code if function is not None else frozenset()
            case VersionKey():
                version = await self.versions.read(owner.version)
                return version.value.digests if version is not None else frozenset()
            case LayerVersionKey():
                layer = await self.layers.read(owner.version)
                return frozenset((layer.value.code.sha256,)) if layer is not None else frozenset()

    # Limits...

    async def check_storage(self, scope: Scope, size: int, *, instead_of: str = "") -> None:
        """Whether the account has room for a package, in place of what the document of that key counts for."""
        usage = await self.accounts.usage(scope)
        if usage.code_bytes - usage.share_of(instead_of).code_bytes + size > self.tools.limits.code_storage_bytes:
            raise CodeStorageExceeded("Code storage limit exceeded.")

    async def check_unzipped(self, version: FunctionVersion) -> None:
        """A function and its layers together; each alone has been measured as it was unpacked."""
        if not version.layers:
            return
        digests = (version.code.sha256, *version.layer_digests)
        size = sum(await asyncio.gather(*(self.packages.unzipped_bytes(digest) for digest in digests)))
        limit = self.tools.limits.code_unzipped_bytes
        if size > limit:
            raise InvalidParameterValue(
                f"Function code combined with layers exceeds the maximum allowed size of {limit} bytes. "
                f"The actual size is {size} bytes."
            )


def lock_of(owner: Owner) -> str:
    """What whoever changes this holds in `writing`."""
    match owner:
        case FunctionKey():
            return owner.function
        case VersionKey():
            return owner.function_key.function
        case LayerVersionKey():
            return owner.layer


def not_found(scope: Scope, name: str, qualifier: str | None = None) -> ResourceNotFound:
    return ResourceNotFound(f"Function not found: {scope.function_arn(name, qualifier)}")


def number_of(version: str) -> int | None:
    """Of a published version; None for `$LATEST` and whatever is no version's name (`01`)."""
    return int(version) if _NUMBER.fullmatch(version) else None
