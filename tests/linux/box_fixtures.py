"""Namespaced sandboxes for these tests; skipped, with the reason, where they cannot be."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pasture.isolation.kinds import open_kind, why_no_namespaces
from pasture.isolation.launcher import limits
from pasture.isolation.spec import Isolation

OWNER = f"linux-{os.getpid()}"


def skip_without_namespaces() -> None:
    if sys.platform != "linux":
        pytest.skip("namespaces are Linux's")
    if why := why_no_namespaces():
        pytest.skip(why)


def skip_without_limits() -> None:
    """For what only cgroups can do."""
    skip_without_namespaces()
    hierarchy = limits.find(OWNER)
    hierarchy.remove()
    if hierarchy.warnings:
        pytest.skip(hierarchy.warnings[0])


@asynccontextmanager
async def opened(directory: Path, owner: str = OWNER) -> AsyncIterator[Isolation]:
    isolation = open_kind("namespaces", run_directory=directory, owner=owner)
    await isolation.open()
    try:
        yield isolation
    finally:
        await isolation.close()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """For what only the kernel knows, and does not tell."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  there is no event
            await asyncio.sleep(0.002)


def attached(directory: Path) -> list[str]:
    """Loop devices of files below the directory."""
    found = []
    for name in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if name.read_text().startswith(str(directory)):
                found.append(name.parts[3])
        except FileNotFoundError:
            continue
    return found
