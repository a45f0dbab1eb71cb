"""A node, from its start to the signal that ends it."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable

from pasture.app.node import Node
from pasture.isolation.kinds import best_kind
from pasture.kit.errors import OperatorError
from pasture.settings import Settings

_log = logging.getLogger(__name__)


def run(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT; `announce` is called with the URL once requests are accepted.

    A second signal ends the grace period. Raises OperatorError when the server cannot start.
    """
    _raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[str], None]) -> int:
    stop = asyncio.Event()
    hurry = asyncio.Event()

    def stopped() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped)
    node = await Node.open(settings, await asyncio.to_thread(_choose_isolation, settings))
    try:
        for warning in node.isolation.warnings:
            _log.warning("isolation %s: %s", node.isolation.name, warning)
        announce(node.url)
        await stop.wait()
        _log.info("stopping")
    finally:
        await _close(node, hurry)
    _log.info("stopped")
    return 0


async def _close(node: Node, hurry: asyncio.Event) -> None:
    closing = asyncio.create_task(node.close())
    impatience = asyncio.create_task(hurry.wait())
    await asyncio.wait({closing, impatience}, return_when=asyncio.FIRST_COMPLETED)
    if not closing.done():
        _log.warning("stopping at once: running invocations are cut off")
        node.hurry()
    impatience.cancel()
    await closing


def _raise_descriptor_limit() -> None:
    """Every environment costs some descriptors and every client one: take as many as may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _choose_isolation(settings: Settings) -> str:
    if settings.isolation != "auto":
        return settings.isolation
    kind, why = best_kind()
    if kind == "process" and os.geteuid() == 0 and sys.platform == "linux":
        raise OperatorError(
            f"functions cannot be isolated on this machine: {why}",
            "Mend that, or accept that they can do whatever root can with --isolation process.",
        )
    if kind == "process" and not settings.is_loopback:
        raise OperatorError(
            f"functions cannot be isolated on this machine ({why}), and {settings.host} can be reached from others.",
            "Mend that, listen on 127.0.0.1, or accept it with --isolation process.",
        )
    return kind


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one; the standard loop does the same, slower."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
