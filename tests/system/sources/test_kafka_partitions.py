"""A poller of Kafka against the real broker, with functions that answer as told."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from fakes.source_tools import DONE, FAILED, SCOPE, SECRET, THROTTLED, ScriptedFunctions, Surroundings, flat, until
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.domain.invocation import Outcome, Status
from pasture.sources.kinds import kafka as kind
from pasture.sources.source import Ran
from system.sources.servers.certificates import encrypted
from system.sources.servers.kafka import PASSWORD, USER, Kafka


class Topics:
    """What tests do on the cluster."""

    def __init__(self, server: str, producer: Any) -> None:
        self.server = server
        self._producer = producer

    @classmethod
    @asynccontextmanager
    async def on(cls, broker: Kafka) -> AsyncIterator["Topics"]:
        producer = AIOKafkaProducer(bootstrap_servers=broker.plain, acks="all", metadata_max_age_ms=1_000)
        await producer.start()
        try:
            yield cls(broker.plain, producer)
        finally:
            await producer.stop()

    async def create(self, name: str, partitions: int = 1) -> str:
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(name, partitions, 1)])
        return name

    async def grow(self, name: str, partitions: int) -> None:
        async with self._admin() as admin:
            await admin.create_partitions({name: NewPartitions(partitions)})

    async def put(self, topic: str, *values: bytes, partition: int = 0, **more: Any) -> None:
        for value in values:
            await self._producer.send_and_wait(topic, value, partition=partition, **more)

    async def committed(self, group: str, topic: str, partition: int = 0) -> int | None:
        async with self._admin() as admin:
            offsets = await admin.list_consumer_group_offsets(group)
        found = offsets.get(TopicPartition(topic, partition))
        return None if found is None else found.offset

    async def values(self, topic: str, count: int) -> list[tuple[bytes, Any]]:
        """The first so many, keys and what the values say."""
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.server, auto_offset_reset="earliest")
        await consumer.start()
        try:
            records = [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()
        return [(record.key, json.loads(record.value)) for record in records]

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.server)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


def mapping(topic: str, broker: Kafka, **more: Any) -> EventSourceMapping:
    options: dict[str, Any] = {
        "kind": SourceKind.SELF_MANAGED_KAFKA, "servers": (broker.plain,), "batch_size": 10, "window_seconds": 0,
        "starting_position": "TRIM_HORIZON", "uuid": f"m-{topic}", **more,
    }  # fmt: skip
    return EventSourceMapping(SCOPE, function="f", channel=topic, **options)


def around(answer: Callable[[Any], Any] = lambda _event: DONE) -> Surroundings:
    return Surroundings(functions=ScriptedFunctions(answer))


@asynccontextmanager
async def polling(surroundings: Surroundings, mapping: EventSourceMapping) -> AsyncIterator[None]:
    poller = kind.make(mapping, surroundings.tools())
    await poller.open()
    try:
        yield
    finally:
        await poller.close(5.0)


@pytest.fixture
async def topics(kafka: Kafka) -> AsyncIterator[Topics]:
    async with Topics.on(kafka) as one:
        yield one


def values_of(event: Any) -> list[bytes]:
    return [b64decode(record["value"]) for record in flat(list(event["records"].values()))]


def values(surroundings: Surroundings) -> list[bytes]:
    return flat([values_of(event) for event in surroundings.functions.events])


def numbers(many: int) -> list[bytes]:
    return [b"%d" % number for number in range(many)]


def answered(response: Any) -> Ran:
    return Ran(Outcome(Status.SUCCESS, json.dumps(response).encode()), "r", "7")


async def is_committed(topics: Topics, topic: str, offset: int) -> bool:
    return await topics.committed(f"m-{topic}", topic) == offset


async def eventually(condition: Callable[[], Any]) -> None:
    """As `until`, for conditions that have to be awaited."""
    while not await condition():
        pass


async def test_a_record_is_an_event_of_the_documented_shape(kafka: Kafka, topics: Topics) -> None:
    await topics.create("shape")
    headers = [("trace", b"a\xff"), ("trace", b"b")]
    await topics.put("shape", b"grass", key=b"cow", headers=headers, timestamp_ms=1_700_000_000_123)
    await topics.put("shape", b"no key")
    s = around()
    async with polling(s, mapping("shape", kafka)):
        await until(lambda: len(flat([e["records"]["shape-0"] for e in s.functions.events])) == 2)
    first, second = flat([event["records"]["shape-0"] for event in s.functions.events])
    assert {name: value for name, value in s.functions.events[0].items() if name != "records"} == {
        "eventSource": "SelfManagedKafka",
        "bootstrapServers": kafka.plain,
    }
    assert first == {
        "topic": "shape",
        "partition": 0,
        "offset": 0,
        "timestamp": 1_700_000_000_123,
        "timestampType": "CREATE_TIME",
        "key": "Y293",
        "value": "Z3Jhc3M=",
        "headers": [{"trace": [97, -1]}, {"trace": [98]}],
    }
    assert "key" not in second


async def test_a_cluster_of_msk_is_found_by_its_name_and_named_in_the_event(kafka: Kafka, topics: Topics) -> None:
    await topics.create("msk")
    await topics.put("msk", b"1")
    arn = "arn:aws:kafka:us-east-1:000000000000:cluster/meadow/1"
    s = around()
    s.endpoints = {"meadow": kafka.plain}
    async with polling(s, mapping("msk", kafka, kind=SourceKind.MSK, servers=(), source=arn)):
        await until(lambda: s.functions.events)
    event = s.functions.events[0]
    assert (event["eventSource"], event["eventSourceArn"]) == ("aws:kafka", arn)
    assert event["bootstrapServers"] == kafka.plain


async def test_batches_are_in_order_and_their_offsets_are_the_groups(kafka: Kafka, topics: Topics) -> None:
    await topics.create("order")
    await topics.put("order", *numbers(25))
    s = around()
    async with polling(s, mapping("order", kafka, window_seconds=None)):
        await until(lambda: len(values(s)) == 25)
        await eventually(lambda: is_committed(topics, "order", 25))
    assert [values_of(event) for event in s.functions.events] == [
        numbers(25)[:10], numbers(25)[10:20], numbers(25)[20:],
    ]  # fmt: skip
    assert s.told[-1] == "OK"
    assert (s.counted["PolledEventCount"], s.counted["InvokedEventCount"]) == (25, 25)


async def test_partitions_are_read_at_the_same_time(kafka: Kafka, topics: Topics) -> None:
    await topics.create("wide", partitions=3)
    for partition in range(3):
        await topics.put("wide", *numbers(5), partition=partition)
    s = around()
    async with polling(s, mapping("wide", kafka)):
        await until(lambda: len(values(s)) == 15)
    for partition in range(3):
        of_one = [e for e in s.functions.events if f"wide-{partition}" in e["records"]]
        assert flat([values_of(event) for event in of_one]) == numbers(5)


async def test_latest_begins_where_the_topic_ended_when_the_mapping_was_first_read(
    kafka: Kafka, topics: Topics
) -> None:
    await topics.create("latest")
    await topics.put("latest", b"before")
    one = mapping("latest", kafka, starting_position="LATEST")
    s = around()
    async with polling(s, one):
        await eventually(lambda: is_committed(topics, "latest", 1))
    await topics.put("latest", b"while nobody read")
    async with polling(s, one):
        await until(lambda: s.functions.events)
    assert values(s) == [b"while nobody read"]


async def test_a_timestamp_is_a_place_to_begin(kafka: Kafka, topics: Topics) -> None:
    await topics.create("timestamp")
    await topics.put("timestamp", b"old", timestamp_ms=1_700_000_000_000)
    await topics.put("timestamp", b"new", timestamp_ms=1_700_000_100_000)
    one = mapping("timestamp", kafka, starting_position="AT_TIMESTAMP", starting_timestamp=1_700_000_050.0)
    s = around()
    async with polling(s, one):
        await until(lambda: s.functions.events)
    assert values(s) == [b"new"]


async def test_a_group_of_ones_own_goes_on_from_its_offsets(kafka: Kafka, topics: Topics) -> None:
    await topics.create("own-group")
    await topics.put("own-group", *numbers(4))
    first, second = around(), around()
    async with polling(first, mapping("own-group", kafka, consumer_group="herd", batch_size=2)):
        await until(lambda: len(values(first)) == 4)
        await eventually(lambda: _has(topics, "herd", "own-group", 4))
    await topics.put("own-group", b"4")
    async with polling(second, mapping("own-group", kafka, consumer_group="herd", uuid="another")):
        await until(lambda: second.functions.events)
    assert values(second) == [b"4"]


async def _has(topics: Topics, group: str, topic: str, offset: int) -> bool:
    return await topics.committed(group, topic) == offset


async def test_a_batch_that_fails_is_repeated_and_blocks_its_partition_only(kafka: Kafka, topics: Topics) -> None:
    await topics.create("blocked", partitions=2)
    await topics.put("blocked", b"bad", b"after", partition=0)
    await topics.put("blocked", b"good", partition=1)
    failing = [True]
    s = around(lambda event: FAILED if values_of(event) == [b"bad"] and failing else DONE)
    async with polling(s, mapping("blocked", kafka, batch_size=1)):
        await until(lambda: values(s).count(b"bad") > 2 and b"good" in values(s))
        assert b"after" not in values(s)
        failing.clear()
        await until(lambda: values(s)[-1] == b"after")


async def test_retries_that_are_used_up_give_a_batch_up_and_a_topic_is_told(kafka: Kafka, topics: Topics) -> None:
    await topics.create("poison")
    await topics.create("dead")
    await topics.put("poison", b"bad", b"good", key=b"k")
    s = around(lambda event: FAILED if values_of(event) == [b"bad"] else DONE)
    one = mapping("poison", kafka, batch_size=1, retries=1, on_failure="kafka://dead")
    async with polling(s, one):
        await until(lambda: b"good" in values(s))
    assert values(s) == [b"bad", b"bad", b"good"]
    [(key, told)] = await topics.values("dead", 1)
    assert key == b"k"
    assert told["requestContext"] == {
        "requestId": "r",
        "functionArn": one.function_arn,
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 2,
    }
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"}
    assert told["KafkaBatchInfo"]["recordInfo"]["offset"] == "0"
    assert values_of(told["payload"]) == [b"bad"]


async def test_a_service_is_told_of_the_range_that_was_given_up(kafka: Kafka, topics: Topics) -> None:
    await topics.create("range")
    await topics.put("range", *numbers(3), timestamp_ms=1_700_000_000_000)
    queue = "arn:aws:sqs:us-east-1:000000000000:dead"
    s = around(lambda _event: FAILED)
    async with polling(s, mapping("range", kafka, window_seconds=None, retries=0, on_failure=queue)):
        await until(lambda: s.delivered)
    [delivery] = s.delivered
    told = json.loads(delivery.body)
    assert delivery.target == queue
    assert told["KafkaBatchInfo"]["recordsInfo"] == {
        "range-0": {
            "firstRecordOffset": "0",
            "lastRecordOffset": "2",
            "firstRecordTimestamp": "2023-11-14T22:13:20.000Z",
            "lastRecordTimestamp": "2023-11-14T22:13:20.000Z",
        }
    }
    assert "payload" not in told
    assert s.counted["DroppedEventCount"] == 3


async def test_a_split_finds_the_poisonous_record_without_using_retries_up(kafka: Kafka, topics: Topics) -> None:
    await topics.create("split")
    await topics.put("split", *numbers(8))
    s = around(lambda event: FAILED if b"5" in values_of(event) else DONE)
    one = mapping("split", kafka, window_seconds=None, bisect_on_error=True, retries=0, on_failure="arn:aws:sqs:::q")
    async with polling(s, one):
        await until(lambda: s.delivered)
        await until(lambda: b"7" in values_of(s.functions.events[-1]))
    parts = [[int(value) for value in values_of(event)] for event in s.functions.events]
    assert parts == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]


async def test_a_function_that_says_where_it_stopped_is_given_the_rest(kafka: Kafka, topics: Topics) -> None:
    await topics.create("partial")
    await topics.put("partial", *numbers(6))
    stops = [answered({"batchItemFailures": [{"itemIdentifier": {"partition": "partial-0", "offset": 4}}]})]
    s = around(lambda _event: stops.pop() if stops else DONE)
    async with polling(s, mapping("partial", kafka, window_seconds=None, reports_item_failures=True)):
        await until(lambda: len(s.functions.events) == 2)
    assert [values_of(event) for event in s.functions.events] == [numbers(6), numbers(6)[4:]]


async def test_records_that_have_grown_too_old_are_never_invoked_with(kafka: Kafka, topics: Topics) -> None:
    await topics.create("old")
    await topics.put("old", b"old", timestamp_ms=1_700_000_000_000)
    await topics.put("old", b"young")
    s = around()
    async with polling(s, mapping("old", kafka, record_age_seconds=60, on_failure="arn:aws:sqs:::q")):
        await until(lambda: s.functions.events and s.delivered)
    assert values(s) == [b"young"]
    told = json.loads(s.delivered[0].body)
    assert told["requestContext"]["condition"] == "RecordAgeExceeded"
    assert "responseContext" not in told


async def test_a_throttled_function_uses_no_retry_up(kafka: Kafka, topics: Topics) -> None:
    await topics.create("throttled")
    await topics.put("throttled", b"1")
    answers = [DONE, THROTTLED, THROTTLED]
    s = around(lambda _event: answers.pop())
    async with polling(s, mapping("throttled", kafka, retries=0, on_failure="arn:aws:sqs:::q")):
        await until(lambda: not answers and s.told[-1] == "OK")
    assert s.delivered == []


async def test_filters_look_into_values(kafka: Kafka, topics: Topics) -> None:
    await topics.create("filtered")
    await topics.put("filtered", b'{"kind": "cow"}', b'{"kind": "hen"}', b"text", b'{"kind": "cow"}', b'{"kind": "ox"}')
    s = around()
    one = mapping("filtered", kafka, filters=('{"value": {"kind": ["cow"]}}',))
    async with polling(s, one):
        await eventually(lambda: is_committed(topics, "filtered", 5))
    assert values(s) == [b'{"kind": "cow"}'] * 2
    assert s.counted["FilteredOutEventCount"] == 3


async def test_partitions_that_a_topic_gets_later_are_read_from_their_beginning(kafka: Kafka, topics: Topics) -> None:
    await topics.create("growing")
    s = around()
    async with polling(s, mapping("growing", kafka, starting_position="LATEST")):
        await eventually(lambda: is_committed(topics, "growing", 0))
        await topics.grow("growing", 2)
        await until(lambda: _knows(topics, "growing", 1))
        await topics.put("growing", b"new", partition=1)
        await until(lambda: values(s) == [b"new"])


def _knows(topics: Topics, topic: str, partition: int) -> bool:
    return partition in (topics._producer._metadata.partitions_for_topic(topic) or ())


@pytest.mark.parametrize("kind", ["BASIC_AUTH", "SASL_SCRAM_256_AUTH", "SASL_SCRAM_512_AUTH"])
async def test_credentials_come_from_the_secret_and_the_authority_too(kind: str, kafka: Kafka, topics: Topics) -> None:
    topic = await topics.create(kind.lower())
    await topics.put(topic, b"1")
    s = around()
    s.secrets = {SECRET: {"username": USER, "password": PASSWORD}, "ca": {"certificate": kafka.authority.certificate}}
    async with polling(s, mapping(topic, kafka, servers=(kafka.sasl,), more=_access((kind, SECRET), _CA))):
        await until(lambda: s.functions.events)
    assert values(s) == [b"1"]


async def test_a_client_certificate_with_an_encrypted_key_is_shown(kafka: Kafka, topics: Topics) -> None:
    await topics.create("mutual")
    await topics.put("mutual", b"1")
    s = around()
    s.secrets = {
        "me": {
            "certificate": kafka.client.certificate,
            "privateKey": encrypted(kafka.client.key, "hay"),
            "privateKeyPassword": "hay",
        },
        "ca": {"certificate": kafka.authority.certificate},
    }
    access = _access(("CLIENT_CERTIFICATE_TLS_AUTH", "me"), _CA)
    async with polling(s, mapping("mutual", kafka, servers=(kafka.mutual,), more=access)):
        await until(lambda: s.functions.events)


_CA = ("SERVER_ROOT_CA_CERTIFICATE", "ca")
_REFUSALS: Sequence[tuple[str, tuple[tuple[str, str], ...], str]] = [
    ("sasl", (("BASIC_AUTH", SECRET), _CA), "PROBLEM: SASL authentication failed."),
    ("sasl", (("BASIC_AUTH", SECRET),), "PROBLEM: Lambda failed to authenticate server."),
    ("mutual", (_CA,), "PROBLEM: "),
    ("mutual", (("CLIENT_CERTIFICATE_TLS_AUTH", "me"),), "PROBLEM: Provided certificate or private key is invalid"),
    ("plain", (("OAUTHBEARER_AUTH", "x"),), "PROBLEM: The source access type OAUTHBEARER_AUTH is not served"),
]


@pytest.mark.parametrize(("door", "types", "words"), _REFUSALS)
async def test_what_keeps_pasture_out_is_said(
    door: str, types: tuple[tuple[str, str], ...], words: str, kafka: Kafka
) -> None:
    s = around()
    s.secrets = {
        SECRET: {"username": USER, "password": "wrong"},
        "ca": {"certificate": kafka.authority.certificate},
        "me": {"certificate": "none", "privateKey": "none"},
    }
    async with polling(s, mapping("any", kafka, servers=(getattr(kafka, door),), more=_access(*types))):
        await until(lambda: s.told)
    assert s.told[0].startswith(words)


async def test_servers_that_are_not_there_and_a_topic_that_is_not_are_said(kafka: Kafka) -> None:
    nowhere, no_topic = around(), around()
    gone = mapping("any", kafka, servers=("127.0.0.1:1",))
    async with polling(nowhere, gone), polling(no_topic, mapping("no-such-topic", kafka)):
        await until(lambda: nowhere.told and no_topic.told)
    assert nowhere.told[0].startswith("PROBLEM: Connection error.")
    assert no_topic.told[0] == "PROBLEM: The topic no-such-topic does not exist"


async def test_a_broker_that_dies_and_comes_back_loses_nothing(kafka: Kafka) -> None:
    s = around()
    async with Topics.on(kafka) as before:
        await before.create("outage")
        await before.put("outage", b"1")
        async with polling(s, mapping("outage", kafka)):
            await until(lambda: values(s) == [b"1"])
            await eventually(lambda: is_committed(before, "outage", 1))
            kafka.process.stop()
            await until(lambda: s.told[-1].startswith("PROBLEM: Connection error."))
            kafka.process.start()
            async with Topics.on(kafka) as after:
                await after.put("outage", b"2")
            await until(lambda: values(s) == [b"1", b"2"])


def _access(*types: tuple[str, str]) -> dict[str, Any]:
    return {"SourceAccessConfigurations": [{"Type": name, "URI": uri} for name, uri in types]}
