"""Which targets take deliveries, and when one that failed takes them again."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pasture.destinations.lanes import LONGEST_REST, SHARED, WIDTH, Lanes, pause


def begin(lanes: Lanes, target: str, now: float = 0.0) -> int:
    """As many as it takes."""
    count = 0
    while lanes.takes(target, now):
        lanes.begins(target)
        count += 1
    return count


def test_a_target_takes_a_few_at_once() -> None:
    lanes = Lanes()
    assert begin(lanes, "a") == WIDTH
    assert lanes.closed(0.0) == {"a"}
    lanes.ends("a")
    assert lanes.closed(0.0) == frozenset()


def test_slow_targets_together_leave_every_other_a_place() -> None:
    lanes = Lanes()
    assert sum(begin(lanes, f"slow{n}") for n in range(SHARED)) >= SHARED
    assert begin(lanes, "other") == 1


def test_one_that_fails_rests_longer_each_time_and_is_then_tried_with_one() -> None:
    lanes = Lanes()
    now = 0.0
    for rest in (1.0, 2.0, 4.0, 8.0):
        lanes.begins("a")
        assert lanes.fails("a", now) == now + rest
        lanes.ends("a")
        assert not lanes.takes("a", now + rest - 0.1)
        assert lanes.next_opening(now) == now + rest
        now += rest
        assert lanes.takes("a", now)
        assert lanes.next_opening(now) is None
    assert begin(lanes, "a", now) == 1
    lanes.answers("a")
    lanes.ends("a")
    assert len(lanes) == 0
    assert begin(lanes, "a", now) == WIDTH


def test_those_that_fail_together_are_one_failure() -> None:
    lanes = Lanes()
    for _ in range(3):
        lanes.begins("a")
    assert [lanes.fails("a", 10.0) for _ in range(3)] == [11.0, 11.0, 11.0]


def test_one_that_rests_keeps_no_other_from_anything() -> None:
    lanes = Lanes()
    lanes.begins("a")
    lanes.fails("a", 0.0)
    assert begin(lanes, "b") == WIDTH


def test_what_failed_and_has_nothing_to_take_is_forgotten() -> None:
    lanes = Lanes()
    lanes.begins("a")
    lanes.fails("a", 0.0)
    lanes.ends("a")
    assert lanes.closed(0.5) == {"a"}
    assert lanes.is_failing("a")
    lanes.closed(2 + LONGEST_REST)
    assert len(lanes) == 0


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (9, 256), (10, 300), (10_000, 300)])
def test_pauses_grow_up_to_five_minutes(failures: int, seconds: float) -> None:
    assert pause(failures) == seconds
    assert pause(failures, 0.5) == seconds / 2


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.now = 0.0
        self.running: list[str] = []

    @rule(name=st.sampled_from("abcdefgh"))
    def begins(self, name: str) -> None:
        if self.lanes.takes(name, self.now):
            assert name not in self.lanes.closed(self.now)
            self.lanes.begins(name)
            self.running.append(name)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0), how=st.sampled_from(["answers", "fails", "neither"]))
    def ends(self, pick: int, how: str) -> None:
        target = self.running.pop(pick % len(self.running))
        if how == "answers":
            self.lanes.answers(target)
        elif how == "fails":
            assert self.lanes.fails(target, self.now) > self.now
        self.lanes.ends(target)

    @rule(seconds=st.floats(0, 1000))
    def passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nothing_is_overcrowded(self) -> None:
        assert all(self.running.count(target) <= WIDTH for target in self.running)
        assert len(self.running) <= SHARED + len(set(self.running))

    @invariant()
    def whatever_is_closed_opens(self) -> None:
        """By an end of what runs, or at a time that is known."""
        for target in self.lanes.closed(self.now):
            assert target in self.running or self.lanes.next_opening(self.now) is not None


TestAnyOrder = AnyOrder.TestCase
