"""Brings things to rest, each by its key: level-triggered work, for whoever compares what is with what should be.

A wake-up only says where to look; what is done follows from what `work` finds there. A key is looked at by one task
at a time. What is woken meanwhile is looked at again, once, however often it was woken: no wake-up is lost, none is
queued. A look that fails is repeated, ever more slowly, until one succeeds, or at once when the key is woken in the
pause. A key at rest costs nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pasture.kit.errors import OperatorError
from pasture.kit.tasks import Tasks

_log = logging.getLogger(__name__)

FIRST_DELAY = 0.25
LONGEST_DELAY = 30.0

K = TypeVar("K", bound=Hashable)
K_co = TypeVar("K_co", bound=Hashable, covariant=True)


class Marked(Protocol[K_co]):
    """A page of the keys that may not be at rest, in the order of their `str`, from behind `after`; at last an empty
    one.
    """

    async def __call__(self, *, after: str = "") -> Sequence[K_co]: ...


@dataclass(slots=True)
class _Look:
    """At one key, which is not at rest."""

    woken: bool = False
    pause: asyncio.Task[None] | None = None


class Settling(Generic[K]):
    """Mutable state: the keys that are not at rest."""

    def __init__(
        self,
        doing: str,
        work: Callable[[K], Awaitable[object]],
        *,
        at_once: int | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`doing`: a verb, for the log: it cannot … yet. `at_once`: so many keys are worked at; all without it.

        Whatever `work` raises is logged and tried again: OSError and OperatorError in a line, as they may pass, others
        as faults.
        """
        self._doing = doing
        self._work = work
        self._sleep = sleep
        self._turns: AbstractAsyncContextManager[object] = (
            asyncio.Semaphore(at_once) if at_once is not None else nullcontext()
        )
        self._looks: dict[K, _Look] = {}
        self._tasks = Tasks(doing)
        self._is_open = True

    def __repr__(self) -> str:
        return f"<Settling: {self._doing} {', '.join(str(key) for key in self._looks) or 'nothing'}>"

    def __len__(self) -> int:
        return len(self._looks)

    def look(self, key: K) -> None:
        """Something may have changed there. From any callback on the event loop; nothing happens within the call."""
        look = self._looks.get(key)
        if look is not None:
            look.woken = True
            if look.pause is not None:
                look.pause.cancel()
        elif self._is_open:
            look = self._looks[key] = _Look()
            self._tasks.start(self._settle(key, look), str(key))

    async def look_at_marked(self, marked: Marked[K]) -> None:
        """At a start: what an earlier session may have left unfinished."""
        after = ""
        while keys := await marked(after=after):
            after = str(keys[-1])
            for key in keys:
                self.look(key)

    async def idle(self) -> None:
        """Wait until everything is at rest."""
        await self._tasks.finish()

    async def close(self) -> None:
        """Cancel what is at work, and look at nothing any more."""
        self._is_open = False
        await self._tasks.close()
        self._looks.clear()  # of tasks that were cancelled before they began

    async def _settle(self, key: K, look: _Look) -> None:
        delay = FIRST_DELAY
        try:
            while True:
                error = await self._try(key, look)
                if error is not None:
                    self._tell(key, error, delay)
                    await self._pause(look, delay)
                    delay = min(delay * 2, LONGEST_DELAY)
                elif look.woken:
                    delay = FIRST_DELAY
                else:
                    return  # and at rest, without a moment in between for a wake-up to be lost in
        finally:
            del self._looks[key]

    async def _try(self, key: K, look: _Look) -> Exception | None:
        async with self._turns:
            look.woken = False
            try:
                await self._work(key)
            except Exception as error:  # noqa: BLE001 (logged, and tried again)
                return error
        return None

    async def _pause(self, look: _Look, seconds: float) -> None:
        look.pause = self._tasks.start(self._slept(seconds), "pause")
        try:
            await asyncio.wait({look.pause})
        finally:
            look.pause = None

    async def _slept(self, seconds: float) -> None:
        await self._sleep(seconds)

    def _tell(self, key: K, error: Exception, delay: float) -> None:
        words = "cannot %s %s yet, next try in %.2g s: %s"
        if isinstance(error, OSError | OperatorError):
            _log.warning(words, self._doing, key, delay, error)
        else:
            _log.error(words, self._doing, key, delay, error, exc_info=error)
