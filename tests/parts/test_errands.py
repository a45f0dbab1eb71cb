"""Coroutines that go on at once, and become tasks when they wait for what the event loop brings."""

import asyncio

import pytest

from pasture.kit.errands import Errand, Notice
from pasture.kit.tasks import Tasks


class Ended:
    """Remembers how errands have ended."""

    def __init__(self) -> None:
        self.errors: list[BaseException | None] = []

    def __call__(self, _errand: Errand, error: BaseException | None) -> None:
        self.errors.append(error)


def notice() -> "Notice[str]":
    return Notice(loop=asyncio.get_running_loop())


async def begun(*steps: "Notice[str] | asyncio.Future[str]", heard: list[str]) -> None:
    heard.append("begun")
    for step in steps:
        said = await step
        heard.append(said)


async def test_it_has_begun_when_it_has_been_made_and_goes_on_within_tell() -> None:
    heard: list[str] = []
    ended, first, second = Ended(), notice(), notice()
    errand = Errand(begun(first, second, heard=heard), "one", ended, asyncio.get_running_loop())
    assert heard == ["begun"]
    first.tell("first")
    assert (heard, errand.has_ended) == (["begun", "first"], False)
    second.tell("second")
    assert (heard, errand.has_ended, ended.errors) == (["begun", "first", "second"], True, [None])


async def test_what_was_told_before_is_not_waited_for() -> None:
    heard: list[str] = []
    told = notice()
    told.tell("told")
    told.tell("again")
    assert Errand(begun(told, heard=heard), "one", Ended(), asyncio.get_running_loop()).has_ended
    assert heard == ["begun", "told"]


async def test_it_becomes_a_task_when_it_waits_for_anything_else_and_stays_one() -> None:
    heard: list[str] = []
    ended, first, last = Ended(), notice(), notice()
    brought: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    errand = Errand(begun(first, brought, last, heard=heard), "one", ended, asyncio.get_running_loop())
    first.tell("first")
    brought.set_result("brought")
    assert heard == ["begun", "first"]
    last.tell("last")
    await errand.as_task()
    await asyncio.sleep(0)
    assert (heard, ended.errors) == (["begun", "first", "brought", "last"], [None])


async def test_a_bare_yield_makes_it_a_task_too() -> None:
    ended = Ended()
    errand = Errand(asyncio.sleep(0), "one", ended, asyncio.get_running_loop())
    assert not errand.has_ended
    await errand.as_task()
    await asyncio.sleep(0)
    assert ended.errors == [None]


async def test_one_that_waits_for_a_notice_can_be_cancelled_as_a_task_and_cleans_up() -> None:
    cleaned: list[str] = []

    async def cleans_up(waited: "Notice[str]") -> None:
        try:
            await waited
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    ended, waited = Ended(), notice()
    errand = Errand(cleans_up(waited), "one", ended, asyncio.get_running_loop())
    task = errand.as_task()
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert cleaned == ["cleaned"]
    assert isinstance(ended.errors[0], asyncio.CancelledError)


async def test_one_that_is_a_task_now_is_still_told_by_its_notice() -> None:
    heard: list[str] = []
    waited = notice()
    errand = Errand(begun(waited, heard=heard), "one", Ended(), asyncio.get_running_loop())
    task = errand.as_task()
    waited.tell("told")
    await task
    assert heard == ["begun", "told"]


async def test_an_error_is_raised_where_it_is_waited_for_and_told_in_the_end() -> None:
    ended, waited = Ended(), notice()
    Errand(begun(waited, heard=[]), "one", ended, asyncio.get_running_loop())
    error = RuntimeError("why")
    waited.fail(error)
    assert ended.errors == [error]


async def test_cancelling_the_notice_ends_who_waits_for_it() -> None:
    ended, waited = Ended(), notice()
    Errand(begun(waited, heard=[]), "one", ended, asyncio.get_running_loop())
    waited.cancel()
    assert isinstance(ended.errors[0], asyncio.CancelledError)


async def test_a_task_awaits_a_notice_as_any_future() -> None:
    waited = notice()
    asyncio.get_running_loop().call_soon(waited.tell, "told")
    async with asyncio.timeout(5):
        assert await waited == "told"


async def test_an_errand_in_its_own_stack_cannot_be_waited_for() -> None:
    seen: list[bool] = []
    waited = notice()

    async def looks() -> None:
        await waited
        seen.append(errand.is_running)
        with pytest.raises(RuntimeError, match="does not wait"):
            errand.as_task()

    ended = Ended()
    errand = Errand(looks(), "one", ended, asyncio.get_running_loop())
    waited.tell("now")
    assert (seen, ended.errors) == ([True], [None])


async def test_an_owner_ends_its_errands_as_its_tasks() -> None:
    tasks, loop = Tasks("pool"), asyncio.get_running_loop()
    tasks.begin(begun(notice(), heard=[]), "serving", loop)
    tasks.begin(begun(heard=[]), "at once", loop)
    assert len(tasks) == 1
    await tasks.settle(0.01)
    assert len(tasks) == 1
    await tasks.close()
    assert len(tasks) == 0


async def test_an_owner_says_when_an_errand_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise RuntimeError("why")

    tasks = Tasks("pool")
    tasks.begin(fails(), "serving", asyncio.get_running_loop())
    (record,) = caplog.records
    assert (record.exc_info and str(record.exc_info[1]), len(tasks)) == ("why", 0)
