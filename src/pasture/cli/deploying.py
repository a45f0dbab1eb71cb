"""Creating and changing a function through the API, and waiting until it can be invoked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pasture.kit.errors import OperatorError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_POLL_SECONDS = 0.2
_LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says about a function; None for what it leaves alone."""

    runtime: str | None = None
    handler: str | None = None
    code: bytes | None = None
    memory: int | None = None
    timeout: int | None = None
    variables: dict[str, str] | None = None
    role: str | None = None

    def configuration(self) -> dict[str, Any]:
        """Its configuration as CreateFunction and UpdateFunctionConfiguration name it."""
        named = {
            "Runtime": self.runtime,
            "Handler": self.handler,
            "MemorySize": self.memory,
            "Timeout": self.timeout,
            "Environment": None if self.variables is None else {"Variables": self.variables},
            "Role": self.role,
        }
        return {name: value for name, value in named.items() if value is not None}


def create(client: "LambdaClient", name: str, wanted: Wanted, *, wait: bool) -> dict[str, Any]:
    """Answers the configuration. Raises OperatorError when it does not become active."""
    made = client.create_function(FunctionName=name, Code={"ZipFile": wanted.code or b""}, **wanted.configuration())
    return settled(client, name) if wait else body(made)


def update(client: "LambdaClient", name: str, wanted: Wanted, *, wait: bool) -> dict[str, Any]:
    """Configuration first, then code: between the two Lambda wants to have settled, whoever waits at the end."""
    answer: Any = None
    if configuration := wanted.configuration():
        answer = client.update_function_configuration(FunctionName=name, **configuration)
    if wanted.code is not None:
        if answer is not None:
            settled(client, name)
        answer = client.update_function_code(FunctionName=name, ZipFile=wanted.code)
    return settled(client, name) if wait else body(answer)


def settled(client: "LambdaClient", name: str, pause: Callable[[float], None] = time.sleep) -> dict[str, Any]:
    """The configuration once nothing about it is pending any more. Raises OperatorError when that failed."""
    waited = 0.0
    while waited < _LONGEST_SECONDS:
        found = body(client.get_function_configuration(FunctionName=name))
        _refuse_failed(name, found)
        if found.get("State") != "Pending" and found.get("LastUpdateStatus") != "InProgress":
            return found
        pause(_POLL_SECONDS)
        waited += _POLL_SECONDS
    raise OperatorError(f"{name} is still being prepared after {_LONGEST_SECONDS:.0f} s.", "Look at the server's log.")


def body(answer: Any) -> dict[str, Any]:
    """An answer without what boto3 says about how it came."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def _refuse_failed(name: str, found: dict[str, Any]) -> None:
    for what, reason in (("State", "StateReason"), ("LastUpdateStatus", "LastUpdateStatusReason")):
        if found.get(what) == "Failed":
            raise OperatorError(f"{name} was taken and cannot be made ready: {found.get(reason) or 'no reason given'}")
