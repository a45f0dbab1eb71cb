"""Which version does this qualifier mean, this time? Pure."""

from pasture.domain.errors import ResourceConflict, ResourceNotFound
from pasture.domain.function import LATEST, Alias, Function, FunctionVersion, State


def route(function: Function, qualifier: str | None, draw: float) -> str:
    """The name of the version that an invocation with this qualifier runs: `$LATEST` or a number.

    Of an alias with two versions, `draw` (at least 0, less than 1) chooses: below the weight it is the additional
    version. Raises ResourceNotFound for what can be neither a version nor an alias; whether a number is there is seen
    when it is looked up.
    """
    if qualifier is None or qualifier == LATEST:
        return LATEST
    if (alias := function.aliases.get(qualifier)) is not None:
        return _drawn(alias, draw)
    if qualifier.isascii() and qualifier.isdigit():
        return qualifier
    raise unknown(function, qualifier)


def runnable(function: Function, published: FunctionVersion | None) -> FunctionVersion:
    """That version, or what serves as `$LATEST` for None, once it can be invoked.

    Raises ResourceConflict in a state that cannot (developer guide, "Lambda function states").
    """
    version = published or function.active
    if version is not None and version.state not in {State.PENDING, State.FAILED}:
        return version
    version = version or function.latest
    reason = f" {version.state_reason.message}" if version.state is State.FAILED and version.state_reason else ""
    raise ResourceConflict(
        "The operation cannot be performed at this time. "
        f"The function is currently in the following state: {version.state}{reason}"
    )


def unknown(function: Function, qualifier: str) -> ResourceNotFound:
    return ResourceNotFound(f"Function not found: {function.scope.function_arn(function.name, qualifier)}")


def _drawn(alias: Alias, draw: float) -> str:
    for version, weight in alias.weights.items():
        if draw < weight:
            return version
        draw -= weight
    return alias.version
