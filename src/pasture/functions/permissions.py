"""Resource policies of functions, versions and aliases: kept with the function, guarded by what they belong to.

A policy has no revision of its own: it is that of the function, version or alias, which changes with every change of
the policy (as on AWS). A published version's own document gets the new revision before the policy is written, so a
crash between the two leaves a revision that nobody has seen, and no policy that nobody has asked for.
"""

import dataclasses
from collections.abc import Callable

from pasture.domain.errors import PreconditionFailed, ResourceNotFound
from pasture.domain.function import Function, FunctionVersion
from pasture.domain.function_settings import lacking
from pasture.domain.scope import Scope
from pasture.functions.ledger import Ledger, not_found, number_of
from pasture.functions.records import FunctionKey, VersionKey
from pasture.functions.stored import Stored
from pasture.store.documents import RevisionConflict

Edit = Callable[[str | None], str | None]
"""From the document before to the one after; None is no policy."""


class Permissions:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def find(self, scope: Scope, name: str, qualifier: str) -> tuple[str | None, str]:
        """The policy, if there is one, and the revision; `""` is the function as a whole. Raises ResourceNotFound."""
        function = await self._ledger.functions.find(FunctionKey(scope, name).function)
        if function is None:
            raise not_found(scope, name, qualifier or None)
        version = await self._version(function, qualifier)
        return function.settings.policies.get(qualifier), _revision(function, version, qualifier)

    async def change(self, scope: Scope, name: str, qualifier: str, edit: Edit, revision_id: str | None) -> str:
        """The new revision. Raises ResourceNotFound, PreconditionFailed, and what `edit` raises."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            while True:
                stored = await self._ledger.must_read(key, qualifier or None)
                version = await self._version(stored.value, qualifier)
                check_revision(revision_id, _revision(stored.value, version, qualifier))
                document = edit(stored.value.settings.policies.get(qualifier))
                revision = self._ledger.tools.new_id()
                edited = _edited(stored.value, qualifier, document, revision)
                try:
                    if version is not None:
                        revised = dataclasses.replace(version.value, revision_id=revision)
                        await self._ledger.versions.put(version.key, revised, expect=version.revision)
                        revision_id = revision_id and revision  # what another try will find
                    await self._ledger.functions.put(key.function, edited, expect=stored.revision)
                except RevisionConflict:
                    continue
                return revision

    async def _version(self, function: Function, qualifier: str) -> Stored[FunctionVersion] | None:
        """The published version that is meant; None for the function and its aliases. Raises ResourceNotFound."""
        if not qualifier or qualifier in function.aliases:
            return None
        number = number_of(qualifier)
        key = VersionKey(function.scope, function.name, number) if number else None
        stored = await self._ledger.versions.read(key.version) if key is not None else None
        if stored is not None:
            return stored
        if qualifier.isdigit():
            raise not_found(function.scope, function.name, qualifier)
        raise ResourceNotFound(f"Cannot find alias arn: {function.scope.function_arn(function.name, qualifier)}")


def check_revision(asked: str | None, known: str) -> None:
    if asked is not None and asked != known:
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetPolicy API to retrieve the latest Revision Id"
        )


def _revision(function: Function, version: Stored[FunctionVersion] | None, qualifier: str) -> str:
    if version is not None:
        return version.value.revision_id
    return function.aliases[qualifier].revision_id if qualifier else function.latest.revision_id


def _edited(function: Function, qualifier: str, document: str | None, revision: str) -> Function:
    policies = lacking(function.settings.policies, qualifier)
    if document is not None:
        policies[qualifier] = document
    changed = dataclasses.replace(function, settings=dataclasses.replace(function.settings, policies=policies))
    if qualifier in function.aliases:
        alias = dataclasses.replace(function.aliases[qualifier], revision_id=revision)
        return dataclasses.replace(changed, aliases={**function.aliases, qualifier: alias})
    return _revised(changed, revision) if not qualifier else changed


def _revised(function: Function, revision: str) -> Function:
    latest = dataclasses.replace(function.latest, revision_id=revision)
    active = latest if function.active == function.latest else function.active
    return dataclasses.replace(function, latest=latest, active=active)
