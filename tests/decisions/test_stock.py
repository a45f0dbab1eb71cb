"""How many boxes are kept ready, and which numbers they have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.isolation.spec import SandboxError
from pasture.isolation.stock import KEPT_SECONDS, Numbers, Stock


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_one_is_kept_for_whoever_comes_first(clock: Clock) -> None:
    assert Stock(clock).wanted() == 1


def test_as_many_are_kept_as_were_wanted_at_once(clock: Clock) -> None:
    stock = Stock(clock)
    for _ in range(5):
        stock.asked()
    clock.now += 30
    stock.asked()
    assert stock.wanted() == 5


def test_a_burst_is_forgotten_after_a_minute(clock: Clock) -> None:
    stock = Stock(clock)
    for _ in range(5):
        stock.asked()
    clock.now += KEPT_SECONDS + 1
    assert stock.wanted() == 1


@given(st.lists(st.floats(0, 5), max_size=200))
def test_the_stock_is_never_empty_and_never_large(pauses: list[float]) -> None:
    clock = Clock()
    stock = Stock(clock)
    for pause in pauses:
        clock.now += pause
        stock.asked()
        assert 1 <= stock.wanted() <= 16


def test_numbers_come_round_again_only_after_all_the_others() -> None:
    numbers = Numbers(3)
    assert numbers.take(2) == [1, 2]
    numbers.give_back(1)
    assert numbers.take(2) == [3, 1]


def test_there_may_be_fewer_than_are_wanted_but_not_than_are_needed() -> None:
    numbers = Numbers(3)
    assert numbers.take(5) == [1, 2, 3]
    assert numbers.take(5) == []
    with pytest.raises(SandboxError, match="all 3 numbers of sandboxes are in use"):
        numbers.take(5, at_least=1)
