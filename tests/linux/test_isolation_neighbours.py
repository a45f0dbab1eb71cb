"""What one box does with all its might, and what the others notice of it."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.isolation_programs import MIB, PYTHON, box, program, python
from linux.box_fixtures import opened, skip_without_limits, until
from pasture.isolation.spec import Isolation, Sandbox

ROUNDS = 8
# On two processors, of which a bomb may have one: half of the time, and what waiting for its turn adds.
FACTOR = 10
GRACE_SECONDS = 0.2

_FORKS = "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: pass"
_EATS = "keep = []\nwhile True: keep.append(bytearray(b'x' * (1 << 20)))"
_WRITES = "import os\npiece = bytes(1 << 20)\nwhile True:\n    with open('/tmp/x', 'wb') as f:\n        for _ in range(50): f.write(piece)"


@pytest.fixture
async def isolation(tmp_path: Path) -> AsyncIterator[Isolation]:
    skip_without_limits()
    async with opened(tmp_path / "run") as kind:
        yield kind


async def median_life(isolation: Isolation, name: str) -> float:
    """Seconds from asking for a box to its end."""
    times = []
    for n in range(ROUNDS):
        began = time.perf_counter()
        sandbox = await isolation.create(box(f"{name}-{n}"))
        await sandbox.destroy()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@pytest.mark.parametrize("script", [_FORKS, _WRITES], ids=["forks", "fills its disk"])
async def test_a_bomb_does_not_keep_other_boxes_from_being_made_and_ended(isolation: Isolation, script: str) -> None:
    quiet = await median_life(isolation, "quiet")
    sandbox = await isolation.create(box("bomb", processes=200, tmp=64 * MIB))
    bomb = asyncio.create_task(python(sandbox, script))
    await _busy(sandbox)
    loud = await median_life(isolation, "loud")
    await sandbox.destroy()
    await bomb
    assert loud < FACTOR * quiet + GRACE_SECONDS


async def _busy(sandbox: Sandbox) -> None:
    await until(lambda: len(sandbox.pids()) >= 2)
    await asyncio.sleep(0.3)


async def test_a_program_that_runs_out_of_memory_again_and_again_does_not_either(isolation: Isolation) -> None:
    quiet = await median_life(isolation, "quiet")
    sandbox = await isolation.create(box("greedy", memory=64 * MIB))

    async def again() -> None:
        while True:
            assert (await python(sandbox, _EATS))[0].out_of_memory

    eating = asyncio.create_task(again())
    loud = await median_life(isolation, "loud")
    eating.cancel()
    await asyncio.gather(eating, return_exceptions=True)
    assert loud < FACTOR * quiet + GRACE_SECONDS


async def test_a_flood_of_output_does_not_either(isolation: Isolation) -> None:
    quiet = await median_life(isolation, "quiet")
    reading, writing = os.pipe()
    sandbox = await isolation.create(box("flood"))
    flood = "import os\npiece = b'x' * 65536\nfor _ in range(16384): os.write(1, piece)"
    process = await sandbox.start(program(sandbox, PYTHON, "-I", "-S", "-c", flood, stdout=writing))
    os.close(writing)
    draining = asyncio.create_task(asyncio.to_thread(_drain, reading))
    loud = await median_life(isolation, "loud")
    assert loud < FACTOR * quiet + GRACE_SECONDS
    await sandbox.destroy()
    await asyncio.gather(process.wait(), draining)


def _drain(descriptor: int) -> None:
    with open(descriptor, "rb", buffering=0) as pipe:
        while pipe.read(1 << 20):
            pass
