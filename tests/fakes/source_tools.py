"""What a poller works with, where there is no server: functions that answer as told, and secrets that are known."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.events import Delivery
from pasture.domain.invocation import Outcome, Status
from pasture.domain.scope import Scope
from pasture.kit.clock import SystemClock
from pasture.neighbours.caller import NoNeighbour
from pasture.sources.brokers.endpoints import Endpoints
from pasture.sources.source import Ran, Tools

SCOPE = Scope("000000000000", "us-east-1")
DONE = Ran(Outcome(Status.SUCCESS, b"null"), "r", "1")
FAILED = Ran(Outcome(Status.ERROR, b"{}"), "r", "1")
THROTTLED = Ran(None, "", why="PROBLEM: throttled", throttled=True)
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:broker"

Answer = Callable[[Any], Ran]


@dataclass
class ScriptedFunctions:
    """Every event goes to `answer`, which may be exchanged at any time."""

    answer: Answer = lambda _event: DONE
    events: list[Any] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    gate: asyncio.Event | None = None
    """What holds invocations up."""

    async def invoke(self, _mapping: EventSourceMapping, payload: bytes, *, trace_id: str = "") -> Ran:  # noqa: ARG002
        event = json.loads(payload)
        self.events.append(event)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            return self.answer(event)
        finally:
            self.running -= 1

    async def timeout(self, _mapping: EventSourceMapping) -> float:
        return 3.0

    async def role(self, _mapping: EventSourceMapping) -> str:
        return "arn:aws:iam::000000000000:role/reads"


class NoCheckpoints:
    async def load(self) -> Mapping[str, bytes]:
        return {}

    async def save(self, _part: str, _value: bytes) -> None:
        raise AssertionError

    async def drop(self, _part: str) -> None:
        raise AssertionError


class NoCaller:
    async def call(self, *_arguments: Any, **_more: Any) -> Any:
        raise NoNeighbour


@dataclass
class Surroundings:
    """One mapping's tools, and what was told and counted by them."""

    endpoints: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    functions: ScriptedFunctions = field(default_factory=ScriptedFunctions)
    checkpoints: Any = field(default_factory=NoCheckpoints)
    told: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    delivered: list[Delivery] = field(default_factory=list)

    def tools(self) -> Tools:
        async def deliver(delivery: Delivery) -> None:
            self.delivered.append(delivery)

        async def lacks(_mapping: EventSourceMapping, _action: str, _arn: str) -> str:
            return ""

        async def secret(_scope: Scope, name: str) -> Mapping[str, str]:
            if name not in self.secrets:
                raise NoNeighbour
            return self.secrets[name]

        def observe(_mapping: EventSourceMapping, metric: str, value: float) -> None:
            self.counted[metric] += int(value)

        return Tools(
            NoCaller(), self.functions, self.checkpoints, deliver, lacks, secret, self.told.append, observe,
            SystemClock(), Endpoints(self.endpoints),
        )  # fmt: skip


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for something that happens soon, unless the machine is very busy."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  it may be of another process
            await asyncio.sleep(0.02)


def flat(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return [item for inside in lists for item in inside]
