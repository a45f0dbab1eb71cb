"""Every background task has an owner: a `Tasks` that knows what it started, says when one fails, and ends them all."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from pasture.kit.errands import Errand

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Tasks:
    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._running: set[asyncio.Task[Any]] = set()
        self._errands: set[Errand] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=f"{self._owner}: {name}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def begin(self, work: Coroutine[Any, Any, object], name: str, loop: asyncio.AbstractEventLoop) -> None:
        """As `start`, and at once: it has gone as far as it can when this returns (see `errands`)."""
        errand = Errand(work, name, self._errand_ended, loop)
        if not errand.has_ended:
            self._errands.add(errand)

    def __len__(self) -> int:
        return len(self._running) + len(self._errands)

    async def finish(self) -> None:
        """Wait for everything that runs, and for what that starts."""
        while running := self._all():
            await asyncio.wait(running)

    async def settle(self, seconds: float) -> None:
        """Wait for what runs now, at most so long."""
        if running := self._all():
            await asyncio.wait(running, timeout=seconds)

    async def close(self) -> None:
        """Cancel what runs and wait until it has ended."""
        while running := self._all():
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    def _all(self) -> set[asyncio.Task[Any]]:
        return self._running | {errand.as_task() for errand in self._errands if not errand.is_running}

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)

    def _errand_ended(self, errand: Errand, error: BaseException | None) -> None:
        self._errands.discard(errand)
        if error is not None and not isinstance(error, asyncio.CancelledError):
            _log.error("%s: %r failed", self._owner, errand, exc_info=error)
