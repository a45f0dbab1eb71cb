"""Snapshots in the assignment: an optimisation, in the memory that nobody else needs."""

import itertools

from pasture.environments.assignment import (
    Assignment,
    Initialise,
    Restore,
    Serve,
    Start,
    Stop,
    Want,
)


def node(memory_mb: int = 1024) -> Assignment:
    numbers = itertools.count(1)
    return Assignment(memory_mb, lambda: f"e{next(numbers)}", keep=lambda _key: 60.0)


def wants(id_: str, key: str, memory_mb: int = 128) -> Want:
    return Want(id_, key, memory_mb, key.partition(":")[0])


def rested(n: Assignment, key: str, now: float, memory_mb: int = 128) -> str:
    """One that has been initialised."""
    (step,) = n.initialises(wants("", key, memory_mb))
    assert isinstance(step, Initialise)
    assert n.rests(step.environment, now) == []
    return step.environment


def idle(n: Assignment, id_: str, key: str, now: float, memory_mb: int = 128) -> str:
    (start,) = n.arrives(wants(id_, key, memory_mb))
    assert isinstance(start, Start)
    n.becomes_ready(start.environment, now)
    n.becomes_ready(start.environment, now)
    return start.environment


def state(n: Assignment, environment: str) -> str:
    return n.environments()[environment][1]


def test_one_that_rests_is_restored_for_who_comes_and_serves_as_any_other() -> None:
    n = node()
    rested(n, "f:1", 1)
    assert n.arrives(wants("i1", "f:1")) == [Restore("e1", "f:1")]
    assert not n.has_snapshot("f:1")
    assert n.becomes_ready("e1", 2) == [Serve("i1", "e1")]
    assert n.becomes_ready("e1", 3) == []
    assert n.arrives(wants("i2", "f:1")) == [Serve("i2", "e1")]


def test_who_comes_second_at_the_same_time_has_another_one_started() -> None:
    n = node()
    rested(n, "f:1", 1)
    assert n.arrives(wants("i1", "f:1")) == [Restore("e1", "f:1")]
    assert n.arrives(wants("i2", "f:1")) == [Start("e2", "f:1")]


def test_a_warm_one_serves_before_one_that_rests() -> None:
    n = node()
    idle(n, "i1", "f:1", 1)
    rested(n, "f:1", 2)
    assert n.arrives(wants("i2", "f:1")) == [Serve("i2", "e1")]


def test_its_memory_is_promised_once_from_its_init_until_it_is_gone() -> None:
    n = node()
    n.initialises(wants("", "f:1"))
    assert (n.memory, n.snapshots_promised_mb) == ((128, 1024), 128)
    n.rests("e1", 1)
    assert n.memory == (128, 1024)
    n.arrives(wants("i1", "f:1"))
    assert (n.memory, n.snapshots_promised_mb, n.memory_of("f")) == ((128, 1024), 0, 128)
    n.becomes_ready("e1", 2)
    n.breaks("e1", "broken")
    assert n.memory == (128, 1024)
    n.is_gone("e1")
    assert n.memory == (0, 1024)


def test_until_it_is_restored_it_is_not_its_functions() -> None:
    n = node()
    rested(n, "f:1", 1)
    assert n.memory_of("f") == 0


def test_the_longest_unused_makes_room_first_be_it_idle_or_at_rest() -> None:
    n = node(memory_mb=512)
    rested(n, "f:1", 1)
    idle(n, "i1", "g:1", 2)
    assert n.arrives(wants("i2", "h:1", 320)) == [Stop("e1", "making room")]
    n = node(memory_mb=512)
    idle(n, "i1", "g:1", 1)
    rested(n, "f:1", 2)
    assert n.arrives(wants("i2", "h:1", 320)) == [Stop("e1", "making room")]


def test_who_waits_for_processors_does_not_keep_others_from_their_snapshot() -> None:
    n = node()
    rested(n, "f:1", 1)
    n.starts_at_once = 0
    assert n.arrives(wants("i1", "g:1")) == []
    assert n.arrives(wants("i2", "f:1")) == [Restore("e1", "f:1")]


def test_snapshots_have_a_quarter_of_the_memory_and_who_was_used_longest_ago_goes() -> None:
    n = node()
    rested(n, "a:1", 1)
    rested(n, "b:1", 2)
    n.arrives(wants("i1", "a:1"))
    rested(n, "a:1", 3)
    assert n.initialises(wants("", "c:1")) == [Stop("e2", "making room"), Initialise("e4", "c:1")]
    assert [n.has_snapshot(f"{key}:1") for key in "abc"] == [True, False, True]


def test_what_is_larger_than_that_has_none() -> None:
    n = node()
    assert n.initialises(wants("", "f:1", 257), urgently=True) == []


def test_it_takes_no_idle_environments_memory_unless_it_is_urgent() -> None:
    n = node(memory_mb=512)
    for turn in range(4):
        idle(n, f"i{turn}", f"{turn}:1", turn)
    assert n.initialises(wants("", "f:1")) == []
    assert n.initialises(wants("", "f:1"), urgently=True) == [Stop("e1", "making room")]
    assert n.is_gone("e1") == []
    assert n.initialises(wants("", "f:1"), urgently=True) == [Initialise("e5", "f:1")]


def test_it_waits_while_anything_waits_and_while_enough_are_starting() -> None:
    n = node()
    n.starts_at_once = 1
    n.initialises(wants("", "f:1"))
    assert n.arrives(wants("i1", "g:1")) == []
    assert n.initialises(wants("", "h:1")) == []
    assert n.rests("e1", 1) == [Start("e2", "g:1")]
    assert n.initialises(wants("", "h:1")) == []
    n.becomes_ready("e2", 2)
    assert n.initialises(wants("", "h:1")) == [Initialise("e3", "h:1")]


def test_one_that_comes_to_rest_while_its_key_waits_is_restored_at_once() -> None:
    n = node()
    n.starts_at_once = 1
    n.initialises(wants("", "f:1"))
    assert n.arrives(wants("i1", "f:1")) == []
    assert n.rests("e1", 1) == [Restore("e1", "f:1")]


def test_an_old_one_goes_when_the_next_rests_and_what_was_unused_stays_so() -> None:
    n = node()
    rested(n, "f:1", 1)
    idle(n, "i1", "g:1", 2)
    assert n.renews("e1", at_last=False) == [Initialise("e3", "f:1")]
    assert n.rests("e3", 5) == [Stop("e1", "renewed")]
    n.is_gone("e1")
    # 512 of 1,024 are free for it, and it wants more: the snapshot has not been used since 1, the other since 2.
    assert n.arrives(wants("i2", "h:1", 800)) == [Stop("e3", "making room")]


def test_without_room_for_two_an_old_one_stays_until_it_must_go() -> None:
    n = node(memory_mb=640)
    rested(n, "f:1", 1)
    idle(n, "i1", "g:1", 2, 512)
    assert n.renews("e1", at_last=False) == []
    assert n.renews("e1", at_last=True) == [Stop("e1", "renewed")]


def test_one_that_is_used_or_gone_is_not_renewed() -> None:
    n = node()
    rested(n, "f:1", 1)
    n.arrives(wants("i1", "f:1"))
    assert n.renews("e1", at_last=True) == []
    assert n.renews("nobody", at_last=True) == []


def test_with_its_key_it_is_retired_at_rest_or_when_it_comes_to_rest() -> None:
    n = node()
    rested(n, "f:1", 1)
    n.initialises(wants("", "g:1"))
    assert n.retires("f:1") == [Stop("e1", "replaced")]
    assert n.retires("g:1") == []
    assert n.rests("e2", 2) == [Stop("e2", "replaced")]
    assert n.initialises(wants("", "g:1"), urgently=True) == []
    assert [n.is_gone(e) for e in ("e1", "e2")] == [[], []]
    assert [n.knows(key) for key in ("f:1", "g:1")] == [False, False]


def test_one_that_cannot_be_initialised_leaves_who_waits_alone() -> None:
    n = node()
    n.starts_at_once = 1
    n.initialises(wants("", "f:1"))
    n.arrives(wants("i1", "f:1"))
    assert n.breaks("e1", "its init failed") == [Stop("e1", "its init failed"), Start("e2", "f:1")]


def test_people_see_it_apart() -> None:
    n = node()
    rested(n, "f:1", 1)
    n.initialises(wants("", "f:2"))
    assert {state: count for state, count in n.by_function()["f"].items() if count} == {"resting": 1, "initialising": 1}
    assert state(n, "e1") == "resting"
