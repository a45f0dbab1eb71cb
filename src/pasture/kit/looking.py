"""The loop of what is level-triggered: it looks whenever something has woken it, and when a time has come."""

import asyncio
from collections.abc import Awaitable, Callable

from pasture.kit.clock import Clock


async def keep_looking(
    look: Callable[[], Awaitable[float | None]], woken: asyncio.Event, clock: Clock, *, at_least: float | None = None
) -> None:
    """`look` does all that may be done, and says when to look again unless `woken` is set before; None for never.

    `at_least`: it looks that often, in seconds: a clock that is set, or a machine that slept, is noticed within this.
    """
    while True:
        woken.clear()
        until = await look()
        seconds = at_least
        if until is not None:
            left = max(0.0, until - clock.now())
            seconds = left if at_least is None else min(at_least, left)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            pass
