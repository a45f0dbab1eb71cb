"""Which version does this qualifier mean? Pure."""

from pasture.domain.errors import ResourceConflict, ResourceNotFound
from pasture.domain.function import LATEST, Function, FunctionVersion, State


def route(function: Function, qualifier: str | None) -> FunctionVersion:
    """The version that an invocation with this qualifier runs, ready to be invoked.

    Raises ResourceNotFound for a qualifier that names nothing, ResourceConflict for a
    function that cannot be invoked in its state (developer guide, "Lambda function states").
    """
    if qualifier not in {None, LATEST}:
        raise ResourceNotFound(f"Function not found: {function.scope.function_arn(function.name, qualifier)}")
    if function.active is not None:
        return function.active
    latest = function.latest
    reason = f" {latest.state_reason.message}" if latest.state is State.FAILED and latest.state_reason else ""
    raise ResourceConflict(
        "The operation cannot be performed at this time. "
        f"The function is currently in the following state: {latest.state}{reason}"
    )
