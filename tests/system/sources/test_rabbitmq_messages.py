"""A poller of RabbitMQ against the real broker, with functions that answer as told."""

import asyncio
import datetime as dt
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from fakes.source_tools import DONE, FAILED, SCOPE, SECRET, THROTTLED, ScriptedFunctions, Surroundings, flat, until
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.sources.kinds import mq
from pasture.sources.source import Poller
from system.sources.servers.rabbitmq import PASSWORD, USER, RabbitMQ

ARN = "arn:aws:mq:us-east-1:000000000000:broker:meadow:b-1"
ACCESS = [{"Type": "BASIC_AUTH", "URI": SECRET}]


def around(broker: RabbitMQ, answer: Callable[[Any], Any] = lambda _event: DONE) -> Surroundings:
    secrets = {SECRET: {"username": USER, "password": PASSWORD}}
    return Surroundings({"meadow": broker.endpoint}, secrets, ScriptedFunctions(answer))


def mapping(queue: str, **more: Any) -> EventSourceMapping:
    options: dict[str, Any] = {
        "batch_size": 10, "window_seconds": 0, "more": {"SourceAccessConfigurations": ACCESS}, **more,
    }  # fmt: skip
    return EventSourceMapping(SCOPE, f"m-{queue}", SourceKind.MQ, "f", source=ARN, channel=queue, **options)


@asynccontextmanager
async def polling(mapping: EventSourceMapping, surroundings: Surroundings) -> AsyncIterator[Poller]:
    poller = mq.make(mapping, surroundings.tools())
    await poller.open()
    try:
        yield poller
    finally:
        await poller.close(5.0)


@pytest.fixture
async def channel(rabbitmq: RabbitMQ) -> AsyncIterator[AbstractChannel]:
    connection = await aiormq.connect(rabbitmq.endpoint)
    yield await connection.channel()
    await connection.close()


async def queue(channel: AbstractChannel, name: str, *bodies: bytes) -> str:
    await channel.queue_declare(name, durable=True)
    await put(channel, name, *bodies)
    return name


async def put(channel: AbstractChannel, name: str, *bodies: bytes) -> None:
    for body in bodies:
        await channel.basic_publish(body, routing_key=name, properties=Basic.Properties(delivery_mode=2))


async def left(channel: AbstractChannel, name: str) -> int:
    """Ready messages: what is out for delivery is not among them."""
    return int((await channel.queue_declare(name, passive=True)).message_count or 0)


def messages(event: Any) -> list[Any]:
    return flat(list(event["rmqMessagesByQueue"].values()))


def bodies(functions: ScriptedFunctions) -> list[bytes]:
    return [b64decode(message["data"]) for event in functions.events for message in messages(event)]


async def test_a_message_is_an_event_of_the_documented_shape(rabbitmq: RabbitMQ, channel: AbstractChannel) -> None:
    await queue(channel, "shape")
    s = around(rabbitmq)
    properties = Basic.Properties(
        content_type="text/plain",
        headers={"header1": "value1", "raw": bytearray(b"\xff\x00"), "numberInHeader": 10, "flag": True},
        delivery_mode=1, priority=34, expiration="60000", user_id=USER,
        timestamp=dt.datetime(1970, 1, 1, 0, 33, 41, tzinfo=dt.UTC),
    )  # fmt: skip
    async with polling(mapping("shape"), s):
        await channel.basic_publish(b'{"timeout":0}', routing_key="shape", properties=properties)
        await until(lambda: s.functions.events)
    [[message]] = [messages(event) for event in s.functions.events]
    assert message["basicProperties"].pop("messageId")
    assert s.functions.events == [
        {
            "eventSource": "aws:rmq",
            "eventSourceArn": ARN,
            "rmqMessagesByQueue": {
                "shape::/": [
                    {
                        "basicProperties": {
                            "contentType": "text/plain",
                            "contentEncoding": None,
                            "headers": {
                                "header1": {"bytes": [118, 97, 108, 117, 101, 49]},
                                "raw": {"bytes": [-1, 0]},
                                "numberInHeader": 10,
                                "flag": True,
                            },
                            "deliveryMode": 1,
                            "priority": 34,
                            "correlationId": None,
                            "replyTo": None,
                            "expiration": "60000",
                            "timestamp": "Jan 1, 1970, 12:33:41 AM",
                            "type": None,
                            "userId": "guest",
                            "appId": None,
                            "clusterId": None,
                            "bodySize": 13,
                        },
                        "redelivered": False,
                        "data": "eyJ0aW1lb3V0IjowfQ==",
                    }
                ]
            },
        }
    ]


async def test_messages_are_acknowledged_when_the_function_has_succeeded(
    rabbitmq: RabbitMQ, channel: AbstractChannel
) -> None:
    name = await queue(channel, "acknowledged", *(b"%d" % number for number in range(25)))
    s = around(rabbitmq)
    async with polling(mapping(name, window_seconds=3), s):
        await until(lambda: len(bodies(s.functions)) == 25)
    assert bodies(s.functions) == [b"%d" % number for number in range(25)]
    assert [len(messages(event)) for event in s.functions.events] == [10, 10, 5]
    assert s.functions.most_running == 1
    assert await left(channel, name) == 0
    assert s.told[-1] == "OK"
    assert s.counted["InvokedEventCount"] == 25


async def test_a_batch_that_failed_comes_again_in_order_before_what_follows(
    rabbitmq: RabbitMQ, channel: AbstractChannel
) -> None:
    name = await queue(channel, "again", b"1", b"2", b"3", b"4")
    failures = [FAILED, THROTTLED]
    s = around(rabbitmq, lambda _event: failures.pop() if failures else DONE)
    # No batch waits that long: each is full when its messages are there, however slowly the broker delivers them.
    async with polling(mapping(name, batch_size=2, window_seconds=60), s):
        await until(lambda: len(s.functions.events) == 4)
    assert bodies(s.functions) == [b"1", b"2", b"1", b"2", b"1", b"2", b"3", b"4"]
    assert [message["redelivered"] for message in messages(s.functions.events[1])] == [True, True]
    assert s.told == ["PROBLEM: throttled", "PROBLEM: Function call failed", "OK", "OK"]
    assert await left(channel, name) == 0


async def test_what_a_filter_leaves_out_is_acknowledged_and_never_seen(
    rabbitmq: RabbitMQ, channel: AbstractChannel
) -> None:
    name = await queue(channel, "filtered", b'{"kind": "cow"}', b'{"kind": "hen"}', b"no JSON", b'{"kind": "cow"}')
    s = around(rabbitmq)
    async with polling(mapping(name, filters=('{"data": {"kind": ["cow"]}}',)), s):
        await until(lambda: s.counted["FilteredOutEventCount"] == 2 and len(bodies(s.functions)) == 2)
    assert await left(channel, name) == 0


async def test_messages_of_a_poller_that_is_closed_go_back_to_the_queue(
    rabbitmq: RabbitMQ, channel: AbstractChannel
) -> None:
    name = await queue(channel, "closed", b"1", b"2", b"3")
    s = around(rabbitmq, lambda _event: FAILED)
    async with polling(mapping(name), s):
        await until(lambda: s.functions.events)
    async with asyncio.timeout(60):
        while await left(channel, name) != 3:  # noqa: ASYNC110  the broker tells nobody
            await asyncio.sleep(0.02)


async def test_a_virtual_host_is_read_by_its_name(rabbitmq: RabbitMQ) -> None:
    rabbitmq.control("add_vhost", "a/field")
    rabbitmq.control("set_permissions", "-p", "a/field", USER, ".*", ".*", ".*")
    connection = await aiormq.connect(f"{rabbitmq.endpoint}/a%2Ffield")
    await queue(await connection.channel(), "q", b"1")
    s = around(rabbitmq)
    access = [*ACCESS, {"Type": "VIRTUAL_HOST", "URI": "a/field"}]
    async with polling(mapping("q", more={"SourceAccessConfigurations": access}), s):
        await until(lambda: s.functions.events)
    assert list(s.functions.events[0]["rmqMessagesByQueue"]) == ["q::a/field"]
    await connection.close()


async def test_a_queue_that_is_not_there_yet_and_one_that_goes_away_are_looked_for_again(
    rabbitmq: RabbitMQ, channel: AbstractChannel
) -> None:
    s = around(rabbitmq)
    async with polling(mapping("late"), s):
        await until(lambda: s.told)
        assert s.told[0].startswith("PROBLEM: Connection error.")
        await queue(channel, "late", b"1")
        await until(lambda: bodies(s.functions) == [b"1"])
        await channel.queue_delete("late")
        await until(lambda: "PROBLEM: The queue late is no more" in s.told)
        await queue(channel, "late", b"2")
        await until(lambda: bodies(s.functions) == [b"1", b"2"])


async def test_a_wrong_password_is_said(rabbitmq: RabbitMQ) -> None:
    s = around(rabbitmq)
    s.secrets = {SECRET: {"username": USER, "password": "wrong"}}
    async with polling(mapping("q"), s):
        await until(lambda: s.told)
    assert s.told[0].startswith("PROBLEM: Authentication failed.")


async def test_a_secret_without_a_password_and_a_broker_nobody_has_named_are_said() -> None:
    lacking = Surroundings({"meadow": "amqp://127.0.0.1:1"}, {SECRET: {"username": "u"}})
    nameless = Surroundings({}, {SECRET: {"username": "u", "password": "p"}})
    async with polling(mapping("q"), lacking), polling(mapping("q"), nameless):
        await until(lambda: lacking.told and nameless.told)
    assert lacking.told[0] == f"PROBLEM: The secret {SECRET} has no password"
    assert nameless.told[0].startswith(f"PROBLEM: {ARN} cannot be read: its endpoint is not set.")


async def test_a_broker_that_dies_and_comes_back_loses_nothing(rabbitmq: RabbitMQ, channel: AbstractChannel) -> None:
    name = await queue(channel, "outage", b"1")
    s = around(rabbitmq, lambda _event: DONE)
    async with polling(mapping(name), s):
        await until(lambda: bodies(s.functions) == [b"1"])
        s.functions.answer = lambda _event: FAILED
        await channel.confirm_delivery()
        await put(channel, name, b"2")
        await until(lambda: len(s.functions.events) > 1)
        rabbitmq.process.stop()
        await until(lambda: s.told[-1].startswith("PROBLEM: Connection error."))
        s.functions.answer = lambda _event: DONE
        rabbitmq.process.start()
        await until(lambda: s.told[-1] == "OK")
    assert bodies(s.functions)[-1] == b"2"
