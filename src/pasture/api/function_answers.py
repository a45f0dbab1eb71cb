"""What the operations on functions, versions and aliases have in common."""

import asyncio
from typing import Any

from pasture.domain.errors import InvalidParameterValue
from pasture.domain.function import FunctionVersion
from pasture.domain.identifiers import FunctionRef
from pasture.functions import configuration
from pasture.runtimes.registry import Runtimes


async def shown(runtimes: Runtimes, version: FunctionVersion, qualifier: str | None = None) -> dict[str, Any]:
    """A FunctionConfiguration; with a `qualifier`, its ARN carries that one."""
    if version.is_image:
        return configuration.shown(version, qualifier=qualifier)
    ready = runtimes.ready(version.runtime)
    runtime_version = ready.version if ready else await asyncio.to_thread(runtimes.version, version.runtime)
    return configuration.shown(version, qualifier=qualifier, runtime_version=runtime_version)


def require_function(ref: FunctionRef) -> None:
    """For what can only be done to a function as a whole."""
    if not ref.is_latest:
        raise InvalidParameterValue(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
            "operation. Please specify either a function name or an unqualified function ARN."
        )
