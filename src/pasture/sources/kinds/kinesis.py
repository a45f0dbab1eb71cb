"""Streams of Kinesis. A consumer's stream is read as all others are: by GetRecords."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.scope import Scope
from pasture.sources.shard import Answer
from pasture.sources.shards import Shard
from pasture.sources.source import Poller, Tools
from pasture.sources.stream_poller import make_poller
from pasture.sources.stream_records import StreamRecord

_ACTIONS = ("kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards")
_AT_ONCE = 10_000


def make(mapping: EventSourceMapping, tools: Tools) -> Poller:
    return make_poller(mapping, tools, KinesisStream(mapping, tools), _ACTIONS)


class KinesisStream:
    data = "data"
    pace = 1.0

    def __init__(self, mapping: EventSourceMapping, tools: Tools) -> None:
        parts = mapping.source.split(":")
        self._mapping = mapping
        self._tools = tools
        self.arn = mapping.source.partition("/consumer/")[0]
        self._scope = Scope(parts[4], parts[3])
        self._role = ""

    async def shards(self) -> Sequence[Shard]:
        self._role = await self._tools.functions.role(self._mapping)
        found: list[Shard] = []
        asked: dict[str, Any] = {"StreamARN": self.arn}
        while True:
            answer = await self._call("ListShards", asked)
            found += [_shard(shard) for shard in answer.get("Shards", [])]
            if not answer.get("NextToken"):
                return found
            asked = {"NextToken": answer["NextToken"]}

    async def iterator(self, shard: str, sequence: str, begun: float) -> str:
        if sequence:
            return await self._iterator(shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=sequence)
        if self._mapping.starting_position == "TRIM_HORIZON":
            return await self.oldest(shard)
        begins = begun if self._mapping.starting_timestamp is None else self._mapping.starting_timestamp
        return await self._iterator(shard, "AT_TIMESTAMP", Timestamp=datetime.fromtimestamp(begins, UTC))

    async def oldest(self, shard: str) -> str:
        return await self._iterator(shard, "TRIM_HORIZON")

    async def read(self, shard: str, iterator: str, most: int, begun: float) -> Answer:  # noqa: ARG002  it begins there
        asked = {"ShardIterator": iterator, "Limit": min(most, _AT_ONCE), "StreamARN": self.arn}
        answer = await self._call("GetRecords", asked)
        records = [self._record(shard, record) for record in answer.get("Records", [])]
        return Answer(records, answer.get("NextShardIterator") or None, answer.get("MillisBehindLatest", 0) > 0)

    async def _iterator(self, shard: str, type_: str, **more: Any) -> str:
        asked = {"StreamARN": self.arn, "ShardId": shard, "ShardIteratorType": type_, **more}
        iterator: str = (await self._call("GetShardIterator", asked))["ShardIterator"]
        return iterator

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._tools.caller.call("kinesis", operation, parameters, scope=self._scope)

    def _record(self, shard: str, record: Mapping[str, Any]) -> StreamRecord:
        arrived: float = record["ApproximateArrivalTimestamp"].timestamp()
        kinesis = {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": round(arrived, 3),
        }
        around = {
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{record['SequenceNumber']}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._role,
            "awsRegion": self._scope.region,
            "eventSourceARN": self._mapping.source,
        }
        metadata = {name: value for name, value in kinesis.items() if name != "data"} | around
        event = msgspec.json.encode({"kinesis": kinesis, **around})
        key = record["PartitionKey"].encode()
        return StreamRecord(record["SequenceNumber"], int(arrived * 1000), event, metadata, record["Data"], key)


def _shard(shard: Mapping[str, Any]) -> Shard:
    parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
    return Shard(shard["ShardId"], tuple(parent for parent in parents if parent))
