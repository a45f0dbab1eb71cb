"""SnapStart: of each version that has it, one environment is initialised ahead and rests until it is restored.

A snapshot here is such an environment, not a copy of its memory: when it has been taken, the next is initialised. What
a function sees is SnapStart's contract: its init and the before-snapshot hooks have run, then the after-restore hooks.
"""

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from pasture.domain.function import FunctionVersion, Reason
from pasture.domain.invocation import Status
from pasture.domain.scope import Scope
from pasture.environments.endings import Ending
from pasture.environments.environment import Environment
from pasture.kit.tasks import Tasks

_log = logging.getLogger(__name__)

# Seconds after which the place of one that was taken is filled: whoever took it has the processor first.
_A_MOMENT = 1.0
# By AWS's names, what becomes of a version whose init fails.
_REASON_CODES = {
    "Extension.InitError": "FunctionError.ExtensionInitError",
    "Extension.LaunchError": "FunctionError.ExtensionInitError",
    "Extension.Crash": "FunctionError.ExtensionInitError",
    "Runtime.InvalidEntrypoint": "FunctionError.InvalidEntryPoint",
    "Runtime.InvalidWorkingDir": "FunctionError.InvalidWorkingDirectory",
}

Make = Callable[[str, FunctionVersion], Awaitable[Environment]]


class Snapshots:
    """Mutable state: the environments that rest, by version, the least recently used first; those being initialised."""

    def __init__(self, make: Make, memory_mb: int) -> None:
        """`make` is the factory's. All of them together may be promised `memory_mb`, beside the pool's."""
        self._make_environment = make
        self._memory_mb = memory_mb
        self._resting: OrderedDict[str, Environment] = OrderedDict()
        self._making: dict[str, asyncio.Task[Ending | None]] = {}
        self._dropped: set[str] = set()
        self._tasks = Tasks("snapshots")
        self._is_open = True

    def __repr__(self) -> str:
        return f"<Snapshots {', '.join(self._resting) or 'none'}>"

    async def make(self, id_: str, version: FunctionVersion) -> Environment:
        """For the pool: the one that rests, to be restored by its `start`, or another that is yet to be initialised."""
        if not version.snap_start:
            return await self._make_environment(id_, version)
        resting = self._resting.pop(version.environment_key, None)
        asyncio.get_running_loop().call_later(_A_MOMENT, self._fill, version)
        if resting is not None and resting.is_alive:
            resting.adopt(id_)
            return resting
        if resting is not None:
            self._stop(resting)
        return await self._make_environment(id_, version)

    async def keep(self, version: FunctionVersion) -> Reason | None:
        """Until one rests; else what kept it from being initialised."""
        self._dropped.discard(version.environment_key)
        self._fill(version)
        making = self._making.get(version.environment_key)
        failed = await asyncio.shield(making) if making is not None else None
        return _reason(failed) if failed is not None else None

    def drop(self, scope: Scope, name: str, number: str) -> None:
        """That version is gone."""
        prefix = f"{scope.account}/{scope.region}/{name}/{number}/"
        for key in [key for key in (*self._resting, *self._making) if key.startswith(prefix)]:
            self._dropped.add(key)
            if (resting := self._resting.pop(key, None)) is not None:
                self._stop(resting)

    async def close(self) -> None:
        self._is_open = False
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        for environment in self._resting.values():
            self._stop(environment)
        self._resting.clear()
        await self._tasks.finish()

    def _fill(self, version: FunctionVersion) -> None:
        key = version.environment_key
        if not self._is_open or key in self._resting or key in self._making or key in self._dropped:
            return
        if version.memory_mb > self._memory_mb:
            return
        task = self._making[key] = asyncio.create_task(self._initialise(version), name=f"snapshot {key}")
        task.add_done_callback(lambda _: self._making.pop(key, None))

    async def _initialise(self, version: FunctionVersion) -> Ending | None:
        key = version.environment_key
        environment = await self._make_environment(f"snapshot-{uuid.uuid4().hex}", version)
        try:
            failed = await environment.prepare()
            if failed is None:
                await environment.keep()
        except BaseException as error:
            await environment.stop()
            if isinstance(error, Exception):
                _log.warning("cannot keep a snapshot of %s: %s", version.arn, error)
                return None
            raise
        if failed is not None or key in self._dropped or not self._is_open:
            await environment.stop()
            return failed
        self._resting[key] = environment
        self._make_room()
        return None

    def _make_room(self) -> None:
        """The least recently used go: their versions are initialised when they are called."""
        while sum(environment.version.memory_mb for environment in self._resting.values()) > self._memory_mb:
            _, environment = self._resting.popitem(last=False)
            self._stop(environment)

    def _stop(self, environment: Environment) -> None:
        self._tasks.start(environment.stop(), f"stopping {environment.id}")


def _reason(failed: Ending) -> Reason:
    if failed.status is Status.TIMEOUT:
        return Reason("The function's initialization timed out.", "FunctionError.InitTimeout")
    words = failed.error_type or "The function's initialization failed."
    return Reason(words, _REASON_CODES.get(failed.error_type, "FunctionError.RuntimeInitError"))
