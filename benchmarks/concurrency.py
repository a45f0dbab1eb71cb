"""How quickly a function comes to many environments, what deciding costs, and what a flood costs its neighbour."""

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import floors
from client import drive
from harness import Goal, Row, Run, Samples, alone, at_most, beside, in_turns
from packages import ECHO, SLEEPER, zipped
from server import Server, until_quiet

from pasture.domain.limits import Limits
from pasture.environments.assignment import Assignment, Serve, Start, Step, Stop, Want
from pasture.invoke.admission import Admission, Slot

# Above the noise of two loops over more memory than a processor's caches have.
_DOES_NOT_GROW = Goal("does not grow (≤ 2)", at_most=2)
_HERE = Path(__file__).parent


# From nothing to many...


def scale(run: Run) -> list[Row]:
    """To the moment at which so many run: each holds its environment until the last of them has begun."""
    return [_scale(run, run.times(200, 20), memory_mb) for memory_mb in (128, 2_000)]


def _scale(run: Run, count: int, memory_mb: int) -> Row:
    server = run.server(f"scale-{memory_mb}")
    ours, least, why = Samples(), Samples(), ""

    def environments() -> None:
        name = f"scale-{len(ours.values)}"
        server.deploy(name, zipped(SLEEPER), MemorySize=memory_mb, Timeout=300)
        server.wait(name)
        ours.values.append(_until_all_run(server, name, count) * 1000)
        server.client.delete_function(FunctionName=name)
        until_quiet(server.pids())

    def kernel() -> None:
        nonlocal why
        try:
            least.values.append(_sandboxes(run.directory, count))
        except floors.NoFloor as error:
            why = str(error)

    in_turns(run.times(3, 1), environments, kernel)
    run.stop(f"scale-{memory_mb}")
    what, goal = f"from 0 to {count} at once, {memory_mb:,} MB promised to each", at_most(10)
    return beside(what, goal, ours, least, paired=True) if not why else alone(what, goal, ours, note=why)


def _until_all_run(server: Server, name: str, count: int) -> float:
    """Seconds from the first request to the last one's first line of the handler."""
    hold = 1.0 + count / 40
    for _ in range(4):
        answers = drive(server.url, [server.invocation(name, json.dumps(hold).encode())] * count, count)
        called = [json.loads(answer.body)[2] for answer in answers]
        if max(called) < min(called) + hold:
            return max(called) - min(answer.began for answer in answers)
        # Somebody had left before the last one came: anew, with environments that nobody has used, for longer.
        hold *= 2
        server.client.update_function_configuration(FunctionName=name, Description=str(hold))
        server.wait(name)
        until_quiet(server.pids())
    raise RuntimeError(f"{count} environments never ran at once, though each was held for {hold / 2:g} s")


def _sandboxes(directory: Path, count: int) -> float:
    """Milliseconds in which every processor at once makes its part of so many. Raises NoFloor."""
    processors = min(os.cpu_count() or 1, count)
    homes = [directory / f"floor-{number}" for number in range(processors)]
    for home in homes:
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
    with ThreadPoolExecutor(processors) as makers:
        return max(makers.map(lambda home: sum(floors.namespaces(home, -(-count // processors))), homes))


# What deciding costs...


def admission(run: Run) -> list[Row]:
    """Microseconds of the two decisions of an invocation, without anything that they lead to."""
    return [_admission(run, "all idle", waiting=False), _admission(run, "all busy, every function waits", waiting=True)]


def _admission(run: Run, what: str, *, waiting: bool) -> Row:
    big, small = _Decisions(1_000, 2_000, waiting=waiting), _Decisions(10, 20, waiting=waiting)
    batch = run.times(20_000, 1_000)
    for side in (big, small):
        side.take(batch)
        side.samples = Samples()
    in_turns(run.times(15, 3), lambda: big.take(batch), lambda: small.take(batch))
    title = f"admission and assignment, 1,000 functions and 2,000 environments, {what}; beside 10 and 20"
    return beside(title, _DOES_NOT_GROW, big.samples, small.samples, unit="µs", paired=True)


class _Decisions:
    """What `Pool` and `DirectInvoker` do with the two pure modules, on environments that start and stop at once."""

    _PLACE = ("000000000000", "us-east-1")
    _MB = 128

    def __init__(self, functions: int, environments: int, *, waiting: bool) -> None:
        self.samples = Samples()
        self._random = random.Random(7)
        numbers = iter(range(10**9))
        self._admission = Admission(Limits(concurrent_executions=100_000, requests_per_concurrency=1_000_000))
        self._assignment = Assignment(environments * self._MB, lambda: f"e{next(numbers)}")
        self._functions = [f"f{number}" for number in range(functions)]
        self._ids = iter(range(10**9))
        self._now = 0.0
        self._slots: dict[str, Slot] = {}
        self._serving: dict[str, str] = {}
        self._busy: list[str] = []
        """In no order: what ends changes places with the last."""
        self._at: dict[str, int] = {}
        self._waiting = waiting
        for name in self._functions * (environments // functions):
            self._arrives(name)
        for name in self._functions if waiting else ():
            self._arrives(name)
        if not waiting:
            for environment in list(self._busy):
                self._ends(environment)

    def take(self, count: int) -> None:
        began = time.perf_counter()
        for _ in range(count):
            if self._waiting:
                self._ends(self._busy[self._random.randrange(len(self._busy))])
                self._arrives(self._random.choice(self._functions))
            else:
                self._arrives(self._random.choice(self._functions))
                self._ends(self._busy[-1])
        self.samples.values.append((time.perf_counter() - began) / count * 1e6)

    def _arrives(self, name: str) -> None:
        self._now += 0.001
        slot = self._admission.admit(self._PLACE, name, None, 0, self._now)
        assert isinstance(slot, Slot)
        id_ = str(next(self._ids))
        self._slots[id_] = slot
        self._does(self._assignment.arrives(Want(id_, name, self._MB, name), self._now))

    def _ends(self, environment: str) -> None:
        at, last = self._at.pop(environment), self._busy.pop()
        if last != environment:
            self._busy[at], self._at[last] = last, at
        self._slots.pop(self._serving.pop(environment)).give_back()
        self._assignment.answers(environment)
        self._does(self._assignment.becomes_ready(environment, self._now))

    def _does(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Serve(invocation, environment):
                    self._serving[environment] = invocation
                    self._at[environment] = len(self._busy)
                    self._busy.append(environment)
                case Start(environment, _):
                    self._does(self._assignment.becomes_ready(environment, self._now))
                case Stop(environment, _):
                    self._does(self._assignment.is_gone(environment))
                case _:
                    raise AssertionError(step)


# What a flood costs its neighbour...


_CALLERS = 32
_ENVIRONMENTS = 16


def fairness(run: Run) -> list[Row]:
    """A machine with room for half of those who flood; the neighbour calls once at a time."""
    server = run.server("fairness", "--memory-mb", str(_ENVIRONMENTS * 128))
    for name in ("quiet", "flooding"):
        server.deploy(name, zipped(ECHO), MemorySize=128, Timeout=60)
        server.wait(name)
    flood = server.invocation("flooding", b'{"sleep": 0.05}')
    request, connection = server.invocation("quiet"), server.connect()
    batch = run.times(400, 40)
    alone_, flooded = [Samples(), Samples()], [Samples(), Samples()]

    def calls(quantiles: list[Samples]) -> None:
        times = Samples()
        for _ in range(batch):
            times.take(lambda: connection.send(request))
        for share, samples in zip((0.5, 0.99), quantiles, strict=True):
            samples.values.append(times.quantile(share))

    connection.send(request)
    for _ in range(run.times(5, 1)):
        until_quiet(server.pids())
        calls(alone_)
        with _flooding(run.directory, server.url, flood):
            calls(flooded)
    connection.close()
    run.stop("fairness")
    what = f"a quiet function while {_CALLERS} callers flood a machine with room for {_ENVIRONMENTS}; beside it alone"
    return [
        beside(f"{what}: p50", at_most(20), flooded[0], alone_[0], paired=True),
        beside(f"{what}: p99", at_most(200), flooded[1], alone_[1], paired=True),
    ]


@contextlib.contextmanager
def _flooding(directory: Path, url: str, request: bytes) -> Iterator[None]:
    file = directory / "flood"
    file.write_bytes(request)
    command = [sys.executable, str(_HERE / "flood.py"), url, str(_CALLERS), str(file)]
    with floors.talking(command) as (said, _):
        if said != "floods":
            raise RuntimeError("the flood has ended before it began")
        yield
