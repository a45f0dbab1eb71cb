"""A queue of RabbitMQ, by AMQP 0-9-1."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import AMQPError
from pamqp.commands import Basic
from yarl import URL

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.brokers import access
from pasture.sources.brokers.message_events import rabbitmq_event, rabbitmq_message
from pasture.sources.brokers.message_poller import Connect, Inbox, Lost, Message
from pasture.sources.source import Tools

CONNECT_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_PREFETCH_MAX = 65_535
_HEARTBEAT_SECONDS = 20
_ENVELOPE = 1_024
"""Bytes of a message's event beside its body and headers, at most."""
_PROPERTIES = (
    "content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration",
    "message_id", "timestamp", "message_type", "user_id", "app_id", "cluster_id",
)  # fmt: skip


def connector(mapping: EventSourceMapping, tools: Tools, endpoint: str) -> Connect:
    async def connect(inbox: Inbox) -> "RabbitMQSession":
        user, password = await access.user_and_password(mapping, tools.secret, "BASIC_AUTH")
        virtual_host = access.named(mapping).get("VIRTUAL_HOST", "/")
        session = RabbitMQSession(mapping, virtual_host, inbox)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await session.open(_url(endpoint, user, password, virtual_host))
        except BaseException as error:
            await session.close()
            if isinstance(error, AMQPError | OSError | TimeoutError):
                raise Lost(_words(endpoint, error)) from error
            raise
        return session

    return connect


class RabbitMQSession:
    concurrency = 1
    retry_seconds_max = 30.0

    def __init__(self, mapping: EventSourceMapping, virtual_host: str, inbox: Inbox) -> None:
        self._mapping = mapping
        self._virtual_host = virtual_host
        self._inbox = inbox
        self._consumer = ""
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel

    async def open(self, url: URL) -> None:
        context = ssl.create_default_context() if url.scheme == "amqps" else None
        self._connection = await aiormq.connect(
            url, context=context, client_properties={"connection_name": f"pasture {self._mapping.uuid}"}
        )
        self._channel = await self._connection.channel()
        self._channel.on_consumer_cancel_callbacks.add(self._cancelled)
        self._channel.closing.add_done_callback(self._closed)
        # No more than a batch: what follows it stays in order, and with the broker.
        await self._channel.basic_qos(prefetch_count=min(self._mapping.batch_size, _PREFETCH_MAX))
        await self._consume()

    async def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._connection.close()

    def event(self, messages: Sequence[Message]) -> bytes:
        return rabbitmq_event(
            self._mapping.source,
            self._mapping.channel,
            self._virtual_host,
            [dict(message.event) for message in messages],
        )

    async def done(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await self._do(self._channel.basic_ack(message.key, wait=message is messages[-1]))

    async def again(self, messages: Sequence[Message], *, ran: bool) -> bool:  # noqa: ARG002  the broker's to count
        """All that was delivered goes back, in order; only then is anything delivered again."""
        await self._do(self._channel.basic_cancel(self._consumer))
        self._inbox.clear()
        await self._do(self._channel.basic_nack(0, multiple=True, requeue=True))
        await self._do(self._consume())
        return False

    async def refuse(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await self._do(self._channel.basic_nack(message.key, requeue=False))

    async def _consume(self) -> None:
        answer = await self._channel.basic_consume(self._mapping.channel, self._delivered)
        self._consumer = str(answer.consumer_tag)

    async def _delivered(self, message: DeliveredMessage) -> None:
        properties = message.header.properties
        headers = properties.headers or {}
        event = rabbitmq_message(
            {name: getattr(properties, name) for name in _PROPERTIES},
            headers, message.body, redelivered=bool(message.redelivered),
        )  # fmt: skip
        # Numbers of three digits and a sign for every byte of a header.
        size = _ENVELOPE + len(message.body) * 4 // 3 + 5 * len(str(headers))
        self._inbox.put(Message(message.delivery_tag, event, message.body, size))

    def _cancelled(self, _frame: Basic.Cancel) -> None:
        """The queue is gone, or has moved."""
        self._inbox.lose(Lost(f"PROBLEM: The queue {self._mapping.channel} is no more"))

    def _closed(self, closing: "asyncio.Future[Any]") -> None:
        error = None if closing.cancelled() else closing.exception()
        self._inbox.lose(Lost(f"PROBLEM: Connection error. The connection was closed: {error or 'without a reason'}"))

    async def _do(self, doing: Any) -> Any:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await doing
        except (AMQPError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError) as error:
            lost = Lost(f"PROBLEM: Connection error. {error!r}")
            self._inbox.lose(lost)
            raise lost from error


def _url(endpoint: str, user: str, password: str, virtual_host: str) -> URL:
    base = URL(endpoint)
    who, where = f"{quote(user, safe='')}:{quote(password, safe='')}", quote(virtual_host, safe="")
    return URL(f"{base.scheme}://{who}@{base.authority}/{where}?heartbeat={_HEARTBEAT_SECONDS}", encoded=True)


def _words(endpoint: str, error: BaseException) -> str:
    if isinstance(error, aiormq.exceptions.AuthenticationError | aiormq.exceptions.ProbableAuthenticationError):
        return "PROBLEM: Authentication failed. The broker refuses the user name and password of the secret"
    return f"PROBLEM: Connection error. {endpoint} cannot be read: {str(error) or type(error).__name__}"
