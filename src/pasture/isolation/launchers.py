"""The launchers of one server: one that executes programs, and one for each zygote. Those that die are replaced."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from pasture.isolation.launcher import cgroups
from pasture.isolation.launcher.outbound import Outbound
from pasture.isolation.launching import Launcher, launch
from pasture.isolation.spec import SandboxError, Zygote
from pasture.isolation.stock import Numbers
from pasture.kit.tasks import Tasks

_log = logging.getLogger(__name__)

_NUMBERS = 60_000
# Seconds after which a zygote that could not be loaded is tried again: ever more.
_TRY_AGAIN = 1.0
_TRY_AGAIN_AT_MOST = 60.0


class Launchers:
    """Mutable state: the launchers by zygote (None: the one without), those that are being started, and when each
    zygote that cannot be loaded may be tried again. `groups_in_use` are those that outlive their launcher.
    """

    def __init__(
        self,
        directory: Path,
        owner: str,
        hierarchy: cgroups.Hierarchy,
        network: Outbound | None,
        groups_in_use: Callable[[], frozenset[str]],
    ) -> None:
        self._directory = directory
        self._owner = owner
        self._hierarchy = hierarchy
        self._network = network
        self._groups_in_use = groups_in_use
        self._numbers = Numbers(network.count if network else _NUMBERS)
        self._launchers: dict[Zygote | None, Launcher] = {}
        self._starting: dict[Zygote | None, asyncio.Task[Launcher]] = {}
        self._not_before: dict[Zygote, float] = {}
        self._failures: Counter[Zygote] = Counter()
        self._directories = 0
        self._tasks = Tasks("launchers")
        self.why_memory = ""
        """Why a /tmp cannot be on disk, as the first launcher found out."""

    async def open(self, trial: Callable[[], Awaitable[str]]) -> None:
        """Start the one without a zygote. `trial` answers an image to try out whether a /tmp can be on disk."""
        launcher, self.why_memory = await self._launch(None, await trial())
        self._launchers[None] = launcher

    async def executing(self) -> Launcher:
        """The one without a zygote. Raises SandboxError when it has died and cannot be replaced."""
        found = self._living(None)
        return found if found is not None else await asyncio.shield(self._start(None))

    def loaded(self, zygote: Zygote) -> Launcher | None:
        """The one that has it loaded; where there is none yet, it is started."""
        found = self._living(zygote)
        if found is None:
            self._load(zygote)
        return found

    async def prepare(self, zygote: Zygote) -> None:
        """Until it is loaded, or has turned out not to be."""
        if self._living(zygote) is None and (task := self._load(zygote)) is not None:
            await asyncio.wait({task})

    async def close(self) -> None:
        """End all of them, and with them every box that is left."""
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        await self._tasks.finish()
        await asyncio.gather(*(launcher.close() for launcher in self._launchers.values()))
        self._launchers.clear()

    @property
    def in_stock(self) -> int:
        return sum(launcher.in_stock for launcher in self._launchers.values() if launcher.is_alive)

    def _living(self, zygote: Zygote | None) -> Launcher | None:
        found = self._launchers.get(zygote)
        if found is not None and not found.is_alive:
            del self._launchers[zygote]
            _log.warning("launcher %d has died; its boxes live on, and another is started", found.pid)
            self._tasks.start(self._bury(found), f"bury launcher {found.pid}")
            return None
        return found

    def _load(self, zygote: Zygote) -> asyncio.Task[Launcher] | None:
        if asyncio.get_running_loop().time() < self._not_before.get(zygote, 0.0):
            return None
        return self._start(zygote)

    def _start(self, zygote: Zygote | None) -> asyncio.Task[Launcher]:
        if zygote not in self._starting:
            name = f"start the launcher of {zygote.command[0] if zygote else 'programs'}"
            task = self._starting[zygote] = asyncio.create_task(self._started(zygote), name=name)
            task.add_done_callback(lambda done: self._is_started(zygote, done))
        return self._starting[zygote]

    async def _started(self, zygote: Zygote | None) -> Launcher:
        launcher, _ = await self._launch(zygote)
        self._launchers[zygote] = launcher
        return launcher

    def _is_started(self, zygote: Zygote | None, task: asyncio.Task[Launcher]) -> None:
        del self._starting[zygote]
        if task.cancelled():
            return
        error = task.exception()
        if zygote is None:
            if error is not None:
                _log.error("cannot start a launcher: %s", error)
        elif error is None:
            del self._failures[zygote]
        else:
            pause = min(_TRY_AGAIN * 2 ** self._failures[zygote], _TRY_AGAIN_AT_MOST)
            self._failures[zygote] += 1
            self._not_before[zygote] = asyncio.get_running_loop().time() + pause
            name = zygote.command[0]
            _log.error("%s is executed for every environment, and not forked: %s Next try in %d s.", name, error, pause)

    async def _launch(self, zygote: Zygote | None, trial: str = "") -> tuple[Launcher, str]:
        self._directories += 1
        directory = self._directory / str(self._directories)
        await asyncio.to_thread(directory.mkdir)
        try:
            return await launch(
                directory,
                self._owner,
                self._hierarchy,
                self._numbers,
                trial=trial,
                network=self._network,
                zygote=zygote,
            )
        except TimeoutError:
            raise SandboxError("the launcher does not get ready.") from None

    async def _bury(self, launcher: Launcher) -> None:
        """Its boxes in stock died with it. Groups are named after it."""
        await asyncio.to_thread(self._hierarchy.clear, f"{launcher.pid}-", self._groups_in_use())
        with suppress(ProcessLookupError):
            await launcher.close()
