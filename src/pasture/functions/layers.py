"""Layers: numbered packages that functions lay at /opt, and who may use them.

A layer version is one document, immutable but for its policy; the layer's own document holds only the number that
comes next, and stays when every version is gone, so that no number is used twice. Functions refer to the packages of
their layers themselves: deleting a layer version takes nothing from them.
"""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from pasture.domain.errors import (
    AccessDenied,
    InvalidParameterValue,
    PreconditionFailed,
    ResourceConflict,
    ResourceNotFound,
)
from pasture.domain.function import Code, UsedLayer
from pasture.domain.layer import LayerRef, LayerStatement, LayerVersion, parse_layer_arn
from pasture.domain.scope import Scope
from pasture.functions.code_signing import CodeSigning
from pasture.functions.ledger import Ledger
from pasture.functions.package import Package
from pasture.functions.records import (
    LayerVersionKey,
    decode_number,
    encode_number,
    layer_versions_prefix,
    layers_prefix,
)
from pasture.functions.stored import Stored
from pasture.store.documents import RevisionConflict

_NUMBER_MAX = 9_999_999_999
"""As many digits as keys have."""


class Layers:
    def __init__(self, ledger: Ledger, code_signing: CodeSigning) -> None:
        self._ledger = ledger
        self._code_signing = code_signing

    # Reading...

    async def find(self, ref: LayerRef) -> LayerVersion | None:
        """That version; the policy is the caller's to ask."""
        key = _key(ref)
        return await self._ledger.layers.find(key.version) if key is not None else None

    async def versions(
        self, scope: Scope, name: str, *, runtime: str | None = None, architecture: str | None = None
    ) -> Sequence[LayerVersion]:
        """Those that suit, the newest first. A layer's versions are few enough to be read at once."""
        found: list[LayerVersion] = []
        after = ""
        while page := await self._ledger.layers.list(layer_versions_prefix(scope, name), after=after):
            after = page[-1].key
            found += [entry.value for entry in page if entry.value.suits(runtime, architecture)]
        return found[::-1]

    async def list(
        self, scope: Scope, *, after: str, limit: int, runtime: str | None = None, architecture: str | None = None
    ) -> tuple[Sequence[LayerVersion], str | None]:
        """The newest version that suits of every layer that has one, in order of name; and the name to go on after."""
        prefix = layers_prefix(scope)
        found: list[LayerVersion] = []
        while documents := await self._ledger.documents.list(prefix, after=prefix + after if after else "", limit=100):
            for document in documents:
                after = document.key.removeprefix(prefix)
                if suiting := await self.versions(scope, after, runtime=runtime, architecture=architecture):
                    if len(found) == limit:
                        return found, found[-1].name
                    found.append(suiting[0])
        return found, None

    # Writing...

    async def publish(self, draft: LayerVersion, package: Package) -> LayerVersion:
        """`draft` is what the caller said of it; number, time and package are set here."""
        while True:
            try:
                async with self._ledger.writing.alone(_first(draft).layer):
                    return await self._publish(draft, package)
            except RevisionConflict:
                continue

    async def _publish(self, draft: LayerVersion, package: Package) -> LayerVersion:
        ledger = self._ledger
        counter = await ledger.documents.get(_first(draft).layer)
        number = decode_number(counter.value) if counter is not None else 1
        key = LayerVersionKey(draft.scope, draft.name, number)
        referred = set[str]()

        async def refer(sha256: str) -> None:
            referred.add(sha256)
            await ledger.refer(key, sha256)

        try:
            async with ledger.packages.adding(package, before=refer) as added:
                await ledger.check_storage(draft.scope, added.size)
                code, _ = await self._code_signing.inspected(added)
                version = dataclasses.replace(draft, number=number, code=code, created=ledger.tools.clock.now())
                # The number first: whatever happens after this, it is not used again.
                revision = counter.revision if counter is not None else 0
                await ledger.documents.put(key.layer, encode_number(number + 1), expect=revision)
                return await ledger.layers.put(key.version, version, expect=0)
        except BaseException:
            if await ledger.layers.read(key.version) is None:
                await ledger.drop(key, referred)
            raise

    async def delete(self, ref: LayerRef) -> None:
        """Silently nothing when there is none, as on AWS."""
        key = _key(ref)
        if key is None:
            return
        async with self._ledger.writing.alone(key.layer):
            while (stored := await self._ledger.layers.read(key.version)) is not None:
                try:
                    await self._ledger.layers.delete(key.version, expect=stored.revision)
                except RevisionConflict:
                    continue
                await self._ledger.drop(key, {stored.value.code.sha256})

    # Of functions...

    @asynccontextmanager
    async def using(self, arns: Sequence[str], scope: Scope, caller: str) -> AsyncIterator[tuple[UsedLayer, ...]]:
        """What these layer versions are; inside, their packages stay, so that a function can come to refer to them.

        `caller` is the ARN of who asks, for the words of a refusal. Raises InvalidParameterValue or AccessDenied.
        """
        with ExitStack() as holds:
            used = []
            for arn in arns:
                code = await self._usable(arn, scope, caller)
                holds.enter_context(self._ledger.packages.holding(code.sha256))
                # Held, and there still: from here on nobody takes it away.
                used.append(UsedLayer(arn, await self._usable(arn, scope, caller)))
            yield tuple(used)

    async def _usable(self, arn: str, scope: Scope, caller: str) -> Code:
        ref = parse_layer_arn(arn)
        if ref is not None and ref.scope.region != scope.region:
            raise InvalidParameterValue(
                "Layers are not in the same region as the function. "
                f"Layers are expected to be in region {scope.region}."
            )
        version = await self._read(ref) if ref is not None else None
        if ref is not None and ref.scope.account != scope.account:
            if version is None or not version.value.permits(scope.account):
                raise denied(arn, caller)
        elif version is None:
            raise InvalidParameterValue(f"Layer version {arn} does not exist.")
        return version.value.code

    async def _read(self, ref: LayerRef) -> Stored[LayerVersion] | None:
        key = _key(ref)
        return await self._ledger.layers.read(key.version) if key is not None else None

    # Policies...

    async def permit(self, ref: LayerRef, statement: LayerStatement, revision_id: str | None) -> LayerVersion:
        def edit(version: LayerVersion) -> Mapping[str, LayerStatement]:
            if statement.id in version.statements:
                raise ResourceConflict(
                    f"The statement id ({statement.id}) provided already exists. "
                    "Please provide a new statement id, or remove the existing statement."
                )
            return {**version.statements, statement.id: statement}

        return await self._edit_policy(ref, edit, revision_id)

    async def forbid(self, ref: LayerRef, statement_id: str, revision_id: str | None) -> LayerVersion:
        """Take a statement away again."""

        def edit(version: LayerVersion) -> Mapping[str, LayerStatement]:
            if statement_id not in version.statements:
                raise ResourceNotFound(f"Statement {statement_id} is not found in resource policy.")
            return {id_: statement for id_, statement in version.statements.items() if id_ != statement_id}

        return await self._edit_policy(ref, edit, revision_id)

    async def _edit_policy(self, ref: LayerRef, edit: Any, revision_id: str | None) -> LayerVersion:
        key = _key(ref)
        if key is None:
            raise ResourceNotFound(f"Layer version {ref.arn} does not exist.")
        async with self._ledger.writing.alone(key.layer):
            while True:
                stored = await self._ledger.layers.read(key.version)
                if stored is None:
                    raise ResourceNotFound(f"Layer version {ref.arn} does not exist.")
                statements = _edited(stored.value, edit, revision_id)
                edited = dataclasses.replace(
                    stored.value, statements=statements, policy_revision=self._ledger.tools.new_id()
                )
                try:
                    return await self._ledger.layers.put(key.version, edited, expect=stored.revision)
                except RevisionConflict:
                    continue


def denied(arn: str, caller: str, action: str = "lambda:GetLayerVersion") -> AccessDenied:
    """Also for what does not exist: another account is not told which layers there are."""
    return AccessDenied(
        f"User: {caller} is not authorized to perform: {action} on resource: {arn} "
        f"because no resource-based policy allows the {action} action"
    )


def _edited(version: LayerVersion, edit: Any, revision_id: str | None) -> Mapping[str, LayerStatement]:
    if revision_id is not None and revision_id != version.policy_revision:
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetLayerPolicy API to retrieve the latest Revision Id"
        )
    statements: Mapping[str, LayerStatement] = edit(version)
    return statements


def _first(draft: LayerVersion) -> LayerVersionKey:
    return LayerVersionKey(draft.scope, draft.name, 1)


def _key(ref: LayerRef) -> LayerVersionKey | None:
    """None for a number that no version has."""
    if ref.number is None or not 1 <= ref.number <= _NUMBER_MAX:
        return None
    return LayerVersionKey(ref.scope, ref.name, ref.number)
