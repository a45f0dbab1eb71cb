"""One environment from its cold start to its end, with a fake box and a runtime that speaks the real Runtime API."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fakes.functions import a_plan, a_version, an_invocation
from fakes.isolation import Ended, FakeIsolation, FakeProcess, Script
from fakes.logs import RecordingWriter
from fakes.runtime import Event, FakeRuntime, echo, runtime
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import MIB, Limits
from pasture.environments.environment import Environment, EnvironmentGone
from pasture.environments.journal import Journal
from pasture.environments.lifecycle import EnvironmentState, IllegalMove
from pasture.isolation.spec import SandboxError
from pasture.kit.clock import SystemClock

SOON = 5.0
INIT_ARN = "arn:aws:lambda:us-east-1::runtime:abc"


class World:
    """An environment and everything around it."""

    def __init__(
        self,
        script: Script,
        version: FunctionVersion | None = None,
        limits: Limits | None = None,
        on_gone: Callable[[], None] = lambda: None,
    ) -> None:
        limits = limits or Limits()
        self.isolation = FakeIsolation(script)
        self.writer = RecordingWriter()
        self.environment = Environment(
            a_plan(version, limits=limits),
            self.isolation,
            Journal(self.writer, SystemClock()),
            SystemClock(),
            limits,
            runtime_version_arn=INIT_ARN,
            on_gone=on_gone,
        )

    async def serve(self, invocation: Invocation | None = None) -> Outcome:
        """The outcome, once the environment is idle again."""
        outcomes: list[Outcome] = []
        async with asyncio.timeout(SOON):
            await self.environment.serve(invocation or an_invocation(request_id="r1"), outcomes.append)
        (outcome,) = outcomes
        return outcome

    @property
    def log(self) -> list[str]:
        """With every duration, time and size replaced by a letter."""
        text = "\n".join(self.writer.lines)
        text = re.sub(r"\d+\.\d\d ms", "T ms", text)
        text = re.sub(r"Billed Duration: \d+ ms", "Billed Duration: T ms", text)
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "NOW", text).split("\n")

    async def until_crashed(self) -> None:
        sandbox = self.environment.sandbox
        assert sandbox is not None
        async with asyncio.timeout(SOON):
            while sandbox.pids():  # noqa: ASYNC110 (a process has no event)
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)


@pytest.fixture
async def worlds() -> AsyncIterator[Callable[..., World]]:
    """Makes worlds, and in the end looks that nothing of them is left."""
    made: list[World] = []
    before = asyncio.all_tasks()

    def make(*args: Any, **kwargs: Any) -> World:
        made.append(World(*args, **kwargs))
        return made[-1]

    yield make
    for world in made:
        await world.environment.stop()
        assert (world.environment.state, world.isolation.sandboxes) == (EnvironmentState.GONE, {})
        assert world.isolation.faults == []
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


Worlds = Callable[..., World]
INIT_START = f"INIT_START Runtime Version: python:3.12.1\tRuntime Version ARN: {INIT_ARN}"
START = "START RequestId: r1 Version: $LATEST"
END = "END RequestId: r1"
REPORT = "REPORT RequestId: r1\tDuration: T ms\tBilled Duration: T ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB"
COLD_REPORT = f"{REPORT}\tInit Duration: T ms"


def payload(error_type: str, message: str) -> dict[str, str]:
    return {"errorType": error_type, "errorMessage": message}


async def forever(_runtime: FakeRuntime, _event: Event) -> Any:
    await asyncio.Future()


def ending(**how: int) -> Script:
    """A runtime whose handler ends its process."""

    async def end(_runtime: FakeRuntime, _event: Event) -> Any:
        raise Ended(**how)

    return runtime(end)


def by_life(*scripts: Script) -> Script:
    """Each life of the runtime does another thing; the last does for all that follow."""

    async def script(process: FakeProcess) -> None:
        await scripts[min(process.life, len(scripts)) - 1](process)

    return script


# Good invocations...


async def test_an_invocation_is_served_and_told_of_in_the_log(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    assert await world.serve(an_invocation(b'{"a":1}', request_id="r1")) == Outcome(Status.SUCCESS, b'{"a": 1}')
    assert world.log == [INIT_START, START, END, COLD_REPORT]


async def test_the_init_is_reported_once(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    await world.serve()
    await world.serve()
    assert world.log == [INIT_START, START, END, COLD_REPORT, START, END, REPORT]


async def test_the_runtime_is_given_the_handler_the_variables_and_the_pipes(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    program = world.isolation.sandboxes["e1"].programs[0].program
    assert (program.command[-1], program.directory, program.environment["_HANDLER"], list(program.descriptors)) == (
        "app.handler",
        "/var/task",
        "app.handler",
        [3],
    )


async def test_the_deadline_is_the_timeout_from_now(worlds: Worlds) -> None:
    async def deadline(_runtime: FakeRuntime, event: Event) -> Any:
        return int(event.headers["lambda-runtime-deadline-ms"])

    world = worlds(runtime(deadline), a_version(timeout=7))
    await world.environment.start()
    before = SystemClock().now()
    deadline_ms = int((await world.serve()).payload)
    assert before * 1000 + 6_999 <= deadline_ms <= SystemClock().now() * 1000 + 7_000


async def test_the_caller_is_answered_before_the_runtime_asks_for_more(worlds: Worlds) -> None:
    may_go_on = asyncio.Event()

    async def script(process: FakeProcess) -> None:
        rt = await FakeRuntime.connect(process)
        event = await rt.next()
        await rt.respond(event.request_id, b'"early"')
        await may_go_on.wait()
        rt.print("afterwards\n")
        await rt.next()

    world = worlds(script)
    await world.environment.start()
    answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(world.environment.serve(an_invocation(request_id="r1"), answered.set_result))
    assert ((await answered).payload, world.environment.state) == (b'"early"', EnvironmentState.BUSY)
    may_go_on.set()
    await serving
    assert world.log == [INIT_START, START, "afterwards", END, COLD_REPORT]


async def test_what_the_function_says_comes_before_end_in_the_order_it_was_said(worlds: Worlds) -> None:
    async def talks(rt: FakeRuntime, _event: Event) -> Any:
        for n in range(100):
            rt.print(f"line {n}\n")
        rt.print("unfinished")

    async def says_hello(rt: FakeRuntime) -> None:
        rt.print("importing\n")

    world = worlds(runtime(talks, says_hello))
    await world.environment.start()
    await world.serve()
    lines = [f"line {n}" for n in range(100)]
    assert world.log == [INIT_START, "importing", START, *lines, "unfinished", END, COLD_REPORT]


async def test_a_record_on_the_telemetry_descriptor_keeps_its_lines_together_and_its_own_time(worlds: Worlds) -> None:
    async def logs(rt: FakeRuntime, _event: Event) -> Any:
        rt.log("one\ntwo", 1_600_000_000_123_456)

    world = worlds(runtime(logs))
    await world.environment.start()
    await world.serve()
    record = world.writer.events[2]
    assert (record.timestamp, record.message) == (1_600_000_000_123, "one\ntwo\n")


async def test_the_tail_is_the_log_of_this_invocation_from_start_to_report(worlds: Worlds) -> None:
    async def talks(rt: FakeRuntime, event: Event) -> Any:
        rt.print(f"{event.payload.decode()}\n")

    world = worlds(runtime(talks))
    await world.environment.start()
    await world.serve(an_invocation(b'"first"'))
    outcome = await world.serve(an_invocation(b'"second"', request_id="r1", tail=True))
    lines = re.sub(r"\d+(\.\d\d)? ms", "T ms", outcome.log_tail.decode()).splitlines()
    assert lines == [START, '"second"', END, f"{REPORT}\t"]


async def test_without_the_wish_there_is_no_tail(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    assert (await world.serve()).log_tail == b""


@pytest.mark.parametrize(("peak", "shown"), [(0, 0), (1, 1), (40 * MIB, 40), (40 * MIB + 1, 41), (999 * MIB, 128)])
async def test_the_memory_in_report_is_whole_megabytes_and_never_more_than_there_are(
    worlds: Worlds, peak: int, shown: int
) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    world.isolation.sandboxes["e1"].peak_bytes = peak
    await world.serve()
    assert f"Max Memory Used: {shown} MB" in world.log[-1]


# Functions that fail...


async def test_an_error_of_the_handler_is_told_word_for_word_and_the_environment_serves_on(worlds: Worlds) -> None:
    body = b'{"errorMessage":"boom","errorType":"ValueError"}'

    async def script(process: FakeProcess) -> None:
        rt = await FakeRuntime.connect(process)
        while True:
            await rt.fail((await rt.next()).request_id, body, "Function.ValueError")

    world = worlds(script)
    await world.environment.start()
    first, second = await world.serve(), await world.serve()
    assert first == second == Outcome(Status.ERROR, body, "Function.ValueError")
    assert (world.log, len(world.isolation.sandboxes["e1"].programs)) == (
        [INIT_START, START, END, COLD_REPORT, START, END, REPORT],
        1,
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"code": 1}, "Runtime exited with error: exit status 1"),
        ({"code": 137}, "Runtime exited with error: exit status 137"),
        ({"code": 0}, "Runtime exited without providing a reason"),
        ({"signal_": signal.SIGKILL}, "Runtime exited with error: signal: killed"),
        ({"signal_": signal.SIGSEGV}, "Runtime exited with error: signal: segmentation fault"),
        ({"signal_": 64}, "Runtime exited with error: signal: signal 64"),
    ],
)
async def test_a_runtime_that_ends_in_the_midst_is_told_of_with_its_end(
    worlds: Worlds, how: dict[str, int], words: str
) -> None:
    world = worlds(ending(**how))
    await world.environment.start()
    outcome = await world.serve()
    assert (outcome.status, outcome.error_type, json.loads(outcome.payload)) == (
        Status.ERROR,
        "Runtime.ExitError",
        payload("Runtime.ExitError", f"RequestId: r1 Error: {words}"),
    )
    assert world.log == [
        INIT_START,
        START,
        f"RequestId: r1 Error: {words}",
        "Runtime.ExitError",
        END,
        f"{COLD_REPORT}\tStatus: error\tError Type: Runtime.ExitError",
    ]


async def test_a_function_that_takes_too_long_is_stopped_and_told_so(worlds: Worlds) -> None:
    world = worlds(runtime(forever), a_version(timeout=1))
    await world.environment.start()
    outcome = await world.serve()
    assert (outcome.status, json.loads(outcome.payload)) == (
        Status.TIMEOUT,
        payload("Sandbox.Timedout", "RequestId: r1 Error: Task timed out after 1.00 seconds"),
    )
    assert world.log == [
        INIT_START,
        START,
        "NOW r1 Task timed out after 1.00 seconds",
        END,
        f"{COLD_REPORT}\tStatus: timeout",
    ]
    assert "Duration: 1000.00 ms" in world.writer.lines[-1]


async def test_a_timeout_after_the_answer_costs_the_caller_nothing_and_resets_the_environment(worlds: Worlds) -> None:
    async def script(process: FakeProcess) -> None:
        rt = await FakeRuntime.connect(process)
        await rt.respond((await rt.next()).request_id, b'"done"')
        await asyncio.Future()

    world = worlds(script, a_version(timeout=1))
    await world.environment.start()
    assert await world.serve() == Outcome(Status.SUCCESS, b'"done"')
    assert (world.log[-1], world.isolation.sandboxes["e1"].pids()) == (f"{COLD_REPORT}\tStatus: timeout", [])


@pytest.mark.parametrize("first", [runtime(forever), ending(code=3)], ids=["timeout", "crash"])
async def test_a_reset_keeps_the_box_and_its_tmp_and_starts_the_runtime_anew(worlds: Worlds, first: Script) -> None:
    async def remembers(rt: FakeRuntime, _event: Event) -> Any:
        return [rt.process.life, rt.process.sandbox.tmp]

    world = worlds(by_life(first, runtime(remembers)), a_version(timeout=1))
    await world.environment.start()
    world.isolation.sandboxes["e1"].tmp["left"] = "behind"
    await world.serve()
    outcome = await world.serve()
    assert (json.loads(outcome.payload), world.isolation.created) == ([2, {"left": "behind"}], 1)
    assert world.log[-3:] == [START, END, REPORT]


async def test_a_runtime_that_dies_while_idle_is_started_anew_inside_the_next_invocation(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    world.isolation.sandboxes["e1"].programs[0].send_signal(signal.SIGKILL)
    await world.until_crashed()
    assert (await world.serve(an_invocation(b"1"))).payload == b"1"
    assert len(world.isolation.sandboxes["e1"].programs) == 2


async def test_many_resets_leave_no_connection_behind(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    for life in range(1, 20):
        world.isolation.sandboxes["e1"].programs[-1].send_signal(signal.SIGKILL)
        await world.until_crashed()
        await world.serve()
        server = world.environment._server
        assert server is not None
        assert (len(world.isolation.sandboxes["e1"].programs), server.connections) == (life + 1, 1)


async def test_a_response_over_the_limit_is_an_error_and_the_runtime_serves_on(worlds: Worlds) -> None:
    async def large(_runtime: FakeRuntime, event: Event) -> Any:
        return "x" * json.loads(event.payload)

    async def script(process: FakeProcess) -> None:
        # The server ends the connection with its refusal; a runtime connects again.
        while True:
            rt = await FakeRuntime.connect(process)
            event = await rt.next()
            await rt.respond(event.request_id, json.dumps(await large(rt, event)).encode())
            await rt.client.close()

    world = worlds(script, limits=Limits(payload_bytes=1_000))
    await world.environment.start()
    outcome = await world.serve(an_invocation(b"1001"))
    assert (outcome.status, outcome.error_type) == (Status.ERROR, "Function.ResponseSizeTooLarge")
    assert (await world.serve(an_invocation(b"1"))).payload == b'"x"'


# Inits that fail...

IMPORT_ERROR = b'{"errorMessage":"No module named x","errorType":"Runtime.ImportModuleError","requestId":""}'


async def cannot_import(process: FakeProcess) -> None:
    rt = await FakeRuntime.connect(process)
    rt.print("[ERROR] No module named x\n")
    await rt.init_error(IMPORT_ERROR, "Runtime.ImportModuleError")
    raise Ended(code=1)


async def test_an_init_that_fails_is_tried_again_inside_the_first_invocation_and_may_succeed(worlds: Worlds) -> None:
    world = worlds(by_life(cannot_import, runtime(echo)))
    await world.environment.start()
    assert (await world.serve(an_invocation(b"1", request_id="r1"))).payload == b"1"
    assert world.log == [
        INIT_START,
        "[ERROR] No module named x",
        "INIT_REPORT Init Duration: T ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError",
        START,
        END,
        REPORT,
    ]


async def test_an_init_that_fails_again_is_the_outcome_of_the_invocation(worlds: Worlds) -> None:
    world = worlds(cannot_import)
    await world.environment.start()
    assert await world.serve() == Outcome(Status.ERROR, IMPORT_ERROR, "Runtime.ImportModuleError")
    assert world.log[3:] == [
        "[ERROR] No module named x",
        "INIT_REPORT Init Duration: T ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ImportModuleError",
        START,
        END,
        f"{REPORT}\tStatus: error\tError Type: Runtime.ImportModuleError",
    ]


async def test_a_runtime_that_ends_in_its_init_is_told_of_with_the_request_that_waited(worlds: Worlds) -> None:
    async def exits(_process: FakeProcess) -> None:
        raise Ended(code=2)

    world = worlds(exits)
    await world.environment.start()
    outcome = await world.serve()
    words = "RequestId: r1 Error: Runtime exited with error: exit status 2"
    assert json.loads(outcome.payload) == payload("Runtime.ExitError", words)
    assert world.log == [
        INIT_START,
        "INIT_REPORT Init Duration: T ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
        "INIT_REPORT Init Duration: T ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError",
        START,
        words,
        "Runtime.ExitError",
        END,
        f"{REPORT}\tStatus: error\tError Type: Runtime.ExitError",
    ]


async def never_asks(_process: FakeProcess) -> None:
    await asyncio.Future()


async def test_an_init_that_takes_too_long_is_tried_again_on_the_time_of_the_invocation(worlds: Worlds) -> None:
    world = worlds(never_asks, a_version(timeout=1), Limits(init_seconds=0.05))
    await world.environment.start()
    outcome = await world.serve()
    words = "Task timed out after 1.00 seconds"
    assert json.loads(outcome.payload) == payload("Sandbox.Timedout", f"RequestId: r1 Error: {words}")
    assert world.log == [
        INIT_START,
        "INIT_REPORT Init Duration: T ms\tPhase: init\tStatus: timeout",
        "INIT_REPORT Init Duration: T ms\tPhase: invoke\tStatus: timeout",
        START,
        f"NOW r1 {words}",
        END,
        f"{REPORT}\tStatus: timeout",
    ]


async def test_a_slow_init_has_the_invocations_time_when_it_is_tried_again(worlds: Worlds) -> None:
    async def slow(_runtime: FakeRuntime) -> None:
        await asyncio.sleep(0.2)

    world = worlds(runtime(echo, slow), limits=Limits(init_seconds=0.05))
    await world.environment.start()
    assert (await world.serve(an_invocation(b"1"))).payload == b"1"


async def test_a_program_that_cannot_be_started_is_an_invalid_entrypoint(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    world.isolation.refuse_start = "cannot execute /var/lang/bin/python3.12: No such file or directory."
    await world.environment.start()
    outcome = await world.serve()
    assert (outcome.error_type, json.loads(outcome.payload)["errorMessage"]) == (
        "Runtime.InvalidEntrypoint",
        "RequestId: r1 Error: fork/exec /var/lang/bin/python3.12: no such file or directory",
    )


async def test_a_tail_is_there_for_failures_too(worlds: Worlds) -> None:
    world = worlds(ending(code=1))
    await world.environment.start()
    outcome = await world.serve(an_invocation(request_id="r1", tail=True))
    lines = outcome.log_tail.decode().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["START", "RequestId:", "Runtime.ExitError", "END", "REPORT"]


# Starting and stopping...


async def test_where_there_can_be_no_box_there_is_no_environment(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    world.isolation.refuse_create = "cannot mount the code of f: No space left on device."
    with pytest.raises(SandboxError, match="No space left"):
        await world.environment.start()


async def test_only_an_idle_environment_serves(worlds: Worlds) -> None:
    world = worlds(runtime(forever), a_version(timeout=1))
    await world.environment.start()
    serving = asyncio.create_task(world.serve())
    await asyncio.sleep(0.01)
    with pytest.raises(IllegalMove, match="environment e1 cannot go from busy to busy"):
        await world.serve()
    await serving


async def test_an_environment_whose_box_has_gone_says_so_before_it_takes_an_invocation(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    world.isolation.sandboxes["e1"].vanish()
    with pytest.raises(EnvironmentGone, match="the box of environment e1 has gone"):
        await world.serve()


async def test_a_box_that_goes_in_the_midst_of_an_invocation_is_a_crash_of_it(worlds: Worlds) -> None:
    """The event was handed over: to serve it again elsewhere might do its work twice."""

    async def vanishes(rt: FakeRuntime, _event: Event) -> Any:
        rt.process.sandbox.vanish()
        await asyncio.Future()

    world = worlds(runtime(vanishes))
    await world.environment.start()
    outcome = await world.serve()
    assert outcome.error_type == "Runtime.ExitError"


async def test_a_box_that_goes_while_it_starts_is_no_fault_of_the_function(worlds: Worlds) -> None:
    async def vanishes(rt: FakeRuntime) -> None:
        rt.process.sandbox.vanish()
        await asyncio.Future()

    with pytest.raises(EnvironmentGone):
        await worlds(runtime(echo, vanishes)).environment.start()


async def test_it_says_when_it_is_gone_and_says_it_once(worlds: Worlds) -> None:
    gone = []
    world = worlds(runtime(echo), on_gone=lambda: gone.append(1))
    await world.environment.start()
    await world.environment.stop()
    await world.environment.stop()
    assert gone == [1]


@pytest.mark.parametrize("when", ["new", "starting", "idle", "busy", "resetting", "stopped"])
async def test_stopping_leaves_nothing_whatever_it_is_at(worlds: Worlds, when: str) -> None:
    """The fixture looks."""
    script = never_asks if when == "starting" else runtime(forever)
    world = worlds(script, a_version(timeout=1))
    doing: list[asyncio.Task[Any]] = []
    if when == "starting":
        doing.append(asyncio.create_task(world.environment.start()))
    elif when != "new":
        await world.environment.start()
    if when == "busy":
        doing.append(asyncio.create_task(world.serve()))
    if when == "resetting":
        await world.serve()
    if when == "stopped":
        await world.environment.stop()
    await asyncio.sleep(0.02)
    for task in doing:
        task.cancel()
        await asyncio.wait({task})
    await world.environment.stop()
    await world.environment.stop()


async def test_its_repr_says_what_it_is_and_what_it_is_at(worlds: Worlds) -> None:
    world = worlds(runtime(echo))
    await world.environment.start()
    assert repr(world.environment) == "<Environment e1 idle f:$LATEST>"
