"""Provisioned concurrency in the pool: of some keys so many environments are kept, initialised before anyone calls.

Level-triggered: `hold` says how many a key is to have, and whatever happens to one, `adjust` compares. A look every
second finds those that died while nobody used them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pasture.domain.function import FunctionVersion
from pasture.environments.assignment import Assignment, Step
from pasture.environments.endings import Ending
from pasture.environments.environment import Environment
from pasture.environments.lifecycle import EnvironmentState

_log = logging.getLogger(__name__)

# AWS's reason for a configuration whose environments cannot be initialised; and ours where there is no room for them.
INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"
NO_MEMORY = "This machine has no memory for so many environments beside those that are provisioned already."


class InitFailed(Exception):
    """A provisioned environment could not be initialised: it is given back, and nobody waits for its like."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(f"its init failed: {ending.error_type or ending.status}")


@dataclass(slots=True)
class _Held:
    version: FunctionVersion
    executions: int
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a key has at this moment of what it is to have."""

    ready: int
    busy: int
    failure: str = ""


NOTHING = Holding(0, 0)


class ProvisionedEnvironments:
    """`on_change` is called with a key when one of its environments has become ready, has failed or has gone."""

    def __init__(
        self,
        assignment: Assignment,
        environments: dict[str, Environment],
        take: Callable[[list[Step]], None],
        remember: Callable[[str, FunctionVersion], None],
    ) -> None:
        self._assignment = assignment
        self._environments = environments
        self._take = take
        self._remember = remember
        self._held: dict[str, _Held] = {}
        self._is_open = True
        self.on_change: Callable[[str], None] = lambda _key: None

    def __repr__(self) -> str:
        return f"<ProvisionedEnvironments of {len(self._held)} versions>"

    def close(self) -> None:
        """Nothing is started or released from now on."""
        self._is_open = False

    def hold(self, version: FunctionVersion, executions: int, *, again: bool = False) -> None:
        """From now on so many of this version; 0 releases them. `again`: though its init has failed before."""
        key = version.environment_key
        held = self._held.get(key)
        if executions <= 0:
            self._held.pop(key, None)
        elif held is None:
            self._held[key] = _Held(version, executions)
        else:
            held.failure = "" if again or executions != held.executions else held.failure
            held.executions = executions
        self.adjust(key)

    def holding(self, key: str) -> Holding:
        states = list(self._assignment.provisioned(key).values())
        held = self._held.get(key)
        busy = states.count("busy")
        return Holding(states.count("idle") + busy, busy, held.failure if held else "")

    def adjust(self, key: str) -> None:
        """Start what lacks, release what is too much: of those that are idle first."""
        if not self._is_open:
            return
        held = self._held.get(key)
        states = self._assignment.provisioned(key)
        too_many = len(states) - (held.executions if held else 0)
        for name in sorted(states, key=lambda name: states[name] == "busy")[: max(too_many, 0)]:
            self._take(self._assignment.releases(name))
        if held is None or held.failure:
            return
        version = held.version
        if (held.executions - len(states)) * version.memory_mb > self._assignment.provisionable_left:
            held.failure = NO_MEMORY
            self.on_change(key)
            return
        function = f"{version.scope.account}/{version.scope.region}/{version.name}"
        for _ in range(-too_many):
            steps = self._assignment.provisions(key, version.memory_mb, function)
            self._remember(key, version)
            self._take(steps)
            if not steps:
                break

    def look(self) -> None:
        """Those that died while they were idle go, others come for them; what had to wait for room is tried again."""
        for key in list(self._held) if self._is_open else ():
            for name, state in self._assignment.provisioned(key).items():
                environment = self._environments.get(name)
                if state == "idle" and environment is not None and not _is_well(environment):
                    _log.warning("provisioned environment %s has gone; another is started", name)
                    self._take(self._assignment.breaks(name, "gone"))
            self.adjust(key)

    # For the pool...

    async def prepare(self, environment: Environment) -> None:
        """Before the start of any: a provisioned one is initialised here. Raises InitFailed."""
        if not self._assignment.is_provisioned(environment.id):
            return
        failed = await environment.prepare()
        if failed is None:
            return
        key = environment.version.environment_key
        held = self._held.get(key)
        if held is not None and not self.holding(key).ready:
            held.failure = INIT_FAILURE
        raise InitFailed(failed)

    def has_changed(self, _environment: str, key: str) -> None:
        if key in self._held:
            self.on_change(key)


def _is_well(environment: Environment) -> bool:
    return environment.is_alive and (environment.state is not EnvironmentState.IDLE or environment.is_initialised)
