"""Many environments at once, and what they and the server cost while they rest."""

import json
import time

from client import Answer, drive
from harness import Row, Run, Samples, alone, at_least, at_most
from packages import ECHO, SLEEPER, zipped
from processes import CpuMeter, pss_bytes
from server import Server, until_quiet

_MB = 1_000_000


def burst(run: Run) -> list[Row]:
    """Nobody waits for another's environment, since each is busy for a second; throttling would end the run."""
    count = run.times(200, 20)
    server = run.server("burst")
    rates = Samples()
    served = 0
    for number in range(run.times(3, 1)):
        name = f"burst-{number}"
        server.deploy(name, zipped(SLEEPER), MemorySize=128, Timeout=120)
        server.wait(name)
        rates.values.append(_started_a_second(answers := _at_once(server, name, count, 1.0)))
        served += len(answers)
        server.client.delete_function(FunctionName=name)
        until_quiet(server.pids())
    run.stop("burst")
    note = f"{served} of {count * len(rates.values)} served"
    what = f"burst of {count} invocations of 1 s from zero: environments started"
    return [alone(what, at_least(100, "/s"), rates, unit="/s", note=note)]


def _at_once(server: Server, name: str, count: int, seconds: float) -> list[Answer]:
    return drive(server.url, [server.invocation(name, json.dumps(seconds).encode())] * count, count)


def _started_a_second(answers: list[Answer]) -> float:
    """Environments, from the first request to the moment when the last of them was initialised."""
    made: dict[str, float] = {}
    for answer in answers:
        environment, moment, _ = json.loads(answer.body)
        made[environment] = moment
    return len(made) / (max(made.values()) - min(answer.began for answer in answers))


def idle_environment(run: Run) -> list[Row]:
    """What comes with environments beyond the first, which may bring a zygote along; all processes of each together."""
    count = run.times(20, 4)
    server = run.server("idle")
    samples = Samples()
    for number in range(run.times(3, 1)):
        name = f"idle-{number}"
        server.deploy(name, zipped(SLEEPER), MemorySize=128, Timeout=60)
        server.wait(name)
        _at_once(server, name, 1, 0.0)
        before = server.pids()
        answers = _at_once(server, name, count + 1, 1.0 + count / 10)
        new = len({json.loads(answer.body)[0] for answer in answers}) - 1
        until_quiet(server.pids())
        samples.values.append(pss_bytes(server.pids() - before) / new / _MB)
    run.stop("idle")
    return [alone("idle environment, Python: memory (PSS)", at_most(4, "MB"), samples, unit="MB")]


def idle_server(run: Run) -> list[Row]:
    """The memory of the server and its helpers without the environments'; the processor time of all."""
    functions, environments = run.times(1000, 100), run.times(200, 20)
    server = run.server("idle-server")
    package = zipped(ECHO)
    drive(server.url, (server.creation(f"f-{number}", package) for number in range(functions)), 4)
    server.deploy("sleeper", zipped(SLEEPER), MemorySize=128, Timeout=120)
    server.wait(f"f-{functions - 1}")
    server.wait("sleeper")
    # A throw-away function first: whatever the server starts for the first environment of a runtime is its helper.
    server.deploy("first", package, MemorySize=128)
    server.wait("first")
    drive(server.url, [server.invocation("first")], 1)
    server.client.delete_function(FunctionName="first")
    until_quiet(server.pids())
    helpers = server.pids()
    _at_once(server, "sleeper", environments, 2.0 + environments / 50)
    until_quiet(server.pids())
    everything = server.pids()
    shares = Samples()
    meter = CpuMeter(lambda: everything)
    for _ in range(run.times(10, 2)):
        began = time.perf_counter()
        time.sleep(1.0)
        shares.values.append(meter.lap() / (time.perf_counter() - began) * 100)
    memory = Samples([pss_bytes(helpers) / _MB])
    run.stop("idle-server")
    what = f"idle server, {functions:,} functions and {environments} idle environments"
    return [
        alone(f"{what}: processor", at_most(1, "%"), shares, unit="%"),
        alone(f"{what}: memory (PSS)", at_most(150, "MB"), memory, unit="MB"),
    ]
