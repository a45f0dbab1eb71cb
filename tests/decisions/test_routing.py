"""Which version an invocation runs."""

from dataclasses import replace

import pytest

from fakes.functions import a_version
from pasture.domain.errors import ResourceConflict, ResourceNotFound
from pasture.domain.function import Function, LastUpdateStatus, Reason, State
from pasture.invoke.routing import route

ACTIVE = a_version()


@pytest.mark.parametrize("qualifier", [None, "$LATEST"])
def test_no_qualifier_and_latest_mean_the_active_version(qualifier: str | None) -> None:
    assert route(Function(latest=ACTIVE, active=ACTIVE), qualifier) is ACTIVE


def test_while_an_update_is_in_progress_the_version_before_it_runs() -> None:
    updating = replace(ACTIVE, generation="g2", last_update=LastUpdateStatus.IN_PROGRESS)
    assert route(Function(latest=updating, active=ACTIVE), None) is ACTIVE


def test_a_qualifier_that_names_nothing_is_not_found_under_its_full_name() -> None:
    with pytest.raises(ResourceNotFound) as caught:
        route(Function(latest=ACTIVE, active=ACTIVE), "live")
    assert caught.value.message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:live"


def test_a_function_that_is_still_pending_cannot_be_invoked() -> None:
    pending = replace(ACTIVE, state=State.PENDING, state_reason=Reason("The function is being created.", "Creating"))
    with pytest.raises(ResourceConflict) as caught:
        route(Function(latest=pending), None)
    assert caught.value.message == (
        "The operation cannot be performed at this time. The function is currently in the following state: Pending"
    )


def test_a_function_that_failed_says_why() -> None:
    failed = replace(ACTIVE, state=State.FAILED, state_reason=Reason("The code cannot be unpacked.", "InternalError"))
    with pytest.raises(ResourceConflict) as caught:
        route(Function(latest=failed), None)
    assert caught.value.message.endswith("in the following state: Failed The code cannot be unpacked.")
