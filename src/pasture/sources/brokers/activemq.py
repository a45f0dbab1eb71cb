"""A queue of ActiveMQ, by STOMP 1.2.

Redelivery is the client's, as with JMS: a batch that failed stays here and is tried again at once, so often; then the
broker is told that its messages are poison, and keeps them in its dead-letter queue.
"""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from pasture.domain.event_source import EventSourceMapping
from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.sources.brokers import access
from pasture.sources.brokers.message_events import activemq_event, activemq_message
from pasture.sources.brokers.message_poller import Connect, Inbox, Lost, Message
from pasture.sources.brokers.stomp import Frame, Parser, StompError, encode
from pasture.sources.source import Tools

REDELIVERIES = 5
ANSWER_SECONDS = 30.0
_BEAT_SECONDS = 10.0
_SILENCE_SECONDS = 4 * _BEAT_SECONDS
_PREFETCH_MAX = 32_766
_ENVELOPE = 1_024
_READ = 256 * 1024


def connector(mapping: EventSourceMapping, tools: Tools, endpoint: str) -> Connect:
    async def connect(inbox: Inbox) -> "ActiveMQSession":
        user, password = await access.user_and_password(mapping, tools.secret, "BASIC_AUTH")
        session = ActiveMQSession(mapping, inbox, tools.clock)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await session.open(endpoint, user, password)
        except BaseException as error:
            await session.close()
            if isinstance(error, OSError | TimeoutError):
                words = f"{endpoint} cannot be read: {str(error) or type(error).__name__}"
                raise Lost(f"PROBLEM: Connection error. {words}") from error
            raise
        return session

    return connect


class ActiveMQSession:
    concurrency = 5
    retry_seconds_max = 1.0

    def __init__(self, mapping: EventSourceMapping, inbox: Inbox, clock: Clock) -> None:
        self._mapping = mapping
        self._inbox = inbox
        self._clock = clock
        self._parser = Parser()
        self._numbers = itertools.count(1)
        self._receipts: dict[str, asyncio.Future[None]] = {}
        self._tries: dict[str, int] = {}
        """Of messages that failed, by what they are acknowledged with."""
        self._heard = self._clock.monotonic()
        self._tasks = Tasks(f"connection of mapping {mapping.uuid}")
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, endpoint: str, user: str, password: str) -> None:
        """Raises OSError and Lost."""
        url = urlsplit(endpoint)
        context = ssl.create_default_context() if url.scheme == "stomp+ssl" else None
        reader, self._writer = await asyncio.open_connection(url.hostname, url.port, ssl=context, limit=_READ)
        beat = int(_BEAT_SECONDS * 1000)
        self._send("CONNECT", {
            "accept-version": "1.2", "host": url.hostname or "", "login": user, "passcode": password,
            "heart-beat": f"{beat},{beat}",
        })  # fmt: skip
        while not (frames := list(self._parser.feed(await self._more(reader)))):
            pass
        if frames[0].command != "CONNECTED":
            raise Lost(f"PROBLEM: Authentication failed. {_said(frames[0])}")
        self._tasks.start(self._read(reader), "reading")
        self._tasks.start(self._beat(), "beating")
        prefetch = min(self.concurrency * self._mapping.batch_size, _PREFETCH_MAX)
        await self._ask("SUBSCRIBE", {
            "id": "0", "destination": f"/queue/{self._mapping.channel}", "ack": "client-individual",
            "activemq.prefetchSize": str(prefetch),
        })  # fmt: skip

    async def close(self) -> None:
        if self._writer is None:
            return
        with contextlib.suppress(Lost, OSError, TimeoutError):
            if self._tasks:
                await self._ask("DISCONNECT", {}, seconds=2.0)
        await self._tasks.close()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2.0):
                await self._writer.wait_closed()

    def event(self, messages: Sequence[Message]) -> bytes:
        return activemq_event(self._mapping.source, [dict(message.event) for message in messages])

    async def done(self, messages: Sequence[Message]) -> None:
        await self._settle("ACK", messages)

    async def again(self, messages: Sequence[Message], *, ran: bool) -> bool:
        poison = False
        for message in messages:
            self._tries[message.key] = self._tries.get(message.key, 0) + ran
            poison = poison or self._tries[message.key] > REDELIVERIES
            message.event = {**message.event, "redelivered": True}
        if poison:
            await self.refuse(messages)
        return not poison

    async def refuse(self, messages: Sequence[Message]) -> None:
        await self._settle("NACK", messages)

    async def _settle(self, command: str, messages: Sequence[Message]) -> None:
        for message in messages[:-1]:
            self._send(command, {"id": message.key})
        await self._ask(command, {"id": messages[-1].key})
        for message in messages:
            self._tries.pop(message.key, None)

    # The wire...

    def _send(self, command: str, headers: Mapping[str, str]) -> None:
        if self._writer is None or self._writer.is_closing():
            raise Lost("PROBLEM: Connection error. The connection is closed")
        self._writer.write(encode(Frame(command, headers)))

    async def _ask(self, command: str, headers: Mapping[str, str], seconds: float = ANSWER_SECONDS) -> None:
        """Sent, and answered by the broker. Raises Lost."""
        receipt = str(next(self._numbers))
        answered = self._receipts[receipt] = asyncio.get_running_loop().create_future()
        try:
            self._send(command, {**headers, "receipt": receipt})
            async with asyncio.timeout(seconds):
                await answered
        except (OSError, TimeoutError) as error:
            raise self._lose(f"The broker does not answer: {str(error) or type(error).__name__}") from error
        finally:
            del self._receipts[receipt]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                for frame in self._parser.feed(await self._more(reader)):
                    self._take(frame)
        except (OSError, StompError, Lost) as error:
            self._lose(str(error) or type(error).__name__)

    async def _more(self, reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(_READ)
        if not data:
            raise ConnectionResetError("the broker has closed the connection")
        self._heard = self._clock.monotonic()
        return data

    def _take(self, frame: Frame) -> None:
        match frame.command:
            case "MESSAGE":
                self._inbox.put(self._message(frame))
            case "RECEIPT":
                answered = self._receipts.get(frame.headers.get("receipt-id", ""))
                if answered is not None and not answered.done():
                    answered.set_result(None)
            case "ERROR":
                raise Lost(_said(frame))
            case _:
                raise StompError(f"{frame.command!r} is not for clients")

    def _message(self, frame: Frame) -> Message:
        headers = frame.headers
        redelivered = headers.get("redelivered") == "true"
        event = activemq_message(
            headers, frame.body, self._mapping.channel, redelivered=redelivered, now=self._clock.now()
        )
        size = _ENVELOPE + len(frame.body) * 4 // 3 + 6 * sum(len(name) + len(value) for name, value in headers.items())
        return Message(headers.get("ack", ""), event, frame.body, size)

    async def _beat(self) -> None:
        """Signs of life, both ways."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            if self._writer is not None and not self._writer.is_closing():
                self._writer.write(b"\n")
            if self._clock.monotonic() - self._heard > _SILENCE_SECONDS:
                self._lose("The broker is silent")

    def _lose(self, why: str) -> Lost:
        lost = Lost(why if why.startswith("PROBLEM: ") else f"PROBLEM: Connection error. {why}")
        self._inbox.lose(lost)
        for answered in self._receipts.values():
            if not answered.done():
                answered.set_exception(lost)
        return lost


def _said(frame: Frame) -> str:
    text = frame.headers.get("message") or frame.body.decode(errors="replace")
    return text.strip().splitlines()[0] if text.strip() else f"The broker answered {frame.command}"
