"""Invocations that are admitted by what is reserved for their function and its account."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.functions import a_version, an_invocation
from pasture.domain.errors import ServiceError, TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.function_settings import Claims
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.invoke.admission import Slot
from pasture.invoke.direct import DirectInvoker

ELSEWHERE = Scope("111122223333")


class Account:
    """Ten may run, and what runs does not end before the test does."""

    def __init__(self) -> None:
        self.reserved: dict[str, int] = {}
        self.invoker = DirectInvoker(self._run, Limits(concurrent_executions=10), self._claimed)
        self.running: list[asyncio.Task[Outcome]] = []
        self.end = asyncio.Event()

    async def _claimed(self, _scope: Scope, name: str) -> Claims:
        return Claims(self.reserved.get(name), sum(self.reserved.values()))

    async def _run(self, _version: FunctionVersion, _invocation: Invocation, slot: Slot) -> Outcome:
        await self.end.wait()
        slot.give_back()
        return Outcome(Status.SUCCESS, b"1")

    async def start(self, name: str, number: int = 1, scope: Scope = Scope()) -> None:  # noqa: B008 - it is frozen
        version = a_version(name=name, scope=scope)
        for _ in range(number):
            self.running.append(asyncio.create_task(self.invoker.invoke(version, an_invocation())))
        await asyncio.sleep(0)

    async def finish(self) -> list[Outcome]:
        self.end.set()
        return await asyncio.gather(*self.running)

    async def refused(self, name: str) -> object:
        with pytest.raises(TooManyRequests) as caught:
            await self.invoker.invoke(a_version(name=name), an_invocation())
        assert caught.value.message == "Rate Exceeded."
        return caught.value.members["Reason"]


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    made = Account()
    yield made
    await made.finish()


async def test_a_function_has_what_is_reserved_for_it_and_no_more(account: Account) -> None:
    account.reserved = {"f": 2}
    await account.start("f", 2)
    assert await account.refused("f") == "ReservedFunctionConcurrentInvocationLimitExceeded"
    await account.start("g", 8)
    assert await account.refused("g") == "ConcurrentInvocationLimitExceeded"


async def test_the_others_cannot_take_what_is_reserved(account: Account) -> None:
    account.reserved = {"f": 2}
    await account.start("g", 8)
    assert await account.refused("h") == "ConcurrentInvocationLimitExceeded"
    await account.start("f", 2)
    assert len(await account.finish()) == 10


async def test_nothing_reserved_stops_a_function(account: Account) -> None:
    account.reserved = {"f": 0}
    assert await account.refused("f") == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_accounts_do_not_share_their_concurrency(account: Account) -> None:
    await account.start("g", 10, ELSEWHERE)
    await account.start("g", 10)
    assert await account.refused("g") == "ConcurrentInvocationLimitExceeded"


async def test_a_reservation_that_comes_while_it_runs_counts_what_runs_already(account: Account) -> None:
    await account.start("f", 2)
    account.reserved = {"f": 2}
    assert await account.refused("f") == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_what_has_ended_makes_room_whatever_was_reserved_in_between(account: Account) -> None:
    await account.start("f", 10)
    account.reserved = {"f": 0}
    await account.finish()
    account.reserved = {}
    outcome = await account.invoker.invoke(a_version(name="f"), an_invocation())
    assert outcome == Outcome(Status.SUCCESS, b"1")


async def test_a_caller_that_goes_leaves_what_runs_its_slot(account: Account) -> None:
    account.reserved = {"f": 1}
    await account.start("f")
    account.running.pop().cancel()
    await asyncio.sleep(0)
    # The fake run ends with its caller and gives nothing back; the real one, the pool's, runs on and does.
    assert await account.refused("f") == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_an_invocation_that_can_have_no_environment_gives_its_slot_back(account: Account) -> None:
    async def run(_version: FunctionVersion, _invocation: Invocation, _slot: Slot) -> Outcome:
        raise ServiceError("no.")

    invoker = DirectInvoker(run, Limits(concurrent_executions=1))
    for _ in range(3):
        with pytest.raises(ServiceError):
            await invoker.invoke(a_version(), an_invocation())


async def test_who_is_throttled_is_told_when_to_come_again(account: Account) -> None:
    account.reserved = {"f": 0}
    with pytest.raises(TooManyRequests) as caught:
        await account.invoker.invoke(a_version(name="f"), an_invocation())
    assert caught.value.headers == {"Retry-After": "1"}
