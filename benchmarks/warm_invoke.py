"""Warm invocations with full isolation, beside a bare relay to AWS's runtime client without any."""

import json
from collections.abc import Callable

import floors
from client import Connection, drive
from harness import Row, Run, Samples, at_least, at_most, beside, in_turns
from packages import ECHO, zipped
from processes import CpuMeter
from server import Server

# One whole processor, so that an environment's share of it is not what is measured.
MEMORY_MB = 1769
_PAYLOAD = b'"' + b"x" * 6_000_000 + b'"'


def latency(run: Run) -> list[Row]:
    """One caller, one request after another; the quantiles are those of a batch, and the figure their median."""
    ours, least = [Samples() for _ in range(2)], [Samples() for _ in range(2)]
    batch = run.times(500, 100)
    with floors.relay(run.directory, 1) as relay:
        connection, bare = _warm(run).connect(), relay.connect()
        request, plain = run.server().invocation("warm"), relay.invocation()

        def one(connection: Connection, request: bytes, quantiles: list[Samples]) -> None:
            times = Samples()
            for _ in range(batch):
                times.take(lambda: connection.send(request))
            for share, samples in zip((0.5, 0.99), quantiles, strict=True):
                samples.values.append(times.quantile(share))

        one(connection, request, [Samples(), Samples()])
        one(bare, plain, [Samples(), Samples()])
        in_turns(run.times(12, 3), lambda: one(connection, request, ours), lambda: one(bare, plain, least))
        connection.close()
        bare.close()
    return [
        beside("warm invoke, concurrency 1, p50", at_most(1.3), ours[0], least[0], paired=True),
        beside("warm invoke, concurrency 1, p99", at_most(2), ours[1], least[1], paired=True),
    ]


def throughput(run: Run) -> list[Row]:
    """So many callers at once, each with one request after another."""
    return [row for callers in (8, run.times(64, 16)) for row in _throughput(run, callers)]


def _throughput(run: Run, callers: int) -> list[Row]:
    server = _warm(run)
    batch = run.times(2000, 300)
    with floors.relay(run.directory, callers) as relay:
        request, plain = server.invocation("warm"), relay.invocation()
        # All of them wait at once, so there are as many environments before the first count.
        busy = server.invocation("warm", json.dumps({"sleep": 0.5 + callers / 25}).encode())
        drive(server.url, [busy] * callers, callers)
        drive(relay.url, [plain] * callers * 4, callers)
        ours, least = _Load(server.url, request, server.pids()), _Load(relay.url, plain, relay.pids())
        in_turns(run.times(6, 2), lambda: ours.take(batch, callers), lambda: least.take(batch, callers))
    return [
        beside(f"warm invoke, concurrency {callers}", at_least(0.8), ours.rate, least.rate, unit="/s", paired=True),
        beside(f"CPU per warm invocation, concurrency {callers}", at_most(1.25), ours.cpu, least.cpu, paired=True),
    ]


class _Load:
    """Invocations a second, and the time on a processor of each (milliseconds; server and environments)."""

    def __init__(self, url: str, request: bytes, pids: set[int]) -> None:
        self.rate, self.cpu = Samples(), Samples()
        self._url, self._request, self._pids = url, request, pids

    def take(self, count: int, callers: int) -> None:
        meter = CpuMeter(lambda: self._pids)
        answers = drive(self._url, [self._request] * count, callers)
        began, ended = min(answer.began for answer in answers), max(answer.ended for answer in answers)
        self.rate.values.append(count / (ended - began))
        self.cpu.values.append(meter.lap() / count * 1000)


def payload(run: Run) -> list[Row]:
    """6 MB in and the same out: megabytes a second, both ways together."""
    server = _warm(run)
    ours, least = Samples(), Samples()
    with floors.relay(run.directory, 1) as relay:
        connection, bare = server.connect(), relay.connect()
        request, plain = server.invocation("warm", _PAYLOAD), relay.invocation(_PAYLOAD)
        connection.send(request)
        bare.send(plain)
        in_turns(
            run.times(20, 3),
            lambda: _megabytes(ours, lambda: connection.send(request)),
            lambda: _megabytes(least, lambda: bare.send(plain)),
        )
        connection.close()
        bare.close()
    return [beside("6 MB payload in and out", at_least(0.7), ours, least, unit="MB/s", paired=True)]


def _megabytes(samples: Samples, work: Callable[[], bytes]) -> None:
    times, echoed = Samples(), []
    times.take(lambda: echoed.append(work()))
    if echoed != [_PAYLOAD]:
        raise RuntimeError("what came back is not what was sent")
    samples.values.append(2 * len(_PAYLOAD) / 1e6 / (times.values[0] / 1000))


def _warm(run: Run) -> Server:
    """The shared server, with one idle environment of the function `warm` at least."""
    server = run.server()
    if "warm" not in server.deployed:
        server.deploy("warm", zipped(ECHO), MemorySize=MEMORY_MB, Timeout=60)
        server.wait("warm")
        connection = server.connect()
        connection.send(server.invocation("warm"))
        connection.close()
    return server
