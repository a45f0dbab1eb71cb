"""How much every account has in every region, counted once and then kept as functions, versions and layers change."""

from collections.abc import Callable
from typing import Any

from pasture.domain.function import Function, FunctionVersion
from pasture.domain.layer import LayerVersion
from pasture.domain.scope import Scope
from pasture.functions.records import functions_prefix, layer_versions_prefix, versions_prefix
from pasture.functions.stored import StoredDocuments
from pasture.functions.usage import Share, Usage


class Accounts:
    def __init__(
        self,
        functions: StoredDocuments[Function],
        versions: StoredDocuments[FunctionVersion],
        layers: StoredDocuments[LayerVersion],
    ) -> None:
        self._counted: tuple[tuple[StoredDocuments[Any], Callable[[Scope], str]], ...] = (
            (functions, functions_prefix),
            (versions, versions_prefix),
            (layers, layer_versions_prefix),
        )
        self._usage: dict[Scope, Usage] = {}
        for stored, _ in self._counted:
            stored.on_change(self._on_change)

    async def usage(self, scope: Scope) -> Usage:
        usage = self._usage.get(scope)
        if usage is None:
            usage = self._usage[scope] = Usage()
        if not usage.counted:
            for stored, prefix in self._counted:
                await self._count(usage, stored, prefix(scope))
            usage.finish_count()
        return usage

    async def _count(self, usage: Usage, stored: StoredDocuments[Any], prefix: str) -> None:
        after = ""
        while page := await stored.list(prefix, after=after):
            after = page[-1].key
            for entry in page:
                usage.found(entry.key, _share(entry.value))

    def _on_change(self, key: str, value: Function | FunctionVersion | LayerVersion | None) -> None:
        account, region = key.split("/")[1:3]
        usage = self._usage.setdefault(Scope(account, region), Usage())
        if value is None:
            usage.removed(key)
        else:
            usage.changed(key, _share(value))


def _share(value: Function | FunctionVersion | LayerVersion) -> Share:
    """AWS counts the package of every version of functions and layers, also where they share it (reference 13)."""
    if isinstance(value, Function):
        reserved = value.reserved_concurrency
        claimed = value.settings.provisioned_in_all if reserved is None else reserved
        return Share(value.latest.code.size, claimed, functions=1)
    return Share(value.code.size)
