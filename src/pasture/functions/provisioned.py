"""Provisioned concurrency as it is configured: per version or alias, in the function's own document.

A marker, `provisioned/ACCOUNT/REGION/NAME`, is written before a function's first configuration, so that a start finds
what is to be allocated again; a crash leaves one too many, never one too few.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from pasture.domain.errors import InvalidParameterValue, ProvisionedConcurrencyConfigNotFound, ResourceConflict
from pasture.domain.function import LATEST, Alias, Function
from pasture.domain.function_settings import ProvisionedConcurrency, lacking
from pasture.domain.scope import Scope
from pasture.functions.ledger import Ledger, not_found, number_of
from pasture.functions.records import FunctionKey, VersionKey, key_of

MARKERS = "provisioned/"

Change = Callable[[Scope, str, Callable[[Function], Function]], Awaitable[Function]]


class Provisioned:
    def __init__(self, ledger: Ledger, change: Change) -> None:
        self._ledger = ledger
        self._change = change

    async def put(self, scope: Scope, name: str, qualifier: str, executions: int) -> ProvisionedConcurrency:
        """Raises what AWS answers to what cannot be provisioned."""
        config = ProvisionedConcurrency(executions, self._ledger.tools.clock.now())
        key = FunctionKey(scope, name)

        def edit(function: Function) -> Function:
            check_qualifier(function, qualifier)
            check_concurrency(function, qualifier, executions)
            return _with(function, {**function.settings.provisioned, qualifier: config})

        # One at a time in an account, as reservations: each is judged by what the others have.
        async with self._ledger.writing.alone(f"concurrency/{scope.account}/{scope.region}"):
            function = (await self._ledger.must_read(key, qualifier)).value
            check_qualifier(function, qualifier)
            await self._check_version(function, qualifier)
            check_concurrency(function, qualifier, executions)
            if function.reserved_concurrency is None:
                await self._check_account(function, qualifier, executions)
            await self._ledger.documents.put(f"{MARKERS}{key}", b"")
            await self._change(scope, name, edit)
        return config

    async def delete(self, scope: Scope, name: str, qualifier: str) -> None:
        """Raises ProvisionedConcurrencyConfigNotFound."""

        def edit(function: Function) -> Function:
            config_of(function, qualifier)
            return _with(function, lacking(function.settings.provisioned, qualifier))

        await self._change(scope, name, edit)

    async def is_target(self, scope: Scope, name: str, qualifier: str) -> bool:
        """Whether it is a version or an alias that may be provisioned, now or later."""
        function = await self._ledger.functions.find(FunctionKey(scope, name).function)
        if function is None:
            return False
        number = number_of(version_of(function, qualifier))
        return (
            number is not None and await self._ledger.versions.find(VersionKey(scope, name, number).version) is not None
        )

    async def marked(self, *, after: str = "") -> Sequence[FunctionKey]:
        """A page of the functions that may have configurations."""
        markers = await self._ledger.documents.list(MARKERS, after=f"{MARKERS}{after}" if after else "")
        return [key_of(marker.key) for marker in markers]

    async def unmark(self, key: FunctionKey) -> None:
        """Take a function off `marked`, unless it has a configuration after all."""
        async with self._ledger.writing.alone(f"concurrency/{key.scope.account}/{key.scope.region}"):
            stored = await self._ledger.functions.read(key.function)
            if stored is None or not stored.value.settings.provisioned:
                await self._ledger.documents.delete(f"{MARKERS}{key}")

    async def _check_version(self, function: Function, qualifier: str) -> None:
        number = number_of(version_of(function, qualifier))
        version = await self._ledger.versions.find(VersionKey(function.scope, function.name, number or 0).version)
        if version is None:
            raise not_found(function.scope, function.name, qualifier)
        if version.snap_start:
            raise InvalidParameterValue("Provisioned Concurrency is not supported for a version with SnapStart.")

    async def _check_account(self, function: Function, qualifier: str, executions: int) -> None:
        limits = self._ledger.tools.limits
        usage = await self._ledger.accounts.usage(function.scope)
        had = function.settings.provisioned.get(qualifier)
        left = limits.concurrent_executions - usage.claimed_concurrency + (had.executions if had else 0)
        if executions > left:
            raise InvalidParameterValue(
                "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
                f"[{left}]."
            )
        least = limits.minimum_unreserved_concurrency
        if left - executions < least:
            raise InvalidParameterValue(
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
                f"its minimum value of [{least}]."
            )


def config_of(function: Function, qualifier: str) -> ProvisionedConcurrency:
    """Raises ProvisionedConcurrencyConfigNotFound."""
    config = function.settings.provisioned.get(qualifier)
    if config is None:
        raise ProvisionedConcurrencyConfigNotFound("No Provisioned Concurrency Config found for this function")
    return config


def version_of(function: Function, qualifier: str) -> str:
    """What a configuration of that qualifier is for."""
    alias = function.aliases.get(qualifier)
    return alias.version if alias is not None else qualifier


def check_qualifier(function: Function, qualifier: str) -> None:
    """What may have provisioned concurrency at all, beside what already has."""
    if function.latest.keeps_tenants_apart:
        raise InvalidParameterValue(
            "Provisioned Concurrency is not supported for functions with tenancy configuration."
        )
    alias = function.aliases.get(qualifier)
    if qualifier == LATEST or (alias is not None and alias.version == LATEST):
        raise InvalidParameterValue(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    if alias is not None:
        if alias.weights:
            raise InvalidParameterValue("Alias with weights can not be used with Provisioned Concurrency")
        _check_not_provisioned(function, alias)
        return
    if not number_of(qualifier):
        raise not_found(function.scope, function.name, qualifier)
    if any(
        other.version == qualifier and name in function.settings.provisioned for name, other in function.aliases.items()
    ):
        raise ResourceConflict("Version is pointed by a Provisioned Concurrency alias")


def check_alias(function: Function, alias: Alias) -> None:
    """Before an alias is written: one that has provisioned concurrency stays such that it can."""
    if alias.name not in function.settings.provisioned:
        return
    if alias.weights or alias.version == LATEST:
        raise InvalidParameterValue("Invalid alias configuration for Provisioned Concurrency")
    _check_not_provisioned(function, alias)


def check_concurrency(function: Function, qualifier: str, executions: int) -> None:
    reserved = function.reserved_concurrency
    had = function.settings.provisioned.get(qualifier)
    if (
        reserved is not None
        and function.settings.provisioned_in_all - (had.executions if had else 0) + executions > reserved
    ):
        raise InvalidParameterValue(
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
        )


def check_reservation(function: Function, executions: int | None) -> None:
    """Before so many are reserved for a function."""
    if executions is not None and (provisioned := function.settings.provisioned_in_all) > executions:
        raise InvalidParameterValue(
            f" ReservedConcurrentExecutions  {executions} should not be lower than function's total provisioned "
            f"concurrency [{provisioned}]."
        )


def _check_not_provisioned(function: Function, alias: Alias) -> None:
    if alias.version in function.settings.provisioned:
        raise ResourceConflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        )


def _with(function: Function, provisioned: dict[str, ProvisionedConcurrency]) -> Function:
    settings = dataclasses.replace(function.settings, provisioned=provisioned)
    return dataclasses.replace(function, settings=settings)
