"""Brings every function and version that is Pending, or whose update is in progress, to Active or Failed.

Level-triggered: a notice only says where to look; what is done follows from what the catalog holds. A marker document
lets a start find what a crash has left unfinished. Faults that may pass (no room, a busy disk) are tried again, ever
more slowly; those that will not pass fail the function with AWS's reason code.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from pasture.domain.function import Function, FunctionVersion, Reason
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.package import Packages
from pasture.functions.records import FunctionKey, VersionKey
from pasture.kit.errors import OperatorError
from pasture.kit.tasks import Tasks
from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable

_log = logging.getLogger(__name__)

AT_ONCE = 4
Key = FunctionKey | VersionKey

FIRST_DELAY = 0.25
LONGEST_DELAY = 30.0


class Installs(Protocol):
    """What is needed of `runtimes.registry.Runtimes`: `install` may take a minute, and waits for others who install."""

    def ready(self, identifier: str) -> InstalledRuntime | None: ...
    def install(self, identifier: str) -> InstalledRuntime: ...


class Activation:
    """`prepared` is awaited for every version before it becomes active (to warm a zygote, or to take a snapshot), and
    says what keeps it from that; OSError and OperatorError from it are tried again like those of the disk.
    """

    def __init__(
        self,
        catalog: Catalog,
        packages: Packages,
        runtimes: Installs,
        *,
        prepared: Callable[[FunctionVersion], Awaitable[Reason | None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._packages = packages
        self._runtimes = runtimes
        self._prepared = prepared
        self._sleep = sleep
        self._tasks = Tasks("activation")
        self._installer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="install")
        self._working: dict[Key, bool] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._stop_listening: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Activation of {', '.join(str(key) for key in self._working) or 'nothing'}>"

    async def open(self) -> None:
        """From here on every change is looked at; first, what an earlier session left unfinished."""
        self._stop_listening = [
            self._catalog.on_change(self._on_change),
            self._catalog.versions.on_change(self._on_version),
        ]
        after = ""
        while keys := await self._catalog.unsettled(after=after):
            after = str(keys[-1])
            for key in keys:
                self._look_at(key)

    async def idle(self) -> None:
        """Wait until everything that was unsettled is settled."""
        await self._tasks.finish()

    async def close(self) -> None:
        for stop in self._stop_listening:
            stop()
        self._stop_listening.clear()
        await self._tasks.close()
        self._installer.shutdown(wait=False, cancel_futures=True)

    def _on_change(self, scope: Scope, name: str, function: Function | None) -> None:
        if function is not None and function.latest.is_settling:
            self._look_at(FunctionKey(scope, name))

    def _on_version(self, key: VersionKey, version: FunctionVersion | None) -> None:
        if version is not None and version.is_settling:
            self._look_at(key)

    def _look_at(self, key: Key) -> None:
        """One task a function or version; what happens while it works makes it look again."""
        if key in self._working:
            self._working[key] = True
            return
        self._working[key] = False
        self._tasks.start(self._work(key), str(key))

    async def _work(self, key: Key) -> None:
        delay = FIRST_DELAY
        try:
            again = True
            while again:
                self._working[key] = False
                try:
                    async with self._turns:
                        await self._bring_to_rest(key)
                    delay = FIRST_DELAY
                    again = self._working[key]
                except (OSError, OperatorError) as error:
                    _log.warning("cannot activate %s yet, next try in %.2g s: %s", key, delay, error)
                    await self._sleep(delay)
                    delay = min(delay * 2, LONGEST_DELAY)
        finally:
            del self._working[key]

    async def _bring_to_rest(self, key: Key) -> None:
        if isinstance(key, VersionKey):
            version = await self._catalog.find_version(key.scope, key.name, str(key.number))
            if version is not None and version.is_settling:
                await self._catalog.versions.settle(key, version.generation, await self._attempt(version))
            await self._catalog.unmark(*key)
            return
        function = await self._catalog.find(*key)
        if function is not None and function.latest.is_settling:
            failure = await self._attempt(function.latest)
            await self._catalog.settle(*key, function.latest.generation, failure)
        await self._catalog.unmark(*key)

    async def _attempt(self, version: FunctionVersion) -> Reason | None:
        """What keeps this version from running for good, or None when it is ready to."""
        try:
            await self._install(version.runtime)
        except RuntimeUnavailable as error:
            return Reason(str(error), "InvalidRuntime")
        try:
            await self._packages.tree(version.code.sha256)
            await self._packages.opt(version.layer_digests)
        except FileNotFoundError:
            return Reason("The deployment package of this function is missing. Upload it again.", "InternalError")
        return await self._prepared(version) if self._prepared is not None else None

    async def _install(self, runtime: str) -> None:
        """One at a time, in a thread of its own: the threads that unpack and hash must not be used up by waiting."""
        if self._runtimes.ready(runtime) is None:
            await asyncio.get_running_loop().run_in_executor(self._installer, self._runtimes.install, runtime)
