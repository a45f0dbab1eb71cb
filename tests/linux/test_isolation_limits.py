"""Memory, processes and processor time are limited, and the kernel's verdict comes back."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.isolation_programs import MIB, PYTHON, box, program, python, shell
from linux.box_fixtures import opened, skip_without_limits, until
from pasture.isolation.spec import Exit, Isolation

_EAT = "keep = []\nfor _ in range({mib}): keep.append(bytearray(b'x' * (1 << 20)))\nprint('ate')"


@pytest.fixture
async def isolation(tmp_path: Path) -> AsyncIterator[Isolation]:
    skip_without_limits()
    async with opened(tmp_path / "run") as kind:
        yield kind


async def test_a_program_over_its_memory_is_killed_and_the_exit_says_so(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("greedy", memory=64 * MIB))
    assert await python(sandbox, _EAT.format(mib=200)) == (Exit(None, 9, out_of_memory=True), "")


async def test_a_program_within_its_memory_is_not(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("modest", memory=64 * MIB))
    assert await python(sandbox, _EAT.format(mib=30)) == (Exit(0), "ate\n")
    assert 30 * MIB < sandbox.peak_memory_bytes() <= 64 * MIB


async def test_the_box_outlives_it_and_a_later_kill_is_only_a_kill(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("greedy", memory=64 * MIB))
    await python(sandbox, _EAT.format(mib=200))
    assert (await shell(sandbox, "kill -9 $$"))[0] == Exit(None, 9)


_EATING_CHILD = f"import subprocess, sys, time; r = subprocess.run([sys.executable, '-c', {_EAT.format(mib=200)!r}]); print(r.returncode)"


async def test_when_a_child_runs_out_of_memory_its_parent_ends_for_that_too(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("parent", memory=64 * MIB))
    how, _ = await python(sandbox, f"{_EATING_CHILD}; time.sleep(1000)")
    assert how == Exit(None, 9, out_of_memory=True)


async def test_a_parent_that_ends_by_itself_when_its_child_is_killed_says_so_as_well(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("parent", memory=64 * MIB))
    how, _ = await python(sandbox, f"{_EATING_CHILD}; import os; os._exit(3)")
    assert how in {Exit(3, out_of_memory=True), Exit(None, 9, out_of_memory=True)}


async def test_when_memory_runs_out_every_program_of_the_box_ends_and_no_other_box_is_touched(
    isolation: Isolation,
) -> None:
    sandbox = await isolation.create(box("greedy", memory=64 * MIB))
    neighbour = await isolation.create(box("neighbour", memory=64 * MIB))
    sleeping = [asyncio.create_task(shell(sandbox, "sleep 1000 & sleep 1000")) for _ in range(3)]
    living = asyncio.create_task(shell(neighbour, "sleep 1000"))
    await until(lambda: len(sandbox.pids()) == 1 + 3 * 3 and len(neighbour.pids()) >= 2)
    await python(sandbox, _EAT.format(mib=200))
    assert [how for how, _ in await asyncio.gather(*sleeping)] == [Exit(None, 9, out_of_memory=True)] * 3
    await until(lambda: len(sandbox.pids()) == 1)
    assert await shell(sandbox, "echo again") == (Exit(0), "again\n")
    await neighbour.kill_all()
    assert (await living)[0] == Exit(None, 9)


async def test_after_memory_ran_out_a_kill_of_ours_is_only_a_kill(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("parent", memory=64 * MIB))
    await python(sandbox, _EATING_CHILD)
    running = asyncio.create_task(shell(sandbox, "sleep 1000"))
    await until(lambda: len(sandbox.pids()) >= 2)
    await sandbox.kill_all()
    assert (await running)[0] == Exit(None, 9)


async def test_processes_are_limited_and_a_fork_bomb_is_ended_by_kill_all(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("bomb", processes=30))
    script = "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.01)"
    bomb = asyncio.create_task(python(sandbox, script))
    await until(lambda: len(sandbox.pids()) >= 31)
    assert len(sandbox.pids()) == 31
    await sandbox.kill_all()
    assert (await bomb)[0] == Exit(None, 9)
    assert len(sandbox.pids()) == 1


async def test_processor_time_is_capped(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("busy", cpus=0.2))
    script = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    _, text = await python(sandbox, script)
    assert float(text) < 0.45


async def test_the_cap_on_processor_time_can_be_raised_and_lowered_and_stays_after_a_kill(isolation: Isolation) -> None:
    script = "import time\nend = time.monotonic() + 0.6\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    sandbox = await isolation.create(box("busy", cpus=2.0))
    sandbox.limit_cpus(0.2)
    await sandbox.kill_all()
    _, slow = await python(sandbox, script)
    sandbox.limit_cpus(100.0)
    _, fast = await python(sandbox, script)
    assert float(slow) < 0.3
    assert 1.5 * float(slow) < float(fast)


async def test_a_frozen_box_gets_no_processor_time(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("frozen"))
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    ticking = "import os, time\nwhile True: os.write(1, b'.'); time.sleep(0.001)"
    await sandbox.start(program(sandbox, PYTHON, "-c", ticking, stdout=writing))
    os.close(writing)
    await _until_readable(reading)
    await sandbox.freeze()
    _drain(reading)
    await asyncio.sleep(0.1)
    assert _drain(reading) == 0
    await sandbox.thaw()
    await _until_readable(reading)
    os.close(reading)


def _drain(descriptor: int) -> int:
    read = 0
    try:
        while data := os.read(descriptor, 4096):
            read += len(data)
    except BlockingIOError:
        pass
    return read


async def _until_readable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    await ready.wait()
    loop.remove_reader(descriptor)


async def test_peak_memory_is_that_of_the_box_alone(isolation: Isolation) -> None:
    first = await isolation.create(box("first", memory=128 * MIB))
    second = await isolation.create(box("second", memory=128 * MIB))
    await python(first, _EAT.format(mib=60))
    assert first.peak_memory_bytes() > 60 * MIB
    assert second.peak_memory_bytes() < 20 * MIB
