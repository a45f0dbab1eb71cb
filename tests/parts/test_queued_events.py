"""Asynchronous events from their acceptance to their end, by a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fakes.functions import a_version
from fakes.timers import Timers, settle
from pasture.destinations import record
from pasture.domain.errors import ApiError, RecursiveInvocation, ResourceNotFound, ServiceError, TooManyRequests
from pasture.domain.events import Channel, Condition, Delivery, Event
from pasture.domain.function import Function, FunctionVersion
from pasture.domain.function_settings import Claims, EventInvoke, Settings
from pasture.domain.identifiers import FunctionRef
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.scope import Scope
from pasture.invoke.attempts import Attempts
from pasture.invoke.lanes import Lanes
from pasture.invoke.queued import QueuedInvoker
from pasture.kit.clock import ManualClock
from pasture.metrics.names import Place
from pasture.store.errors import StoreFull
from pasture.store.events import Failure, Whose
from pasture.store.kinds.events_memory import MemoryEvents

WELL = Outcome(Status.SUCCESS, b'"ok"')
FAILED = Outcome(Status.ERROR, b'{"errorMessage":"boom","errorType":"ValueError"}', "ValueError")
THROTTLED = TooManyRequests("Rate Exceeded.", members={"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"})
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


class FullAtTimes(MemoryEvents):
    """Its disk is full when the test says so."""

    is_full = False

    async def finish(self, event: Event, deliveries: Sequence[Delivery] = (), failure: Failure | None = None) -> None:
        if self.is_full:
            raise StoreFull("cannot write: full.")
        await super().finish(event, deliveries, failure)


class World:
    """Functions that end as the test says, and the whole way of an event around them."""

    def __init__(self) -> None:
        self.clock = ManualClock(10_000.0)
        self.timers = Timers(self.clock)
        self.queue = FullAtTimes()
        self.functions: dict[str, Function] = {}
        self.ends: dict[str, list[Outcome | Exception]] = {}
        """How the next invocations of a function end; well when nothing is said."""
        self.hold: set[str] = set()
        """Functions whose invocations do not end before they are let go."""
        self.held: list[tuple[str, asyncio.Future[Outcome]]] = []
        self.ran: list[tuple[float, FunctionVersion, Invocation]] = []
        self.observed: list[tuple[str, str, float]] = []
        self.room = True
        attempts = Attempts(
            self._find, self._resolve, self._invoke, self._check, record.deliveries, self._observe, self.clock,
            draw=lambda: 0.999999,
        )  # fmt: skip
        self.invoker = QueuedInvoker(
            self.queue, Lanes(), attempts, lambda *_: self.room, self._claimed, self._observe, self.clock,
            call_later=self.timers.call_later,
        )  # fmt: skip
        self.deploy("f")
        self.deploy("g")

    def deploy(self, name: str, settings: Settings | None = None, reserved: int | None = None, **more: Any) -> None:
        version = a_version(name=name, **more)
        self.functions[name] = Function(
            version, version, reserved_concurrency=reserved, settings=settings or Settings()
        )

    def configure(self, name: str, qualifier: str = "$LATEST", **settings: Any) -> None:
        function = self.functions[name]
        known = {**function.settings.event_invoke, qualifier: EventInvoke(0.0, **settings)}
        self.functions[name] = replace(function, settings=Settings(event_invoke=known))

    async def _find(self, _scope: Scope, name: str) -> Function | None:
        return self.functions.get(name)

    async def _resolve(self, _scope: Scope, reference: FunctionRef) -> FunctionVersion:
        if reference.qualifier not in {None, "$LATEST", "live"}:
            raise ResourceNotFound("Function not found: " + str(reference.qualifier))
        return self.functions[reference.name].latest

    async def _claimed(self, _scope: Scope, _name: str) -> Claims:
        return Claims(None, 0)

    async def _check(self, _scope: Scope, _name: str, trace_id: str) -> None:
        if "circle" in trace_id:
            raise RecursiveInvocation

    async def _invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        self.ran.append((self.clock.now(), version, invocation))
        if version.name in self.hold:
            held: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self.held.append((version.name, held))
            return await held
        ends = self.ends.get(version.name)
        end = ends.pop(0) if ends else WELL
        if isinstance(end, Exception):
            raise end
        return end

    def _observe(self, name: str, place: Place, value: float) -> None:
        self.observed.append((name, place.resource, value))

    async def accept(self, id_: str = "1", name: str = "f", **more: Any) -> None:
        members = {"qualifier": "", "payload": b'{"a":1}', "trace_id": "Root=1", **more}
        await self.invoker.accept(Event(id_, Scope(), name, accepted=self.clock.now(), **members))

    def times(self, name: str = "f") -> list[float]:
        """Of its attempts, since the beginning."""
        return [time - 10_000.0 for time, version, _ in self.ran if version.name == name]

    async def failed(self, name: str = "f") -> list[tuple[str, str, int]]:
        listing = await self.queue.listing(Whose(Scope(), name), 0.0, 100)
        return [(shown.condition, shown.error, shown.attempts) for shown in listing.first_failed]

    async def queued(self, name: str = "f") -> int:
        return (await self.queue.listing(Whose(Scope(), name), 0.0, 1)).queued

    def dropped(self) -> float:
        return sum(value for name, _, value in self.observed if name == "AsyncEventsDropped")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.invoker.open()
    yield made
    await made.invoker.close(0.0)


# One event...


async def test_an_accepted_event_runs_as_it_was_sent(world: World) -> None:
    await world.accept("1", qualifier="live", tenant_id="blue", client_context="")
    await settle()
    ((_, version, invocation),) = world.ran
    assert replace(invocation, invocation_id="") == Invocation(
        "1", "arn:aws:lambda:us-east-1:000000000000:function:f:live", b'{"a":1}', "Root=1", tenant_id="blue"
    )
    assert (version.name, await world.queued(), world.timers.next) == ("f", 0, None)


async def test_one_that_fails_runs_again_after_one_and_two_minutes_under_the_same_id(world: World) -> None:
    world.ends["f"] = [FAILED, FAILED, FAILED]
    await world.accept()
    await world.timers.advance(1_000.0)
    assert world.times() == [0.0, 60.0, 180.0]
    assert {invocation.request_id for _, _, invocation in world.ran} == {"1"}
    assert len({invocation.invocation_id for _, _, invocation in world.ran}) == 3
    assert await world.failed() == [("RetriesExhausted", "ValueError: boom", 3)]
    assert (world.dropped(), world.timers.next) == (1, None)


async def test_one_that_succeeds_when_it_is_tried_again_is_done(world: World) -> None:
    world.ends["f"] = [FAILED]
    await world.accept()
    await world.timers.advance(1_000.0)
    assert (world.times(), await world.failed(), await world.queued()) == ([0.0, 60.0], [], 0)


async def test_throttles_and_faults_of_the_service_use_up_no_retries(world: World) -> None:
    world.ends["f"] = [THROTTLED, ServiceError("no room"), THROTTLED, FAILED, FAILED]
    await world.accept()
    await world.timers.advance(2_000.0)
    assert world.times() == pytest.approx([0.0, 1.0, 3.0, 7.0, 67.0, 187.0], abs=0.01)
    assert (await world.failed(), await world.queued()) == ([], 0)


async def test_one_that_is_throttled_for_six_hours_is_given_up_then(world: World) -> None:
    world.ends["f"] = [THROTTLED] * 1_000
    await world.accept()
    await world.timers.advance(21_599.0)
    assert await world.queued() == 1
    await world.timers.advance(2.0)
    assert await world.failed() == [("EventAgeExceeded", "", 0)]


async def test_what_is_set_for_its_qualifier_counts_and_what_is_set_now(world: World) -> None:
    world.configure("f", retries=0)
    world.configure("f", "live", retries=2)
    world.ends["f"] = [FAILED] * 3
    await world.accept(qualifier="live")
    await settle()
    world.configure("f", "live", retries=1)
    await world.timers.advance(1_000.0)
    assert world.times() == [0.0, 60.0]


async def test_the_code_that_runs_is_the_code_of_that_moment(world: World) -> None:
    world.ends["f"] = [FAILED]
    await world.accept()
    await settle()
    world.deploy("f", generation="g2")
    await world.timers.advance(100.0)
    assert [version.generation for _, version, _ in world.ran] == ["g1", "g2"]


async def test_with_a_reservation_of_zero_it_does_not_run(world: World) -> None:
    world.deploy("f", reserved=0)
    await world.accept()
    await settle()
    assert (world.ran, await world.failed()) == ([], [("ZeroReservedConcurrency", "", 0)])


async def test_one_that_goes_round_in_circles_does_not_run(world: World) -> None:
    await world.accept(trace_id="circle")
    await settle()
    ((condition, _, _),) = await world.failed()
    assert (world.ran, condition) == ([], "RecursiveInvocation")


async def test_events_of_a_version_that_is_gone_are_kept_as_failed(world: World) -> None:
    await world.accept(qualifier="7")
    await settle()
    assert (world.ran, await world.failed()) == ([], [("ResourceNotFound", "Function not found: 7", 0)])


async def test_events_of_a_function_that_is_gone_are_dropped_with_it(world: World) -> None:
    world.hold.add("f")
    for number in range(2_000):
        await world.accept(str(number))
    await settle()
    del world.functions["f"]
    for _, held in world.held:
        held.set_result(FAILED)
    await world.timers.advance(200.0)
    assert (await world.queued(), await world.failed(), world.timers.next) == (0, [], None)
    assert world.dropped() == 2_000


# Destinations...


async def test_success_and_failure_leave_what_is_to_be_delivered(world: World) -> None:
    world.configure("f", retries=0, on_success=QUEUE + "-good", on_failure=QUEUE + "-bad")
    world.functions["f"] = replace(
        world.functions["f"],
        latest=replace(world.functions["f"].latest, more={"DeadLetterConfig": {"TargetArn": QUEUE}}),
    )
    world.ends["f"] = [WELL, FAILED]
    await world.accept("1")
    await world.accept("2")
    await settle()
    told = [(made.channel, made.target, made.condition, made.role) for made in world.queue.deliveries]
    role = world.functions["f"].latest.role
    assert told == [
        (Channel.DESTINATION, QUEUE + "-good", Condition.SUCCESS, role),
        (Channel.DESTINATION, QUEUE + "-bad", Condition.RETRIES_EXHAUSTED, role),
        (Channel.DEAD_LETTER, QUEUE, Condition.RETRIES_EXHAUSTED, role),
    ]
    assert b'"approximateInvokeCount":1' in world.queue.deliveries[0].body


# Many...


async def test_a_hundred_thousand_events_of_one_function_do_not_delay_the_one_of_another(world: World) -> None:
    world.hold.add("f")
    for number in range(100_000):
        await world.queue.put(Event(str(number), Scope(), "f", "", b"{}", world.clock.now()))
    await world.accept("other", "g")
    await settle()
    assert [invocation.request_id for _, version, invocation in world.ran if version.name == "g"] == ["other"]
    assert 0 < len(world.held) <= 450
    assert await world.queued("g") == 0


async def test_every_one_of_many_events_runs_once(world: World) -> None:
    for number in range(3_000):
        await world.accept(str(number), "f" if number % 2 else "g")
    while await world.queued("f") or await world.queued("g"):
        await settle()
    assert sorted(int(invocation.request_id) for _, _, invocation in world.ran) == list(range(3_000))


async def test_a_throttled_function_is_not_hammered(world: World) -> None:
    world.ends["f"] = [THROTTLED] * 10_000
    for number in range(1_000):
        await world.accept(str(number))
    await settle()
    at_once = len(world.ran)
    await world.timers.advance(60.0)
    assert at_once <= 64
    assert len(world.ran) - at_once < 100


async def test_while_there_is_no_room_nothing_is_tried_and_then_it_runs(world: World) -> None:
    world.room = False
    await world.accept()
    await world.timers.advance(10.0)
    assert world.ran == []
    world.room = True
    await world.timers.advance(1.0)
    assert len(world.ran) == 1


# Faults...


async def test_an_end_that_cannot_be_written_is_written_later_and_the_event_does_not_run_again(world: World) -> None:
    world.queue.is_full = True
    await world.accept()
    await settle()
    assert (len(world.ran), await world.queued()) == (1, 1)
    world.queue.is_full = False
    async with asyncio.timeout(30):
        while await world.queued():  # noqa: ASYNC110 - the pause is real time
            await asyncio.sleep(0.01)
    assert len(world.ran) == 1


async def test_a_fault_of_ours_loses_no_event(world: World) -> None:
    world.ends["f"] = [RuntimeError("a fault")]
    await world.accept()
    await world.timers.advance(200.0)
    assert (len(world.ran), await world.queued()) == (2, 0)


async def test_a_server_that_stops_begins_nothing_and_leaves_what_was_set_back_as_it_was(world: World) -> None:
    world.hold.add("f")
    await world.accept("running")
    await settle()
    world.invoker.stop()
    await world.queue.put(Event("later", Scope(), "f", "", b"{}", world.clock.now()))
    await settle()
    error: ApiError = ServiceError("The server is shutting down.")
    world.held[0][1].set_exception(error)
    await settle()
    listing = await world.queue.listing(Whose(Scope(), "f"), 0.0, 10)
    assert (len(world.ran), listing.queued, [shown.setbacks for shown in listing.first]) == (1, 2, [0, 0])


# Metrics...


async def test_events_are_counted_as_they_come_with_their_age_as_they_run_and_as_they_are_dropped(world: World) -> None:
    world.ends["f"] = [FAILED]
    world.configure("f", "live", retries=1)
    await world.accept(qualifier="live")
    await world.timers.advance(100.0)
    world.deploy("f", reserved=0)
    await world.accept("2")
    await settle()
    assert world.observed == [
        ("AsyncEventsReceived", "f:live", 1),
        ("AsyncEventAge", "f:live", 0.0),
        ("AsyncEventAge", "f:live", 60_000.0),
        ("AsyncEventsReceived", "f", 1),
        ("AsyncEventsDropped", "f", 1),
    ]
