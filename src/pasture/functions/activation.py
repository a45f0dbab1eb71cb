"""Brings every function and version that is Pending, or whose update is in progress, to Active or Failed.

Level-triggered: a notice only says where to look; what is done follows from what the catalog holds. A marker document
lets a start find what a crash has left unfinished. Faults that may pass (no room, a busy disk) are tried again, ever
more slowly; those that will not pass fail the function with AWS's reason code.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from pasture.domain.function import Function, FunctionVersion, Reason
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.package import Packages
from pasture.functions.records import FunctionKey, VersionKey
from pasture.kit.settling import Settling
from pasture.runtimes import emulation
from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable

AT_ONCE = 4
PULLS_AT_ONCE = 4
Key = FunctionKey | VersionKey
_GIVEN_UP = Reason("The function was deleted while its image was pulled.", "InternalError")


class Installs(Protocol):
    """What is needed of `runtimes.registry.Runtimes`: `install` may take a minute, and waits for others who install."""

    def ready(self, identifier: str) -> InstalledRuntime | None: ...
    def install(self, identifier: str) -> InstalledRuntime: ...


class Activation:
    """`prepared` is awaited for every version before it becomes active (to warm a zygote, or to take a snapshot), and
    says what keeps it from that; errors from it are tried again like those of the disk. `pull` likewise has a version's
    container image here. It may take long: packages do not wait for images, nor these for those.
    """

    def __init__(
        self,
        catalog: Catalog,
        packages: Packages,
        runtimes: Installs,
        *,
        prepared: Callable[[FunctionVersion], Awaitable[Reason | None]] | None = None,
        pull: Callable[[FunctionVersion], Coroutine[Any, Any, Reason | None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._packages = packages
        self._runtimes = runtimes
        self._prepared = prepared
        self._pull = pull
        self._settling = Settling("activate", self._look_at, at_once=AT_ONCE, sleep=sleep)
        self._pulling: Settling[Key] = Settling("activate", self._bring_to_rest, at_once=PULLS_AT_ONCE, sleep=sleep)
        self._installer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="install")
        self._stop_listening: list[Callable[[], None]] = []
        self._pulls: dict[Key, asyncio.Task[Reason | None]] = {}

    def __repr__(self) -> str:
        return f"<Activation {self._settling!r}>"

    async def open(self) -> None:
        """From here on every change is looked at; first, what an earlier session left unfinished."""
        self._stop_listening = [
            self._catalog.on_change(self._on_change),
            self._catalog.versions.on_change(self._on_version),
        ]
        await self._settling.look_at_marked(self._catalog.unsettled)

    async def idle(self) -> None:
        """Wait until everything that was unsettled is settled."""
        await self._settling.idle()
        await self._pulling.idle()

    async def close(self) -> None:
        for stop in self._stop_listening:
            stop()
        self._stop_listening.clear()
        await self._settling.close()
        await self._pulling.close()
        self._installer.shutdown(wait=False, cancel_futures=True)

    def _on_change(self, scope: Scope, name: str, function: Function | None) -> None:
        if function is None:
            self._give_up(FunctionKey(scope, name))
        elif function.latest.is_settling:
            self._settling.look(FunctionKey(scope, name))

    def _on_version(self, key: VersionKey, version: FunctionVersion | None) -> None:
        if version is None:
            self._give_up(key)
        elif version.is_settling:
            self._settling.look(key)

    async def _look_at(self, key: Key) -> None:
        function = await self._catalog.find(key.scope, key.name)
        if function is not None and function.latest.is_image:
            self._pulling.look(key)
        else:
            await self._bring_to_rest(key)

    async def _bring_to_rest(self, key: Key) -> None:
        if isinstance(key, VersionKey):
            version = await self._catalog.find_version(key.scope, key.name, str(key.number))
            if version is not None and version.is_settling:
                await self._catalog.versions.settle(key, version.generation, await self._attempt(key, version))
            await self._catalog.unmark(*key)
            return
        function = await self._catalog.find(*key)
        if function is not None and function.latest.is_settling:
            failure = await self._attempt(key, function.latest)
            await self._catalog.settle(*key, function.latest.generation, failure)
        await self._catalog.unmark(*key)

    async def _attempt(self, key: Key, version: FunctionVersion) -> Reason | None:
        """What keeps this version from running for good, or None when it is ready to."""
        if version.is_image:
            return await self._attempt_image(key, version)
        try:
            await self._install(emulation.installed_as(version.runtime, version.architectures[0]))
        except RuntimeUnavailable as error:
            return Reason(str(error), "InvalidRuntime")
        try:
            await self._packages.tree(version.code.sha256)
            await self._packages.opt(version.layer_digests)
        except FileNotFoundError:
            return Reason("The deployment package of this function is missing. Upload it again.", "InternalError")
        return await self._prepared(version) if self._prepared is not None else None

    async def _attempt_image(self, key: Key, version: FunctionVersion) -> Reason | None:
        if self._pull is None:
            return Reason("Container images cannot be run by this server.", "InvalidImage")
        # When nobody refers to it any more by the time it is here, it goes with this hold.
        with self._packages.holding(version.code.sha256):
            pull = self._pulls[key] = asyncio.create_task(self._pull(version))
            try:
                await asyncio.wait([pull])
            finally:
                del self._pulls[key]
                pull.cancel()  # of a server that stops; else it has ended
                await asyncio.wait([pull])
            return _GIVEN_UP if pull.cancelled() else pull.result()

    def _give_up(self, key: Key) -> None:
        """It is deleted: what is still on its way for it alone need not come."""
        if (pull := self._pulls.get(key)) is not None:
            pull.cancel()

    async def _install(self, runtime: str) -> None:
        """One at a time, in a thread of its own: the threads that unpack and hash must not be used up by waiting."""
        if self._runtimes.ready(runtime) is None:
            await asyncio.get_running_loop().run_in_executor(self._installer, self._runtimes.install, runtime)
