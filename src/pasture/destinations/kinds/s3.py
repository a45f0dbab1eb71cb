"""Buckets, for what failed: PutObject, under a name of the delivery's own: a repetition changes nothing."""

from datetime import UTC, datetime

from pasture.destinations.kinds import Kind, Need, Tools
from pasture.domain.events import Delivery
from pasture.neighbours.caller import Caller


class _Buckets:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def needs(self, target: str) -> tuple[Need, ...]:
        """Reference: "Retaining records of asynchronous invocations" in the developer guide."""
        return Need("s3:PutObject", f"{target}/*"), Need("s3:ListBucket", target)

    async def deliver(self, delivery: Delivery) -> None:
        parameters = {
            "Bucket": delivery.target.split(":", 5)[5],
            "Key": key(delivery),
            "Body": delivery.body,
            "ContentType": "application/json",
        }
        await self._caller.call("s3", "PutObject", parameters, scope=delivery.scope, trace_id=delivery.trace_id)


def key(delivery: Delivery) -> str:
    when = datetime.fromtimestamp(delivery.created, UTC)
    return f"aws/lambda/async/{delivery.name}/{when:%Y/%m/%d}/{when:%Y-%m-%dT%H.%M.%S}-{delivery.id}"


def make(tools: Tools) -> Kind:
    return _Buckets(tools.caller)
