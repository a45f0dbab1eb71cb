"""Code signing configurations, and which functions have which.

A use is a document of its own, so that who has a configuration is found without looking at every function. It is on
disk before the function that names the configuration; a function that does not name it has no use, whatever the
documents say. Attaching takes the function's lock, then the configuration's; deleting takes the configuration's alone.
"""

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from pasture.domain.code_signing import CodeSigningConfig, ConfigRef, parse_config_arn
from pasture.domain.errors import CodeSigningConfigNotFound, ResourceConflict, ResourceNotFound
from pasture.domain.scope import Scope
from pasture.functions.ledger import Ledger
from pasture.functions.records import (
    CODE_SIGNING_CONFIG,
    CODE_SIGNING_USES,
    CodeSigningKey,
    FunctionKey,
    code_signing_configs_prefix,
    use_of,
)
from pasture.store.documents import Document, RevisionConflict

Edit = Callable[[CodeSigningConfig], CodeSigningConfig]


class CodeSigningConfigs:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._documents = ledger.documents

    # Reading...

    async def find(self, ref: ConfigRef) -> CodeSigningConfig | None:
        document = await self._documents.get(CodeSigningKey(ref).config)
        return _decoded(document) if document is not None else None

    async def get(self, ref: ConfigRef) -> CodeSigningConfig:
        """Raises ResourceNotFound."""
        config = await self.find(ref)
        if config is None:
            raise not_found(ref.arn)
        return config

    async def of_function(self, scope: Scope, arn: str) -> CodeSigningConfig:
        """The one of this ARN, for a function in `scope`. Raises CodeSigningConfigNotFound."""
        ref = parse_config_arn(arn)
        config = await self.find(ref) if ref is not None and ref.scope == scope else None
        if config is None:
            raise _none_to_have(arn)
        return config

    async def list(
        self, scope: Scope, *, after: str = "", limit: int
    ) -> tuple[Sequence[CodeSigningConfig], str | None]:
        """Up to `limit` in order of their identifiers, and the identifier to go on after; None when these are all."""
        prefix = code_signing_configs_prefix(scope)
        found = await self._documents.list(prefix, after=prefix + after if after else "", limit=limit + 1)
        page = [_decoded(document) for document in found[:limit]]
        return page, page[-1].id if len(found) > limit else None

    async def functions(self, ref: ConfigRef, *, after: str = "", limit: int) -> tuple[Sequence[str], str | None]:
        """The names of the functions that have it, as `list`."""
        key = CodeSigningKey(ref)
        found: list[str] = []
        at = key.use(after) if after else ""
        while page := await self._documents.list(key.uses, after=at, limit=limit + 1 - len(found)):
            at = page[-1].key
            names = [use_of(document.key)[1].name for document in page]
            found += [name for name in names if await self._has(FunctionKey(ref.scope, name), ref)]
            if len(found) > limit:
                return found[:limit], found[limit - 1]
        return found, None

    async def _has(self, function: FunctionKey, ref: ConfigRef) -> bool:
        stored = await self._ledger.functions.find(function.function)
        return stored is not None and stored.code_signing_config == ref.arn

    # Writing...

    async def create(self, draft: CodeSigningConfig) -> CodeSigningConfig:
        """Identifier and time are set here."""
        while True:
            identifier = "csc-" + self._ledger.tools.new_id().replace("-", "")[-17:]
            made = dataclasses.replace(draft, id=identifier, modified=self._ledger.tools.clock.now())
            try:
                return await self._put(made, expect=0)
            except RevisionConflict:
                continue

    async def change(self, ref: ConfigRef, edit: Edit) -> CodeSigningConfig:
        """Raises ResourceNotFound."""
        key = CodeSigningKey(ref)
        async with self._ledger.writing.alone(key.config):
            while True:
                document = await self._documents.get(key.config)
                if document is None:
                    raise not_found(ref.arn)
                try:
                    return await self._put(edit(_decoded(document)), expect=document.revision)
                except RevisionConflict:
                    continue

    async def update(self, ref: ConfigRef, edit: Edit) -> CodeSigningConfig:
        """As `change`, and it counts as a modification."""
        now = self._ledger.tools.clock.now()
        return await self.change(ref, lambda config: dataclasses.replace(edit(config), modified=now))

    async def delete(self, ref: ConfigRef) -> None:
        """Raises ResourceNotFound, or ResourceConflict while a function has it."""
        key = CodeSigningKey(ref)
        async with self._ledger.writing.alone(key.config):
            await self.get(ref)
            users, _ = await self.functions(ref, limit=1)
            if users:
                raise ResourceConflict(
                    f"The code signing configuration {ref.arn} cannot be deleted because it is in use by the function "
                    f"{users[0]}. ListFunctionsByCodeSigningConfig shows all functions that use it."
                )
            await self._documents.delete(key.config)

    async def _put(self, config: CodeSigningConfig, *, expect: int) -> CodeSigningConfig:
        key = CodeSigningKey(config.ref)
        await self._documents.put(key.config, CODE_SIGNING_CONFIG.encode(config), expect=expect)
        return config

    # Uses; for who holds the function's lock...

    @asynccontextmanager
    async def in_use(self, function: FunctionKey, arn: str) -> AsyncIterator[None]:
        """Inside, the configuration is not deleted, so that the function can come to name it.

        Nothing for an empty ARN. Raises CodeSigningConfigNotFound.
        """
        ref = parse_config_arn(arn)
        if not arn or ref is None:
            yield
            return
        key = CodeSigningKey(ref)
        async with self._ledger.writing.alone(key.config):
            await self.of_function(function.scope, arn)
            await self._documents.put(key.use(function.name), b"")
            yield

    async def drop_use(self, function: FunctionKey, arn: str) -> None:
        """After the function has come to name another one, or none, or is gone."""
        if (ref := parse_config_arn(arn)) is not None:
            await self._documents.delete(CodeSigningKey(ref).use(function.name))

    async def drop_stale_uses(self) -> None:
        """What a crash between two writes has left."""
        after = ""
        while page := await self._documents.list(CODE_SIGNING_USES, after=after):
            after = page[-1].key
            for document in page:
                key, function = use_of(document.key)
                async with self._ledger.writing.alone(function.function):
                    if not await self._has(function, key.ref):
                        await self._documents.delete(document.key)


def not_found(arn: str) -> ResourceNotFound:
    return ResourceNotFound(f"The Lambda code signing configuration {arn} can not be found.")


def _none_to_have(arn: str) -> CodeSigningConfigNotFound:
    return CodeSigningConfigNotFound(
        f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    )


def _decoded(document: Document) -> CodeSigningConfig:
    return CODE_SIGNING_CONFIG.decode(document.value)
