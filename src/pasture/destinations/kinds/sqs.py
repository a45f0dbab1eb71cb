"""Queues: SendMessage. The tracing header goes with the message, as SQS's own attribute of that name."""

from collections.abc import Mapping
from typing import Any

from pasture.destinations.kinds import Kind, Need, Place, Tools
from pasture.domain.events import Delivery
from pasture.domain.scope import Scope
from pasture.neighbours.caller import Caller, NeighbourRefused

# So many URLs of queues are remembered.
_KNOWN_MAX = 1_024


class _Queues:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._urls: dict[tuple[str, Scope], str] = {}

    def needs(self, target: str) -> tuple[Need, ...]:
        return (Need("sqs:SendMessage", target),)

    async def deliver(self, delivery: Delivery) -> None:
        place = Place.of(delivery.target, delivery.scope)
        scope = Scope(delivery.scope.account, place.region)
        url = await self._url(delivery.target, place, scope)
        parameters: dict[str, Any] = {"QueueUrl": url, "MessageBody": delivery.body.decode(errors="replace")}
        if delivery.attributes:
            parameters["MessageAttributes"] = attributes(delivery.attributes)
        if delivery.trace_id:
            header = {"DataType": "String", "StringValue": delivery.trace_id}
            parameters["MessageSystemAttributes"] = {"AWSTraceHeader": header}
        try:
            await self._caller.call("sqs", "SendMessage", parameters, scope=scope, trace_id=delivery.trace_id)
        except NeighbourRefused:
            # It may be another queue of that name by now.
            self._urls.pop((delivery.target, scope), None)
            raise

    async def _url(self, arn: str, place: Place, scope: Scope) -> str:
        known = self._urls.get((arn, scope))
        if known is not None:
            return known
        asked = {"QueueName": place.resource, "QueueOwnerAWSAccountId": place.account}
        answer = await self._caller.call("sqs", "GetQueueUrl", asked, scope=scope)
        if len(self._urls) >= _KNOWN_MAX:
            self._urls.clear()
        url = self._urls[arn, scope] = str(answer["QueueUrl"])
        return url


def attributes(named: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """As SQS and SNS have them."""
    return {name: {"DataType": kind, "StringValue": value} for name, (kind, value) in named.items()}


def make(tools: Tools) -> Kind:
    return _Queues(tools.caller)
