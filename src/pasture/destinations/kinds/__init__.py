"""The kinds of destination, one file each: a module with `make(tools)`, named as its service is in ARNs."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

from pasture.domain.events import Delivery
from pasture.domain.scope import Scope
from pasture.neighbours.caller import Caller


class Need(NamedTuple):
    """What the execution role must be allowed."""

    action: str
    """`sqs:SendMessage`."""
    resource: str


class Undeliverable(Exception):
    """The target takes no such message, and will not unless somebody changes something; the message says why."""


class Unreachable(Exception):
    """It may well take it another time; the message says what happened."""


class Kind(Protocol):
    def needs(self, target: str) -> tuple[Need, ...]:
        """What the role that delivers to this ARN needs; the first is the one to be named where it is not allowed."""
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Returns when the target has it. Raises Undeliverable, Unreachable, and what a `Caller` raises."""
        ...


Accept = Callable[[Delivery], Awaitable[None]]
"""Queues the body as an asynchronous event of the target function; raises ApiError."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What destinations are reached with."""

    caller: Caller
    accept: Accept


def make_all(tools: Tools) -> Mapping[str, Kind]:
    """By the service in the target's ARN."""
    return {name: importlib.import_module(f"{__name__}.{module}").make(tools) for name, module in _modules().items()}


def service_of(arn: str) -> str:
    return [*arn.split(":", 3), "", "", ""][2]


class Place(NamedTuple):
    """Where a target is, by its ARN, as whoever has `scope` calls it."""

    account: str
    region: str
    resource: str

    @classmethod
    def of(cls, arn: str, scope: Scope) -> "Place":
        parts = [*arn.split(":", 5), "", "", "", "", ""]
        return cls(parts[4] or scope.account, parts[3] or scope.region, parts[5])


@cache
def _modules() -> Mapping[str, str]:
    """A service may be named as a word of Python is: then its module has an underscore behind."""
    return {module.name.rstrip("_"): module.name for module in pkgutil.iter_modules(__path__)}
