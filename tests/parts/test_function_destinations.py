"""A function as another's destination: its event is queued as if somebody had invoked it."""

from typing import Any

import pytest

from fakes.functions import a_version
from fakes.outbox import ROLE, a_delivery
from pasture.app.destinations import Functions
from pasture.domain.errors import AccessDenied, ApiError, InvalidParameterValue, RequestTooLarge, ResourceNotFound
from pasture.domain.events import Event
from pasture.domain.function import FunctionVersion
from pasture.domain.identifiers import FunctionRef
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.iam.policy import Kind, Policy, parse
from pasture.invoke.lineage import before
from pasture.kit.clock import ManualClock

HERE = "arn:aws:lambda:us-east-1:000000000000:function:g:live"
ELSEWHERE = "arn:aws:lambda:us-east-1:111122223333:function:g"


class Queue:
    def __init__(self, **version: Any) -> None:
        self.version = a_version(name="g", **version)
        self.queued: list[Event] = []
        self.asked: list[tuple[Scope, FunctionRef]] = []
        self.policy: Policy | None = None
        self.functions = Functions(
            self._resolve, self._queue, self._policy, Limits(async_payload_bytes=100), ManualClock()
        )

    async def _resolve(self, scope: Scope, ref: FunctionRef) -> FunctionVersion:
        self.asked.append((scope, ref))
        if ref.name != "g":
            raise ResourceNotFound("no such function")
        return self.version

    async def _queue(self, event: Event) -> None:
        self.queued.append(event)

    async def _policy(self, arn: str) -> Policy | None:
        return self.policy if arn == ELSEWHERE else None

    def opens_to(self, principal: object) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "lambda:InvokeFunction",
            "Resource": ELSEWHERE,
        }
        self.policy = parse({"Version": "2012-10-17", "Statement": [statement]}, Kind.RESOURCE)


async def test_the_event_is_the_record_and_the_chain_goes_on() -> None:
    queue = Queue()
    await queue.functions.accept(a_delivery(HERE, trace_id="Root=1-2-3;Lineage=1:9be734d8:4"))
    (event,) = queue.queued
    assert queue.asked == [(Scope(), FunctionRef("g", "live"))]
    assert (event.scope, event.name, event.qualifier) == (Scope(), "g", "live")
    assert (event.payload, event.accepted) == (b'{"version":"1.0"}', 1_700_000_000.0)
    assert event.trace_id.startswith("Root=1-2-3;Lineage=1:9be734d8:4|1:")
    assert before(event.trace_id, HERE) == 0


async def test_a_repetition_is_an_event_of_its_own() -> None:
    queue = Queue()
    for _ in range(2):
        await queue.functions.accept(a_delivery(HERE))
    first, second = queue.queued
    assert first.id != second.id


@pytest.mark.parametrize(
    ("target", "body", "error"),
    [
        (HERE.replace(":g:", ":h:"), b"1", ResourceNotFound),
        (HERE.replace("us-east-1", "eu-west-1"), b"1", ResourceNotFound),
        (HERE, b'"' + b"x" * 99 + b'"', RequestTooLarge),
    ],
)
async def test_what_cannot_be_queued_is_refused(target: str, body: bytes, error: type[ApiError]) -> None:
    queue = Queue()
    with pytest.raises(error):
        await queue.functions.accept(a_delivery(target, body=body))
    assert not queue.queued


async def test_a_function_that_keeps_tenants_apart_has_none_to_run_for() -> None:
    queue = Queue(more={"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}})
    with pytest.raises(InvalidParameterValue):
        await queue.functions.accept(a_delivery(HERE))


@pytest.mark.parametrize("principal", [{"AWS": "000000000000"}, {"AWS": ROLE}, "*"])
async def test_another_accounts_function_must_be_open_to_the_role(principal: object) -> None:
    queue = Queue()
    with pytest.raises(AccessDenied):
        await queue.functions.accept(a_delivery(ELSEWHERE))
    queue.opens_to({"AWS": "444455556666"})
    with pytest.raises(AccessDenied):
        await queue.functions.accept(a_delivery(ELSEWHERE))
    queue.opens_to(principal)
    await queue.functions.accept(a_delivery(ELSEWHERE))
    assert [event.scope for event in queue.queued] == [Scope("111122223333")]
