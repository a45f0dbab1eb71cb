"""A chain that comes by a function for the seventeenth time is stopped, unless the function allows it."""

from collections import Counter
from dataclasses import replace

import pytest

from fakes.functions import a_version
from pasture.domain.errors import RecursiveInvocation
from pasture.domain.function import Function
from pasture.domain.function_settings import Settings
from pasture.domain.scope import Scope
from pasture.invoke.lineage import counted
from pasture.invoke.recursion import METRIC, Recursion
from pasture.metrics.names import METRICS, Place

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
HERE = Place("000000000000", "us-east-1", "f", "f")


class Watched:
    def __init__(self, loop: str = "Terminate") -> None:
        version = a_version()
        self.function: Function | None = Function(version, version, settings=Settings(recursive_loop=loop))
        self.counted: Counter[tuple[str, Place]] = Counter()
        self.recursion = Recursion(self._find, lambda name, place: self.counted.update([(name, place)]))

    async def _find(self, _scope: Scope, _name: str) -> Function | None:
        return self.function


def after(times: int) -> str:
    trace = "Root=1-2-3"
    for _ in range(times):
        trace, _ = counted(trace, f"{ARN}:live")
    return trace


async def test_the_sixteenth_runs_and_the_seventeenth_does_not() -> None:
    watched = Watched()
    await watched.recursion.check(Scope(), "f", after(16))
    assert not watched.counted
    with pytest.raises(RecursiveInvocation) as stopped:
        await watched.recursion.check(Scope(), "f", after(17))
    assert (stopped.value.code, stopped.value.status) == ("RecursiveInvocationException", 400)
    assert watched.counted == {(METRIC, HERE): 1}
    assert METRIC in METRICS


async def test_what_a_door_has_counted_is_stopped_by_its_arn() -> None:
    watched = Watched()
    with pytest.raises(RecursiveInvocation):
        await watched.recursion.stop(f"{ARN}:live")
    assert watched.counted == {(METRIC, HERE): 1}


async def test_a_function_may_allow_it() -> None:
    watched = Watched("Allow")
    await watched.recursion.check(Scope(), "f", after(40))
    await watched.recursion.stop(ARN)
    assert not watched.counted


async def test_another_function_of_the_chain_and_one_that_is_gone_are_not_stopped() -> None:
    watched = Watched()
    await watched.recursion.check(Scope(), "g", after(40))
    watched.function = None
    await watched.recursion.check(Scope(), "f", after(40))


async def test_the_setting_counts_that_there_is_when_it_is_stopped() -> None:
    watched = Watched("Allow")
    await watched.recursion.check(Scope(), "f", after(20))
    assert watched.function is not None
    watched.function = replace(watched.function, settings=Settings())
    with pytest.raises(RecursiveInvocation):
        await watched.recursion.check(Scope(), "f", after(20))
