"""Aliases: names for versions, kept in the function's own document.

What an alias may point to is AWS's rule (reference 5 and 13); words without a source are ours. The versions that
an alias points to are there as long as it is: deleting one that has an alias is refused, and both take the
function's lock.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pasture.domain.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from pasture.domain.function import LATEST, Alias, Function, FunctionVersion
from pasture.domain.scope import Scope
from pasture.functions.ledger import Ledger, not_found
from pasture.functions.provisioned import check_alias
from pasture.functions.records import FunctionKey
from pasture.functions.versions import Versions, stale_revision
from pasture.store.documents import RevisionConflict


class Aliases:
    def __init__(self, ledger: Ledger, versions: Versions) -> None:
        self._ledger = ledger
        self._versions = versions

    async def create(self, scope: Scope, name: str, draft: Alias) -> Alias:
        def edit(function: Function) -> Alias:
            if draft.name in function.aliases:
                raise ResourceConflict(f"Alias already exists: {scope.function_arn(name, draft.name)}")
            return draft

        return await self._put(FunctionKey(scope, name), edit)

    async def update(
        self, scope: Scope, name: str, alias: str, edit: Callable[[Alias], Alias], *, revision_id: str | None = None
    ) -> Alias:
        def apply(function: Function) -> Alias:
            known = function.aliases.get(alias)
            if known is None:
                raise ResourceNotFound(f"Alias not found: {scope.function_arn(name, alias)}")
            if revision_id is not None and revision_id != known.revision_id:
                raise stale_revision()
            return edit(known)

        return await self._put(FunctionKey(scope, name), apply)

    async def delete(self, scope: Scope, name: str, alias: str) -> None:
        """Silently nothing when there is none, as on AWS; raises ResourceNotFound without the function."""
        key = FunctionKey(scope, name)

        def without(function: Function) -> Function | None:
            if alias not in function.aliases:
                return None
            kept = {known: value for known, value in function.aliases.items() if known != alias}
            return dataclasses.replace(function, aliases=kept, settings=function.settings.without(alias))

        async with self._ledger.writing.alone(key.function):
            while True:
                stored = await self._ledger.must_read(key, alias)
                if (edited := without(stored.value)) is None:
                    return
                try:
                    await self._ledger.functions.put(key.function, edited, expect=stored.revision)
                    return
                except RevisionConflict:
                    continue

    async def _put(self, key: FunctionKey, edit: Callable[[Function], Alias]) -> Alias:
        async with self._ledger.writing.alone(key.function):
            while True:
                stored = await self._ledger.must_read(key)
                alias = dataclasses.replace(edit(stored.value), revision_id=self._ledger.tools.new_id())
                check_weights(alias)
                check_alias(stored.value, alias)
                await self._check_targets(stored.value, alias)
                aliases = {**stored.value.aliases, alias.name: alias}
                try:
                    function = dataclasses.replace(stored.value, aliases=dict(sorted(aliases.items())))
                    await self._ledger.functions.put(key.function, function, expect=stored.revision)
                    return alias
                except RevisionConflict:
                    continue

    async def _check_targets(self, function: Function, alias: Alias) -> None:
        targets: list[FunctionVersion] = []
        for version in (alias.version, *alias.weights):
            target = (
                function.latest
                if version == LATEST
                else await self._versions.find(function.scope, function.name, version)
            )
            if target is None:
                raise not_found(function.scope, function.name, version)
            targets.append(target)
        check_alike(targets)


def check_weights(alias: Alias) -> None:
    if len(alias.weights) > 1:
        raise InvalidParameterValue("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if alias.version in alias.weights:
        raise InvalidParameterValue(
            f"Invalid function version {alias.version}. "
            f"Function version {alias.version} is already included in routing configuration."
        )
    if alias.weights and alias.version == LATEST:
        raise InvalidParameterValue("$LATEST is not supported for an alias pointing to more than 1 version")


def check_alike(targets: Sequence[FunctionVersion]) -> None:
    """Versions that share an alias have one execution role and one dead-letter queue (developer guide, aliases)."""
    if len({target.role for target in targets}) > 1:
        raise InvalidParameterValue("The versions that an alias points to must have the same execution role.")
    queues = [dict(target.more.get("DeadLetterConfig") or {}) for target in targets]
    if any(queue != queues[0] for queue in queues):
        raise InvalidParameterValue(
            "The versions that an alias points to must have the same dead-letter configuration."
        )


def weights_of(routing: Mapping[str, Mapping[str, float]] | None) -> dict[str, float]:
    """Of a request's RoutingConfig."""
    return dict((routing or {}).get("AdditionalVersionWeights") or {})
