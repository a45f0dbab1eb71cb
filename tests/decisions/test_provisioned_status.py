"""How far a provisioned concurrency configuration has come."""

from hypothesis import given
from hypothesis import strategies as st

from pasture.functions.provisioned_status import Allocation, Status, serving, share


def test_it_is_in_progress_until_all_are_there() -> None:
    assert [Allocation(2, n).status for n in (0, 1, 2)] == [Status.IN_PROGRESS, Status.IN_PROGRESS, Status.READY]


def test_it_has_failed_when_there_is_a_reason() -> None:
    assert Allocation(2, 0, "FUNCTION_ERROR_INIT_FAILURE").status is Status.FAILED


def test_an_alias_runs_the_version_before_until_the_other_is_ready() -> None:
    assert serving("2", "1", Allocation(2, 1), before_is_there=True) == "1"
    assert serving("2", "1", Allocation(2, 2), before_is_there=True) == "2"
    assert serving("2", "1", Allocation(2, 0), before_is_there=False) == "2"
    assert serving("2", "1", Allocation(2, 0, "FUNCTION_ERROR_INIT_FAILURE"), before_is_there=True) == "1"
    assert serving("2", None, Allocation(2, 0), before_is_there=False) == "2"


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 40))
def test_no_environment_is_counted_twice_and_none_is_forgotten(requested: dict[str, int], ready: int) -> None:
    shares = share(requested, ready, "")
    assert sum(each.allocated for each in shares.values()) == min(ready, sum(requested.values()))
    assert all(each.allocated <= each.requested for each in shares.values())
