"""Event buses: PutEvents, one entry; the record is its detail."""

from datetime import UTC, datetime
from typing import Any

from pasture.destinations.kinds import Kind, Need, Place, Tools, Undeliverable, Unreachable
from pasture.domain.events import Condition, Delivery
from pasture.domain.scope import Scope
from pasture.neighbours.caller import Caller

# Of an entry that failed; any other code is the entry's own fault.
_PASSING = frozenset({"ThrottlingException", "ThrottledException", "InternalFailure", "InternalException"})


class _Buses:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def needs(self, target: str) -> tuple[Need, ...]:
        return (Need("events:PutEvents", target),)

    async def deliver(self, delivery: Delivery) -> None:
        scope = Scope(delivery.scope.account, Place.of(delivery.target, delivery.scope).region)
        answer = await self._caller.call(
            "events", "PutEvents", {"Entries": [entry(delivery)]}, scope=scope, trace_id=delivery.trace_id
        )
        if answer.get("FailedEntryCount"):
            failed: dict[str, Any] = next((e for e in answer.get("Entries", ()) if e.get("ErrorCode")), {})
            code = str(failed.get("ErrorCode", ""))
            words = f"{code}: {failed.get('ErrorMessage', '')}"
            raise Unreachable(words) if code in _PASSING else Undeliverable(words)


def entry(delivery: Delivery) -> dict[str, Any]:
    outcome = "Success" if delivery.condition is Condition.SUCCESS else "Failure"
    made: dict[str, Any] = {
        "Time": datetime.fromtimestamp(delivery.created, UTC),
        "Source": "lambda",
        "Resources": [delivery.target, delivery.scope.function_arn(delivery.name, delivery.qualifier)],
        "DetailType": f"Lambda Function Invocation Result - {outcome}",
        "Detail": delivery.body.decode(errors="replace"),
        "EventBusName": delivery.target,
    }
    return {**made, "TraceHeader": delivery.trace_id} if delivery.trace_id else made


def make(tools: Tools) -> Kind:
    return _Buses(tools.caller)
