"""A poller of ActiveMQ against the real broker, with functions that answer as told."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.source_tools import DONE, FAILED, SCOPE, SECRET, THROTTLED, ScriptedFunctions, Surroundings, until
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.sources.brokers.stomp import Frame, Parser, encode
from pasture.sources.kinds import mq
from system.sources.servers.activemq import PASSWORD, USER, ActiveMQ

ARN = "arn:aws:mq:us-east-1:000000000000:broker:meadow:b-1"


class Sender:
    """A client of STOMP that sends, and counts what a queue holds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = Parser()
        self._frames: list[Frame] = []

    @classmethod
    @asynccontextmanager
    async def to(cls, broker: ActiveMQ) -> AsyncIterator["Sender"]:
        sender = cls(*await asyncio.open_connection("127.0.0.1", broker.port))
        who = {"accept-version": "1.2", "host": "tests", "login": USER, "passcode": PASSWORD}
        sender._writer.write(encode(Frame("CONNECT", who)))
        assert (await sender.frame()).command == "CONNECTED"
        try:
            yield sender
        finally:
            sender._writer.close()

    async def frame(self) -> Frame:
        while not self._frames:
            data = await self._reader.read(65_536)
            assert data
            self._frames += self._parser.feed(data)
        return self._frames.pop(0)

    async def send(self, queue: str, body: bytes, headers: Mapping[str, str] = {}, *, as_bytes: bool = False) -> None:
        length = {"content-length": str(len(body))} if as_bytes else {}
        whither = {"destination": f"/queue/{queue}", "receipt": "r", **headers, **length}
        self._writer.write(encode(Frame("SEND", whither, body)))
        assert (await self.frame()).command == "RECEIPT"

    async def take(self, queue: str) -> Frame:
        """The first message, waited for and acknowledged."""
        self._writer.write(encode(Frame("SUBSCRIBE", {"id": "t", "destination": f"/queue/{queue}", "ack": "auto"})))
        return await self.frame()


def around(broker: ActiveMQ, answer: Callable[[Any], Any] = lambda _event: DONE) -> Surroundings:
    secrets = {SECRET: {"username": USER, "password": PASSWORD}}
    return Surroundings({ARN: broker.endpoint}, secrets, ScriptedFunctions(answer))


@asynccontextmanager
async def polling(surroundings: Surroundings, queue: str, **more: Any) -> AsyncIterator[None]:
    options: dict[str, Any] = {"batch_size": 10, "window_seconds": 0, **more}
    access = {"SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": SECRET}]}
    mapping = EventSourceMapping(
        SCOPE, f"m-{queue}", SourceKind.MQ, "f", source=ARN, channel=queue, more=access, **options
    )
    poller = mq.make(mapping, surroundings.tools())
    await poller.open()
    try:
        yield
    finally:
        await poller.close(5.0)


@pytest.fixture
async def sender(activemq: ActiveMQ) -> AsyncIterator[Sender]:
    async with Sender.to(activemq) as one:
        yield one


def bodies(functions: ScriptedFunctions) -> list[bytes]:
    return [b64decode(message["data"]) for event in functions.events for message in event["messages"]]


async def test_a_text_message_is_an_event_of_the_documented_shape(activemq: ActiveMQ, sender: Sender) -> None:
    s = around(activemq)
    about = {
        "persistent": "true",
        "priority": "7",
        "correlation-id": "c: 1",
        "reply-to": "/queue/answers",
        "cow": "Berta",
    }
    await sender.send("shape", b"ABC:AAAA", about)
    async with polling(s, "shape"):
        await until(lambda: s.functions.events)
    [event] = s.functions.events
    [message] = event.pop("messages")
    assert event == {"eventSource": "aws:mq", "eventSourceArn": ARN}
    assert message.pop("messageID").startswith("ID:")
    assert message["timestamp"] == message["brokerInTime"] <= message["brokerOutTime"]
    assert {name: value for name, value in message.items() if "ime" not in name} == {
        "messageType": "jms/text-message",
        "deliveryMode": 2,
        "replyTo": "/queue/answers",
        "type": None,
        "expiration": None,
        "priority": 7,
        "correlationId": "c: 1",
        "redelivered": False,
        "destination": {"physicalname": "shape"},
        "data": "QUJDOkFBQUE=",
        "properties": {"cow": "Berta"},
    }


async def test_what_was_sent_as_bytes_is_a_bytes_message(activemq: ActiveMQ, sender: Sender) -> None:
    s = around(activemq)
    await sender.send("bytes", b"a\0b", as_bytes=True)
    async with polling(s, "bytes"):
        await until(lambda: s.functions.events)
    [message] = s.functions.events[0]["messages"]
    assert (message["messageType"], b64decode(message["data"])) == ("jms/bytes-message", b"a\0b")
    assert message["deliveryMode"] == 1


async def test_at_most_five_batches_run_at_once(activemq: ActiveMQ, sender: Sender) -> None:
    s = around(activemq)
    s.functions.gate = asyncio.Event()
    for number in range(12):
        await sender.send("many", b"%d" % number)
    async with polling(s, "many", batch_size=1):
        await until(lambda: s.functions.running == 5)
        s.functions.gate.set()
        await until(lambda: len(s.functions.events) == 12)
    assert s.functions.most_running == 5
    assert sorted(bodies(s.functions), key=int) == [b"%d" % number for number in range(12)]


async def test_a_poisonous_message_is_tried_six_times_and_kept_by_the_broker(
    activemq: ActiveMQ, sender: Sender
) -> None:
    s = around(activemq, lambda _event: FAILED)
    await sender.send("poison", b"bad", {"persistent": "true"})
    async with polling(s, "poison"):
        dead = await asyncio.wait_for(sender.take("ActiveMQ.DLQ"), 60)
        s.functions.answer = lambda _event: DONE
        await sender.send("poison", b"good")
        await until(lambda: s.told[-1] == "OK")
    assert dead.body == b"bad"
    assert bodies(s.functions) == [b"bad"] * 6 + [b"good"]
    assert [event["messages"][0]["redelivered"] for event in s.functions.events] == [False, *[True] * 5, False]


async def test_a_function_that_is_throttled_uses_no_redelivery_up(activemq: ActiveMQ, sender: Sender) -> None:
    answers = [DONE, *[THROTTLED] * 6]
    s = around(activemq, lambda _event: answers.pop())
    await sender.send("throttled", b"1")
    async with polling(s, "throttled"):
        await until(lambda: s.told and s.told[-1] == "OK")
    assert bodies(s.functions) == [b"1"] * 7


async def test_what_a_closed_poller_has_not_finished_is_delivered_to_the_next(
    activemq: ActiveMQ, sender: Sender
) -> None:
    first = around(activemq, lambda _event: FAILED)
    await sender.send("handed-over", b"1")
    async with polling(first, "handed-over"):
        await until(lambda: first.functions.events)
    second = around(activemq)
    async with polling(second, "handed-over"):
        await until(lambda: bodies(second.functions) == [b"1"])


async def test_a_wrong_password_is_said(activemq: ActiveMQ) -> None:
    s = around(activemq)
    s.secrets = {SECRET: {"username": USER, "password": "wrong"}}
    async with polling(s, "q"):
        await until(lambda: s.told)
    assert s.told[0].startswith("PROBLEM: Authentication failed.")


async def test_a_broker_that_restarts_is_read_again(activemq: ActiveMQ) -> None:
    s = around(activemq)
    async with polling(s, "restarted"):
        async with Sender.to(activemq) as before:
            await before.send("restarted", b"1")
            await until(lambda: bodies(s.functions) == [b"1"])
        activemq.process.stop()
        await until(lambda: s.told[-1].startswith("PROBLEM: Connection error."))
        activemq.process.start()
        async with Sender.to(activemq) as after:
            await after.send("restarted", b"2")
        await until(lambda: bodies(s.functions) == [b"1", b"2"])
