"""What a kind of event source is made with, and what it gives: the seam between pollers and everything else."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.events import Delivery
from pasture.domain.invocation import Outcome
from pasture.domain.scope import Scope
from pasture.kit.clock import Clock
from pasture.neighbours.caller import Caller
from pasture.sources.brokers.endpoints import Endpoints
from pasture.sources.checkpoints import Checkpoints


class Poller(Protocol):
    """Reads the source of one mapping, from `open` until `close`.

    It never ends by itself: a source that cannot be reached, refuses or is not there yet is tried again, ever more
    slowly, and said in the mapping's last result. Whatever happens, a record is passed over only when its function has
    answered for it or the mapping's settings say that it may be.
    """

    async def open(self) -> None:
        """Begin to read; returns at once or nearly so. Raises nothing that reading may raise."""
        ...

    async def close(self, seconds: float) -> None:
        """Take nothing new; batches that run may end within so long, and are settled. The rest is read again later."""
        ...


class Ran(NamedTuple):
    """What came of handing a batch to the function."""

    outcome: Outcome | None
    """None: it did not run, being throttled, gone or not to be had; `why` says so."""
    request_id: str
    version: str = ""
    """That ran."""
    why: str = ""
    throttled: bool = False


class Functions(Protocol):
    """The functions of mappings, as they are now: alias, code and concurrency are looked up for every call."""

    async def invoke(self, mapping: EventSourceMapping, payload: bytes, *, trace_id: str = "") -> Ran:
        """One invocation, once. Raises nothing but cancellation: what hinders it is said in the answer."""
        ...

    async def timeout(self, mapping: EventSourceMapping) -> float:
        """The function's, in seconds; the default when there is no such function now."""
        ...

    async def role(self, mapping: EventSourceMapping) -> str:
        """The ARN of the function's execution role; empty when there is no such function now."""
        ...


Told = Callable[[str], None]
"""Takes what `LastProcessingResult` is to say."""
Secret = Callable[[Scope, str], Awaitable[Mapping[str, str]]]
"""The members of a secret, by its ARN or name. Raises what a `Caller` raises, ValueError when it is no JSON object."""
Observe = Callable[[EventSourceMapping, str, float], None]
"""Counts a metric of AWS/Lambda for the mapping and its function: `FailedInvokeEventCount`, `IteratorAge` …"""


@dataclass(frozen=True, slots=True)
class Tools:
    """What one mapping's poller works with."""

    caller: Caller
    functions: Functions
    checkpoints: Checkpoints
    """Of this mapping."""
    deliver: Callable[[Delivery], Awaitable[None]]
    """Returns once the delivery is durable: it goes to its destination with retries of its own."""
    lacks: Callable[[EventSourceMapping, str, str], Awaitable[str]]
    """Words for what the function's role may not do (mapping, action `sqs:ReceiveMessage`, ARN); empty if it may."""
    secret: Secret
    told: Told
    observe: Observe
    clock: Clock
    endpoints: Endpoints = field(default_factory=Endpoints)
    """Where brokers and clusters are."""


Make = Callable[[EventSourceMapping, Tools], Poller]
"""What every module under `kinds` has as `make`."""
