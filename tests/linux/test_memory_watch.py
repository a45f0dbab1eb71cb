"""Noticing that memory ran out, where the kernel's notice and its count do not come together."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from pasture.isolation.launcher.cgroups import Group, Notices
from pasture.isolation.memory import MemoryWatch


class FakeNotices:
    """Implements `Notices`."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def give(self) -> None:
        os.write(self._writing, b"!")

    def fileno(self) -> int:
        return self._reading

    def clear(self) -> None:
        os.read(self._reading, 100)

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


class FakeGroup(Group):
    """A group in which as many have been killed as the test says."""

    def __init__(self) -> None:
        super().__init__({})
        self.kills = 0
        self.notices = FakeNotices()

    def oom_kills(self) -> int:
        return self.kills

    def watch_memory(self) -> Notices | None:
        return self.notices


class Watched:
    def __init__(self) -> None:
        self.group = FakeGroup()
        self.killed = asyncio.Queue[None]()
        self.watch = MemoryWatch(self.group, lambda: self.killed.put_nowait(None))


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    made.watch.close()


async def test_a_kill_is_noticed_once(watched: Watched) -> None:
    watched.group.kills = 1
    watched.group.notices.give()
    await watched.killed.get()
    watched.watch.check()
    assert watched.killed.empty()


async def test_a_kill_that_is_counted_after_the_notice_is_noticed_too(watched: Watched) -> None:
    watched.group.notices.give()
    await asyncio.sleep(0.003)
    watched.group.kills = 2
    async with asyncio.timeout(5):
        await watched.killed.get()
    assert watched.killed.empty()


async def test_a_kill_without_a_notice_is_seen_by_whoever_looks(watched: Watched) -> None:
    watched.group.kills = 1
    watched.watch.check()
    assert watched.killed.qsize() == 1


async def test_a_closed_watch_says_nothing_more(watched: Watched) -> None:
    watched.group.notices.give()
    await asyncio.sleep(0)
    watched.watch.close()
    watched.group.kills = 1
    await asyncio.sleep(0.03)
    assert watched.killed.empty()
