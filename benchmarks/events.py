"""Asynchronous events: how many are accepted, how soon they run, how fast a queue drains, what a long one costs."""

import asyncio
import contextlib
import json
import time
import uuid

from client import drive
from harness import Row, Run, Samples, alone, at_least, at_most, beside, in_turns
from packages import ECHO, zipped
from processes import pss_bytes
from server import Server, until_quiet

from pasture.domain.events import Event
from pasture.domain.scope import DEFAULT_REGION, Scope
from pasture.store.kinds.events_sqlite import SqliteEvents

_CALLERS = 20
_MB = 1_000_000
_SCOPE = Scope("000000000000", DEFAULT_REGION)
# Of a function that reserves so few environments that nothing else is measured than the queue.
_UNRATED = {"pasture.toml": "[limits]\nrequests_per_concurrency = 1000000\n"}
# Keeps when it was called, for whoever asks: its only environment is the same all the time.
DIARY = """\
import time
CALLED = []
def handler(event, context):
    if event == "tell":
        told, CALLED[:] = list(CALLED), []
        return told
    CALLED.append(time.monotonic())
"""


def _server(run: Run, name: str) -> Server:
    return run.server(name, "--config", str(run.directory / name / "pasture.toml"), files=_UNRATED)


def accepted(run: Run) -> list[Row]:
    """Each is on the disk before it is answered. Floor: the same door, signature and policies, and nothing kept."""
    server = _server(run, "events")
    server.deploy("held", zipped(ECHO), MemorySize=128, Timeout=900)
    server.wait("held")
    server.client.put_function_concurrency(FunctionName="held", ReservedConcurrentExecutions=1)
    drive(server.url, [server.invocation("held", b'{"sleep": 900}', kind="Event")], 1)
    count = run.times(4_000, 200)
    ours, floor = Samples(), Samples()

    def driven(kind: str, samples: Samples) -> None:
        requests = [server.invocation("held", b'{"n": 1}', kind=kind)] * count
        began = time.perf_counter()
        drive(server.url, requests, _CALLERS)
        samples.values.append(count / (time.perf_counter() - began))

    in_turns(run.times(5, 2), lambda: driven("Event", ours), lambda: driven("DryRun", floor))
    what = f"events accepted, durable, {_CALLERS} clients; beside a dry run"
    rows = [beside(what, at_least(0.5), ours, floor, unit="/s")]
    run.stop("events")
    return rows


def latency(run: Run) -> list[Row]:
    """From the request to the handler, on a server with nothing else to do. Floor: the same of a waiting caller."""
    server = _server(run, "latency")
    server.deploy("diary", zipped(DIARY), MemorySize=1769)
    server.wait("diary")
    server.client.put_function_concurrency(FunctionName="diary", ReservedConcurrentExecutions=1)
    connection = server.connect()
    tell = server.invocation("diary", b'"tell"')
    connection.send(tell)
    events, waited = [Samples(), Samples()], [Samples(), Samples()]

    def called(request: bytes, quantiles: list[Samples]) -> None:
        times = Samples()
        for _ in range(run.times(200, 20)):
            began = time.monotonic()
            connection.send(request)
            times.values.append((_told(server, tell) - began) * 1000)
        for share, samples in zip((0.5, 0.99), quantiles, strict=True):
            samples.values.append(times.quantile(share))

    event, direct = server.invocation("diary", kind="Event"), server.invocation("diary")
    in_turns(run.times(10, 2), lambda: called(event, events), lambda: called(direct, waited))
    run.stop("latency")
    what = "an event on an idle server, from the request to the handler; beside a synchronous one: "
    goals = at_most(10), at_most(20)
    return [
        beside(what + name, goal, ours, floor, paired=True)
        for name, goal, ours, floor in zip(("p50", "p99"), goals, events, waited, strict=True)
    ]


def _told(server: Server, tell: bytes) -> float:
    """When the handler was called. Asked after a while, and again while it is at work, so as not to hinder it."""
    while True:
        time.sleep(0.02)
        connection = server.connect()
        with contextlib.closing(connection), contextlib.suppress(RuntimeError):
            if came := json.loads(connection.send(tell)):
                return float(came[0])


def drained(run: Run) -> list[Row]:
    """Beside synchronous invocations by as many callers as environments serve the queue: 8."""
    count, at_once = run.times(100_000, 2_000), 8
    server = _server(run, "drain")
    server.deploy("trivial", zipped(ECHO), MemorySize=1769)
    server.wait("trivial")
    server.client.put_function_concurrency(FunctionName="trivial", ReservedConcurrentExecutions=at_once)
    calls = count // 10
    drive(server.url, [server.invocation("trivial")] * 100, at_once)
    began = time.perf_counter()
    drive(server.url, [server.invocation("trivial")] * calls, at_once)
    floor = Samples([calls / (time.perf_counter() - began)])
    _fill(server, "trivial", count)
    left, began = _queued(server, "trivial"), time.perf_counter()
    begun_with = left
    while left:
        time.sleep(0.2)
        left = _queued(server, "trivial")
    ours = Samples([begun_with / (time.perf_counter() - began)])
    run.stop("drain")
    what = (
        f"a queue of {count:,} events of a trivial function drains, {at_once} at once; beside synchronous invocations"
    )
    return [beside(what, at_least(0.8), ours, floor, unit="/s")]


def memory(run: Run) -> list[Row]:
    """Of the server with so many queued, less that of the same one without."""
    count = run.times(1_000_000, 5_000)
    server = _server(run, "queue")
    server.deploy("held", zipped(ECHO), MemorySize=128, Timeout=900)
    server.wait("held")
    server.client.put_function_concurrency(FunctionName="held", ReservedConcurrentExecutions=1)
    server.stop()
    server.start()

    def used() -> float:
        drive(server.url, [server.invocation("held", b'{"sleep": 900}', kind="Event")], 1)
        until_quiet({server.pid})
        return pss_bytes({server.pid}) / _MB

    without = used()
    _fill(server, "held", count)
    assert _queued(server, "held") >= count
    samples = Samples([used() - without])
    run.stop("queue")
    note = f"{without:.0f} MB without any"
    return [alone(f"server memory (PSS) for {count:,} queued events", at_most(50, "MB"), samples, unit="MB", note=note)]


def _fill(server: Server, name: str, count: int) -> None:
    """As the server itself writes them, while it is down, since its door is measured elsewhere; it is started again."""
    server.stop()
    asyncio.run(_put(server, name, count))
    server.start()


async def _put(server: Server, name: str, count: int) -> None:
    queue = await SqliteEvents.open(server.data / "events.db")
    try:
        for begin in range(0, count, 10_000):
            now = time.time()
            events = (
                Event(str(uuid.uuid4()), _SCOPE, name, "", json.dumps({"n": number}).encode(), now)
                for number in range(begin, min(begin + 10_000, count))
            )
            await asyncio.gather(*(queue.put(event) for event in events))
    finally:
        await queue.close()


def _queued(server: Server, name: str) -> int:
    connection = server.connect()
    told = json.loads(connection.send(server.signed("GET", f"/_pasture/events/{name}")))
    connection.close()
    return int(told["Queued"] + told["Waiting"] + told["Running"])
