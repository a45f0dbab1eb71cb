"""Has the pool hold what is configured: looks at a function whenever it, a version of it, or its environments change.

Level-triggered. What is allocated is in memory alone; a start allocates again. An alias that is moved goes on running
the version before until the environments of the other are ready.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from pasture.domain.function import Function, FunctionVersion, State
from pasture.domain.function_settings import ProvisionedConcurrency
from pasture.domain.scope import Scope
from pasture.environments.provisioned import NOTHING, Holding
from pasture.functions.catalog import Catalog
from pasture.functions.provisioned import version_of
from pasture.functions.provisioned_status import Allocation, serving, share
from pasture.functions.records import FunctionKey, VersionKey
from pasture.kit.settling import Settling

LOOK_SECONDS = 1.0
_FAILED_VERSION = "FUNCTION_ERROR_INIT_FAILURE"


class Holds(Protocol):
    """`environments.provisioned.ProvisionedEnvironments`."""

    on_change: Callable[[str], None]

    def hold(self, version: FunctionVersion, executions: int, *, again: bool = False) -> None: ...

    def holding(self, key: str) -> Holding: ...

    def look(self) -> None: ...


class _Known:
    """Of one function: what the pool has been asked for, and what came of it."""

    def __init__(self) -> None:
        self.configs: Mapping[str, ProvisionedConcurrency] = {}
        self.held: dict[str, tuple[FunctionVersion, int]] = {}
        self.serving: dict[str, str] = {}
        self.allocations: dict[str, Allocation] = {}
        self.keys: dict[str, str] = {}
        """By qualifier, the key of the version it points to."""


class ProvisionedAllocation:
    """`open` after the catalog and the pool; `close` before them."""

    def __init__(self, catalog: Catalog, holds: Holds) -> None:
        self._catalog = catalog
        self._holds = holds
        self._settling = Settling("allocate the provisioned concurrency of", self._reconcile)
        self._known: dict[FunctionKey, _Known] = {}
        self._of_key: dict[str, FunctionKey] = {}
        self._instead: dict[tuple[Scope, str, str], str] = {}
        """Aliases that run another version than they point to, until that one is ready."""
        self._stop: list[Callable[[], None]] = []
        self._looking: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<ProvisionedAllocation of {len(self._known)} functions>"

    async def open(self) -> None:
        self._stop = [
            self._catalog.on_change(self._function_changed),
            self._catalog.versions.on_change(self._version_changed),
        ]
        self._holds.on_change = self._environments_changed
        await self._settling.look_at_marked(self._catalog.provisioned.marked)
        self._look_later()

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for stop in self._stop:
            stop()
        self._stop = []
        self._holds.on_change = lambda _key: None
        await self._settling.close()

    async def idle(self) -> None:
        """Wait until every change that is known has been looked at."""
        await self._settling.idle()

    # What others ask...

    def allocation(self, scope: Scope, name: str, qualifier: str, config: ProvisionedConcurrency) -> Allocation:
        """How far this configuration has come."""
        known = self._known.get(FunctionKey(scope, name))
        if known is None or known.configs.get(qualifier) != config:
            return Allocation(config.executions)
        return known.allocations.get(qualifier, Allocation(config.executions))

    def allocated(self, scope: Scope, name: str, qualifier: str) -> tuple[int, int]:
        """How many environments the qualifier has at this moment, and how many all of the function have."""
        known = self._known.get(FunctionKey(scope, name))
        if known is None or qualifier not in known.allocations:
            return 0, 0
        return known.allocations[qualifier].allocated, sum(each.allocated for each in known.allocations.values())

    def utilisation(self, scope: Scope, name: str, qualifier: str) -> float | None:
        """The share of what is allocated that runs at this moment; None when nothing is."""
        known = self._known.get(FunctionKey(scope, name))
        holding = self._holds.holding(known.keys.get(qualifier, "")) if known is not None else NOTHING
        return holding.busy / holding.ready if holding.ready else None

    def instead(self, scope: Scope, name: str, qualifier: str, version: str) -> str:
        """The version that an invocation through this qualifier runs, which means `version`."""
        if not self._instead:
            return version
        return self._instead.get((scope, name, qualifier), version)

    # What happens...

    def _function_changed(self, scope: Scope, name: str, function: Function | None) -> None:
        key = FunctionKey(scope, name)
        known = self._known.get(key)
        if known is not None and function is not None:
            # At once: between the alias's move and the look no invocation is to meet a version that is not ready.
            for qualifier, version in known.serving.items():
                if qualifier in function.settings.provisioned and version_of(function, qualifier) != version:
                    self._instead[scope, name, qualifier] = version
        if known is not None or (function is not None and function.settings.provisioned):
            self._settling.look(key)

    def _version_changed(self, key: VersionKey, _version: FunctionVersion | None) -> None:
        if key.function_key in self._known:
            self._settling.look(key.function_key)

    def _environments_changed(self, key: str) -> None:
        if (function := self._of_key.get(key)) is not None:
            self._settling.look(function)

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_at_all)

    def _look_at_all(self) -> None:
        self._look_later()
        self._holds.look()

    async def _reconcile(self, key: FunctionKey) -> None:
        function = await self._catalog.find(*key)
        configs = function.settings.provisioned if function is not None else {}
        if function is None or not configs:
            self._release(key)
            await self._catalog.provisioned.unmark(key)
            return
        targets = {
            qualifier: await self._catalog.versions.find(*key, version_of(function, qualifier)) for qualifier in configs
        }
        known = self._known.setdefault(key, _Known())
        before, known.configs = known.configs, configs
        changed = {qualifier for qualifier, config in configs.items() if before.get(qualifier) != config}
        known.keys = {q: version.environment_key for q, version in targets.items() if version is not None}
        await self._settle(key, known, targets, changed)

    async def _settle(
        self, key: FunctionKey, known: _Known, targets: Mapping[str, FunctionVersion | None], changed: set[str]
    ) -> None:
        wanted: dict[str, tuple[FunctionVersion, dict[str, int]]] = {}
        for qualifier, version in targets.items():
            if version is not None and version.state is State.ACTIVE:
                _, requested = wanted.setdefault(version.environment_key, (version, {}))
                requested[qualifier] = known.configs[qualifier].executions
        self._hold(key, wanted, changed, known.held)
        known.allocations = {}
        for environment_key, (_, requested) in wanted.items():
            holding = self._holds.holding(environment_key)
            known.allocations |= share(requested, holding.ready, holding.failure)
        for qualifier, version in targets.items():
            if version is not None and version.state is State.FAILED:
                known.allocations[qualifier] = Allocation(known.configs[qualifier].executions, 0, _FAILED_VERSION)
        kept = await self._move(key, known, targets)
        # What nobody runs any more goes now; what is run until another is ready stays as it is.
        for environment_key in [k for k in known.held if k not in wanted and k not in kept]:
            version_held, _ = known.held.pop(environment_key)
            self._of_key.pop(environment_key, None)
            self._holds.hold(version_held, 0)

    def _hold(
        self,
        key: FunctionKey,
        wanted: Mapping[str, tuple[FunctionVersion, dict[str, int]]],
        changed: set[str],
        held: dict[str, tuple[FunctionVersion, int]],
    ) -> None:
        for environment_key, (version, requested) in wanted.items():
            executions = sum(requested.values())
            again = not changed.isdisjoint(requested)
            if again or held.get(environment_key) != (version, executions):
                held[environment_key] = (version, executions)
                self._of_key[environment_key] = key
                self._holds.hold(version, executions, again=again)

    async def _move(
        self, key: FunctionKey, known: _Known, targets: Mapping[str, FunctionVersion | None]
    ) -> frozenset[str]:
        """Which version each qualifier runs now; answers the keys that are still run though nothing points to them."""
        kept = set[str]()
        running: dict[str, str] = {}
        for qualifier, version in targets.items():
            if version is None:
                continue
            before = known.serving.get(qualifier)
            former = await self._catalog.versions.find(*key, before) if before is not None else None
            there = former is not None and former.environment_key in known.held
            allocation = known.allocations.get(qualifier, Allocation(known.configs[qualifier].executions))
            running[qualifier] = serving(version.version, before, allocation, before_is_there=there)
            if running[qualifier] != version.version and former is not None:
                kept.add(former.environment_key)
                self._instead[*key, qualifier] = running[qualifier]
            else:
                self._instead.pop((*key, qualifier), None)
        for qualifier in known.serving.keys() - running.keys():
            self._instead.pop((*key, qualifier), None)
        known.serving = running
        return frozenset(kept)

    def _release(self, key: FunctionKey) -> None:
        known = self._known.pop(key, None)
        if known is None:
            return
        for qualifier in known.serving:
            self._instead.pop((*key, qualifier), None)
        for environment_key, (version, _) in known.held.items():
            self._of_key.pop(environment_key, None)
            self._holds.hold(version, 0)
