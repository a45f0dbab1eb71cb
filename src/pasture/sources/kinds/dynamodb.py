"""Streams of DynamoDB's tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.scope import Scope
from pasture.sources.shard import Answer
from pasture.sources.shards import Shard
from pasture.sources.source import Poller, Tools
from pasture.sources.stream_poller import make_poller
from pasture.sources.stream_records import StreamRecord

_ACTIONS = ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream")
_AT_ONCE = 1_000


def make(mapping: EventSourceMapping, tools: Tools) -> Poller:
    return make_poller(mapping, tools, TableStream(mapping, tools), _ACTIONS)


class TableStream:
    data = "dynamodb"
    pace = 0.25

    def __init__(self, mapping: EventSourceMapping, tools: Tools) -> None:
        parts = mapping.source.split(":")
        self._mapping = mapping
        self._tools = tools
        self.arn = mapping.source
        self._scope = Scope(parts[4], parts[3])

    async def shards(self) -> Sequence[Shard]:
        found: list[Shard] = []
        asked: dict[str, Any] = {"StreamArn": self._mapping.source}
        while True:
            answer = (await self._call("DescribeStream", asked))["StreamDescription"]
            found += [_shard(shard) for shard in answer.get("Shards", [])]
            if not (last := answer.get("LastEvaluatedShardId")):
                return found
            asked["ExclusiveStartShardId"] = last

    async def iterator(self, shard: str, sequence: str, begun: float) -> str:  # noqa: ARG002  `read` leaves away
        if sequence:
            return await self._iterator(shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=sequence)
        return await self.oldest(shard)

    async def oldest(self, shard: str) -> str:
        return await self._iterator(shard, "TRIM_HORIZON")

    async def read(self, shard: str, iterator: str, most: int, begun: float) -> Answer:  # noqa: ARG002
        """Here no place can be named by time: who begins at the latest passes over what was there before."""
        answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": min(most, _AT_ONCE)})
        records = [self._record(record) for record in answer.get("Records", [])]
        if self._mapping.starting_position == "LATEST":
            # The times of records are whole seconds.
            records = [record for record in records if record.timestamp >= int(begun) * 1000]
        return Answer(records, answer.get("NextShardIterator") or None)

    async def _iterator(self, shard: str, type_: str, **more: Any) -> str:
        asked = {"StreamArn": self._mapping.source, "ShardId": shard, "ShardIteratorType": type_, **more}
        iterator: str = (await self._call("GetShardIterator", asked))["ShardIterator"]
        return iterator

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._tools.caller.call("dynamodbstreams", operation, parameters, scope=self._scope)

    def _record(self, record: Mapping[str, Any]) -> StreamRecord:
        changed = dict(record["dynamodb"])
        created: float = changed["ApproximateCreationDateTime"].timestamp()
        changed["ApproximateCreationDateTime"] = int(created)
        around: dict[str, Any] = {
            "eventID": record["eventID"],
            "eventName": record["eventName"],
            "eventVersion": record["eventVersion"],
            "eventSource": "aws:dynamodb",
            "awsRegion": self._scope.region,
            "eventSourceARN": self._mapping.source,
        }
        if who := record.get("userIdentity"):
            around["userIdentity"] = {"type": who.get("Type"), "principalId": who.get("PrincipalId")}
        # Bytes become base64 here, for filters too.
        encoded = msgspec.json.encode(changed)
        event = msgspec.json.encode({**around, "dynamodb": msgspec.Raw(encoded)})
        data = msgspec.json.decode(encoded)
        key = msgspec.json.encode(data["Keys"], order="sorted")
        return StreamRecord(changed["SequenceNumber"], int(created * 1000), event, around, data, key)


def _shard(shard: Mapping[str, Any]) -> Shard:
    parent = shard.get("ParentShardId")
    return Shard(shard["ShardId"], (parent,) if parent else ())
