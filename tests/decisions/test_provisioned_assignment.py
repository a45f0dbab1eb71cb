"""Provisioned environments in the assignment: they serve first, stay, and go when they are released."""

import itertools

from pasture.environments.assignment import Assignment, Serve, Start, Stop
from pasture.environments.waiting import Want


def assignment(memory_mb: int = 1_280) -> Assignment:
    numbers = itertools.count(1)
    return Assignment(memory_mb, lambda: f"e{next(numbers)}", keep=lambda _key: 10.0)


def wants(id_: str, key: str = "f:1") -> Want:
    return Want(id_, key, 128, key.partition(":")[0])


def provisioned(a: Assignment, count: int = 1) -> None:
    for _ in range(count):
        (step,) = a.provisions("f:1", 128, "f")
        assert isinstance(step, Start)
        assert a.becomes_ready(step.environment, 0.0) == []


def test_a_provisioned_one_serves_before_one_on_demand_and_what_is_more_is_started() -> None:
    a = assignment()
    a.arrives(wants("i1"))
    a.becomes_ready("e1", 0.0)
    a.becomes_ready("e1", 0.0)
    provisioned(a)
    assert a.arrives(wants("i2")) == [Serve("i2", "e2")]
    assert a.arrives(wants("i3")) == [Serve("i3", "e1")]
    assert a.arrives(wants("i4")) == [Start("e3", "f:1")]


def test_it_is_never_too_idle_and_makes_no_room() -> None:
    a = assignment(memory_mb=256)
    provisioned(a)
    assert a.expires(1e9) == []
    a.arrives(wants("i1", "g:1"))
    assert a.arrives(wants("i2", "h:1")) == []
    assert a.provisioned("f:1") == {"e1": "idle"}


def test_released_it_stops_at_once_or_when_it_has_served() -> None:
    a = assignment()
    provisioned(a, 2)
    a.arrives(wants("i1"))
    assert a.releases("e1") == [Stop("e1", "released")]
    assert a.releases("e2") == []
    assert a.becomes_ready("e2", 1.0) == [Stop("e2", "replaced")]
    assert (a.provisioned("f:1"), a.is_gone("e1"), a.is_gone("e2")) == ({}, [], [])
    assert a.memory == (0, 1_280)


def test_one_that_breaks_is_provisioned_no_more_and_who_waits_gets_another() -> None:
    a = assignment()
    a.provisions("f:1", 128, "f")
    a.arrives(wants("i1"))
    assert a.breaks("e1", "its init failed") == [Stop("e1", "its init failed"), Start("e2", "f:1")]
    assert (a.provisioned("f:1"), a.is_provisioned("e2")) == ({}, False)


def test_a_key_that_is_retired_takes_its_provisioned_ones_along() -> None:
    a = assignment()
    provisioned(a)
    assert a.retires("f:1") == [Stop("e1", "replaced")]


def test_a_part_of_the_memory_is_left_for_what_comes_on_demand() -> None:
    a = assignment(memory_mb=1_280)
    provisioned(a, 8)
    assert (a.provisions("f:1", 128, "f"), a.provisionable_left) == ([], 0)
