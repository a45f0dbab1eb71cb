"""A change stream of MongoDB's protocol. Its resume tokens are the checkpoints."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from bson import Timestamp, json_util
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from pasture.domain.event_source import EventSourceMapping
from pasture.kit.tasks import Tasks
from pasture.sources.brokers import access
from pasture.sources.brokers.message_poller import Connect, Inbox, Lost, Message
from pasture.sources.source import Tools

_log = logging.getLogger(__name__)

PART = "changes"
_AWAIT_MILLIS = 1_000
_CLOSE_SECONDS = 5.0
_OPTIONS = json_util.RELAXED_JSON_OPTIONS
_HISTORY_LOST = frozenset({136, 280, 286, 40585})
"""Codes of a server that knows no more what came after a token."""
_REFUSED = frozenset({13, 18})
"""Unauthorized, AuthenticationFailed."""


def connector(mapping: EventSourceMapping, tools: Tools, endpoint: str) -> Connect:
    place = _Place(tools)

    async def connect(inbox: Inbox) -> "ChangeStreamSession":
        user, password = await access.user_and_password(mapping, tools.secret, "BASIC_AUTH")
        session = ChangeStreamSession(mapping, place, inbox)
        try:
            await session.open(endpoint, user, password)
        except BaseException as error:
            await session.close()
            if isinstance(error, PyMongoError):
                raise Lost(_words(error)) from error
            raise
        return session

    return connect


class _Place:
    """How far the stream has been read: for all sessions of a poller, which takes over once."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._is_known = False
        self._token: Mapping[str, Any] | None = None

    async def find(self) -> Mapping[str, Any] | None:
        """None at the beginning. Raises Fenced."""
        if not self._is_known:
            kept = (await self._tools.checkpoints.load()).get(PART)
            self._token = json_util.loads(kept.decode()) if kept else None
            self._is_known = True
        return self._token

    async def keep(self, token: Mapping[str, Any]) -> None:
        """Raises Fenced."""
        await self._tools.checkpoints.save(PART, json_util.dumps(token).encode())
        self._token = token


class ChangeStreamSession:
    concurrency = 1
    retry_seconds_max = 30.0

    def __init__(self, mapping: EventSourceMapping, place: _Place, inbox: Inbox) -> None:
        self._mapping = mapping
        self._place = place
        self._inbox = inbox
        self._tasks = Tasks(f"change stream of mapping {mapping.uuid}")
        self._client: AsyncMongoClient[dict[str, Any]] | None = None
        self._stream: AsyncChangeStream[dict[str, Any]] | None = None

    async def open(self, endpoint: str, user: str, password: str) -> None:
        """A secret with an empty user name is for a server that asks nobody. Raises PyMongoError and Fenced."""
        who: dict[str, Any] = {"username": user, "password": password} if user else {}
        self._client = AsyncMongoClient(endpoint, appname=f"pasture {self._mapping.uuid}", **who)
        token = await self._place.find()
        if token is None:
            # Whatever comes from here on is read, also when this process dies before it has read anything.
            token = {"operationTime": await self._start()}
            await self._place.keep(token)
        try:
            self._stream = await self._watch(_after(token))
        except OperationFailure as error:
            if error.code not in _HISTORY_LOST:
                raise
            await self._place.keep({"operationTime": await self._oldest()})
            raise Lost(
                "PROBLEM: The changes after the last one read are gone; reading goes on with the oldest"
            ) from error
        self._tasks.start(self._read(self._stream), "reading")

    async def close(self) -> None:
        await self._tasks.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._stream is not None:
                    await self._stream.close()
                if self._client is not None:
                    await self._client.close()

    def event(self, messages: Sequence[Message]) -> bytes:
        return msgspec.json.encode(
            {
                "eventSourceArn": self._mapping.source,
                "events": [message.event for message in messages],
                "eventSource": "aws:docdb",
            }
        )

    async def done(self, messages: Sequence[Message]) -> None:
        await self._place.keep(messages[-1].key)

    async def again(self, messages: Sequence[Message], *, ran: bool) -> bool:  # noqa: ARG002  until it succeeds
        return True

    async def refuse(self, messages: Sequence[Message]) -> None:
        """Nothing before them may have been passed over: the next checkpoint is beyond them."""

    async def _watch(self, start: Mapping[str, Any]) -> AsyncChangeStream[dict[str, Any]]:
        assert self._client is not None
        config = self._mapping.more["DocumentDBEventSourceConfig"]
        database = self._client[config["DatabaseName"]]
        watched = database[config["CollectionName"]] if config.get("CollectionName") else database
        full = "updateLookup" if config.get("FullDocument") == "UpdateLookup" else None
        return await watched.watch(full_document=full, max_await_time_ms=_AWAIT_MILLIS, **start)

    async def _start(self) -> Timestamp:
        assert self._client is not None
        match self._mapping.starting_position:
            case "TRIM_HORIZON":
                return await self._oldest()
            case "AT_TIMESTAMP":
                return Timestamp(int(self._mapping.starting_timestamp or 0), 1)
        now = (await self._client["admin"].command("ping")).get("operationTime")
        if not isinstance(now, Timestamp):
            raise Lost("PROBLEM: The server keeps no history of changes: it must be a member of a replica set")
        return now

    async def _oldest(self) -> Timestamp:
        """Of the changes that the server still knows; where it does not say, the beginning of time."""
        assert self._client is not None
        try:
            first = await self._client["local"]["oplog.rs"].find_one(sort=[("$natural", 1)], projection=["ts"])
        except OperationFailure:
            first = None
        moment = (first or {}).get("ts")
        return moment if isinstance(moment, Timestamp) else Timestamp(1, 1)

    async def _read(self, stream: AsyncChangeStream[dict[str, Any]]) -> None:
        try:
            while stream.alive:
                await self._inbox.room(self._mapping.batch_size)
                change = await stream.try_next()
                if change is not None:
                    self._inbox.put(_message(change))
            self._inbox.lose(Lost("PROBLEM: The change stream has ended: what it watched is no more"))
        except PyMongoError as error:
            self._inbox.lose(Lost(_words(error)))


def _message(change: Mapping[str, Any]) -> Message:
    text = json_util.dumps({"event": change}, json_options=_OPTIONS).encode()
    # A stream that was told that its collection is gone goes on only in another way.
    token = {**change["_id"], "invalidated": True} if change.get("operationType") == "invalidate" else change["_id"]
    return Message(token, msgspec.json.decode(text), b"", len(text) + 1)


def _after(token: Mapping[str, Any]) -> Mapping[str, Any]:
    if "operationTime" in token:
        return {"start_at_operation_time": token["operationTime"]}
    if "invalidated" in token:
        return {"start_after": {name: value for name, value in token.items() if name != "invalidated"}}
    return {"resume_after": token}


def _words(error: PyMongoError) -> str:
    if isinstance(error, OperationFailure) and error.code in _REFUSED:
        return f"PROBLEM: Authentication failed. {error.details or error}"
    if isinstance(error, ConfigurationError):
        return f"PROBLEM: The endpoint cannot be: {error}"
    return f"PROBLEM: Connection error. {str(error).split(', Timeout:', 1)[0] or type(error).__name__}"
