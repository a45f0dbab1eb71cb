"""Which version an invocation runs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.functions import a_version
from pasture.domain.errors import ResourceConflict, ResourceNotFound
from pasture.domain.function import Alias, Function, LastUpdateStatus, Reason, State
from pasture.invoke.routing import route, runnable

ACTIVE = a_version()
FIRST = a_version(version="1")
CANARY = Alias("live", "1", "r1", weights={"2": 0.25})
FUNCTION = Function(
    latest=ACTIVE, active=ACTIVE, aliases={"live": CANARY, "stable": Alias("stable", "1", "r2")}, next_version=3
)


@pytest.mark.parametrize(
    ("qualifier", "draw", "version"),
    [
        (None, 0.0, "$LATEST"),
        ("$LATEST", 0.99, "$LATEST"),
        ("2", 0.5, "2"),
        ("stable", 0.0, "1"),
        ("live", 0.0, "2"),
        ("live", 0.2499, "2"),
        ("live", 0.25, "1"),
        ("live", 0.9999, "1"),
    ],
)
def test_a_qualifier_means_a_version(qualifier: str | None, draw: float, version: str) -> None:
    assert route(FUNCTION, qualifier, draw) == version


@given(st.floats(0, 1, exclude_max=True))
def test_a_weight_of_one_takes_every_invocation_and_a_weight_of_zero_none(draw: float) -> None:
    aliases = {"all": Alias("all", "1", "r", weights={"2": 1.0}), "none": Alias("none", "1", "r", weights={"2": 0.0})}
    function = replace(FUNCTION, aliases=aliases)
    assert (route(function, "all", draw), route(function, "none", draw)) == ("2", "1")


def test_a_qualifier_that_names_nothing_is_not_found_under_its_full_name() -> None:
    with pytest.raises(ResourceNotFound) as caught:
        route(FUNCTION, "other", 0.0)
    assert caught.value.message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:other"


def test_no_published_version_means_what_serves_as_latest() -> None:
    assert runnable(FUNCTION, None) is ACTIVE


def test_an_active_published_version_runs() -> None:
    assert runnable(FUNCTION, FIRST) is FIRST


def test_while_an_update_is_in_progress_the_version_before_it_runs() -> None:
    updating = replace(ACTIVE, generation="g2", last_update=LastUpdateStatus.IN_PROGRESS)
    assert runnable(Function(latest=updating, active=ACTIVE), None) is ACTIVE


PENDING = {"state": State.PENDING, "state_reason": Reason("The function is being created.", "Creating")}
FAILED = {"state": State.FAILED, "state_reason": Reason("The code cannot be unpacked.", "InternalError")}


def test_a_function_that_is_still_pending_cannot_be_invoked() -> None:
    with pytest.raises(ResourceConflict) as caught:
        runnable(Function(latest=a_version(**PENDING)), None)
    assert caught.value.message == (
        "The operation cannot be performed at this time. The function is currently in the following state: Pending"
    )


def test_nor_can_a_version_that_is_still_pending() -> None:
    with pytest.raises(ResourceConflict) as caught:
        runnable(FUNCTION, a_version(version="1", **PENDING))
    assert caught.value.message.endswith("The function is currently in the following state: Pending")


def test_a_function_that_failed_says_why() -> None:
    with pytest.raises(ResourceConflict) as caught:
        runnable(Function(latest=a_version(**FAILED)), None)
    assert caught.value.message.endswith("in the following state: Failed The code cannot be unpacked.")
