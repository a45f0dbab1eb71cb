"""Background tasks and their owner."""

import asyncio

import pytest

from pasture.kit.tasks import Tasks


async def forever() -> None:
    await asyncio.Future()


async def test_a_task_is_named_after_its_owner_and_what_it_does() -> None:
    tasks = Tasks("pool")
    task = tasks.start(forever(), "serving")
    assert (task.get_name(), len(tasks)) == ("pool: serving", 1)
    await tasks.close()


async def test_a_task_that_has_ended_is_owned_no_more() -> None:
    tasks = Tasks("pool")
    assert await tasks.start(asyncio.sleep(0, "done"), "one") == "done"
    await tasks.finish()
    assert len(tasks) == 0


async def test_a_task_that_fails_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise RuntimeError("why")

    tasks = Tasks("pool")
    tasks.start(fails(), "stopping e1")
    await tasks.finish()
    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info and str(record.exc_info[1])) == ("pool: stopping e1 failed", "why")


async def test_closing_cancels_what_runs_and_waits_until_it_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    cleaned = []

    async def cleans_up() -> None:
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    tasks = Tasks("pool")
    tasks.start(cleans_up(), "one")
    await asyncio.sleep(0)
    await tasks.close()
    assert (cleaned, len(tasks), caplog.records) == ([1], 0, [])


async def test_closing_ends_what_a_task_starts_in_its_end() -> None:
    tasks = Tasks("pool")

    async def starts_another() -> None:
        try:
            await asyncio.Future()
        finally:
            tasks.start(forever(), "another")

    tasks.start(starts_another(), "one")
    await asyncio.sleep(0)
    await tasks.close()
    assert len(tasks) == 0


async def test_finishing_waits_for_what_tasks_start() -> None:
    tasks, ended = Tasks("pool"), []

    async def last() -> None:
        await asyncio.sleep(0)
        ended.append("last")

    async def first() -> None:
        await asyncio.sleep(0)
        tasks.start(last(), "last")

    tasks.start(first(), "first")
    await tasks.finish()
    assert ended == ["last"]


async def test_settling_waits_no_longer_than_it_may() -> None:
    tasks = Tasks("pool")
    tasks.start(forever(), "one")
    async with asyncio.timeout(5):
        await tasks.settle(0.01)
    assert len(tasks) == 1
    await tasks.close()


async def test_with_nothing_to_do_all_of_them_return_at_once() -> None:
    tasks = Tasks("pool")
    await tasks.settle(5)
    await tasks.finish()
    await tasks.close()
