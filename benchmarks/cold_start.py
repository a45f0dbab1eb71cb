"""Cold starts, HTTP request in to response out, each beside the least that the kernel allows."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import floors
from harness import Goal, Row, Run, Samples, alone, at_most, beside, in_turns
from packages import ECHO, NoPackage, heavy, zipped

from pasture.runtimes.kinds.python import PythonFamily
from pasture.settings import default_runtimes_dir

BATCH = 10
WITHOUT_SNAPSTART = {"python3.10", "python3.11"}
Floor = Callable[[Path, int], list[float]]


def trivial(run: Run) -> list[Row]:
    return _cold(run, "cold start, trivial Python handler", "cold", at_most(4), floors.namespaces, {})


def without_zygote(run: Run) -> list[Row]:
    tags = {"pasture:zygote": "off"}
    return _cold(run, "cold start without a zygote (exec)", "exec", at_most(1.5), floors.execution, tags)


def with_snapstart(run: Run) -> list[Row]:
    what, goal = "cold start, NumPy + pandas + boto3, with SnapStart", at_most(6)
    found = PythonFamily(default_runtimes_dir() / "python").interpreters()
    runtime = next((identifier for identifier in found if identifier not in WITHOUT_SNAPSTART), "")
    if not runtime:
        return [Row(what, goal, note="SnapStart is for python3.12 and newer, of which there is none here")]
    try:
        package = heavy(runtime)
    except NoPackage as error:
        return [Row(what, goal, note=str(error))]
    server = run.server()
    # As many as may rest at once on a machine of 24 GB.
    more = {"Runtime": runtime, "MemorySize": 512, "Timeout": 60, "SnapStart": {"ApplyOn": "PublishedVersions"}}
    server.deploy("heavy", package, **more)
    server.wait("heavy")
    requests: list[Callable[[], bytes]] = []
    for number in range(run.times(8, 2)):
        server.client.update_function_configuration(FunctionName="heavy", Description=str(number))
        server.client.get_waiter("function_updated_v2").wait(
            FunctionName="heavy", WaiterConfig={"Delay": 0, "MaxAttempts": 100_000}
        )
        version = server.client.publish_version(FunctionName="heavy")["Version"]
        server.wait("heavy", version)
        requests.append(partial(server.invocation, "heavy", qualifier=version))
    configuration = server.client.get_function_configuration(FunctionName="heavy", Qualifier=version)
    optimised = configuration.get("SnapStart", {}).get("OptimizationStatus") == "On"
    note = runtime if optimised else "SnapStart is not in effect"
    return [_alternating(run, what, goal, requests, floors.namespaces, note)]


def _cold(run: Run, what: str, prefix: str, goal: Goal, floor: Floor, tags: dict[str, str]) -> list[Row]:
    server = run.server()
    names = [f"{prefix}-{number}" for number in range(run.times(40, 6))]
    for name in names:
        server.deploy(name, zipped(ECHO), MemorySize=128, Tags=tags)
    for name in names:
        server.wait(name)
    return [_alternating(run, what, goal, [partial(server.invocation, name) for name in names], floor)]


def _alternating(
    run: Run, what: str, goal: Goal, requests: Sequence[Callable[[], bytes]], floor: Floor, note: str = ""
) -> Row:
    """Each request goes to what has no environment yet, and is signed just before."""
    connection = run.server().connect()
    cold, least = Samples(), Samples()
    waiting = list(requests)

    def ours() -> None:
        batch, waiting[:] = waiting[:BATCH], waiting[BATCH:]
        for make in batch:
            request = make()
            cold.take(partial(connection.send, request))

    def theirs() -> None:
        least.values += floor(run.directory, min(BATCH, len(requests)))

    try:
        in_turns(-(-len(requests) // BATCH), ours, theirs)
    except floors.NoFloor as error:
        while waiting:
            ours()
        return alone(what, goal, cold, note=f"{error}; {note}" if note else str(error))
    finally:
        connection.close()
    return beside(what, goal, cold, least, note=note)
