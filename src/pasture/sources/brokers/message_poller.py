"""Reads a queue of a message broker for one mapping: batches, concurrency, back-off. What speaks to it is passed in.

Messages stay the broker's until they are done with: whatever happens to a batch, a connection or this process, what
was not acknowledged is delivered again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pasture.domain.event_source import EventSourceMapping
from pasture.kit.tasks import Tasks
from pasture.sources.checkpoints import Fenced
from pasture.sources.filtering import Filter
from pasture.sources.source import Ran, Tools

_log = logging.getLogger(__name__)

PAYLOAD_MAX = 6 * 1024 * 1024
_WINDOW_SECONDS = 0.5
"""AWS's, where a mapping has none of its own."""
_AROUND = 512
"""Bytes of an event around its messages, at most."""
_FIRST_DELAY, _CONNECT_DELAY_MAX = 0.5, 30.0


class Lost(Exception):
    """The broker is not to be had, or no more; the message is for LastProcessingResult."""


@dataclass(slots=True, eq=False)
class Message:
    key: Any
    """What the broker's session knows it by."""
    event: Mapping[str, Any]
    """As in the event of a batch."""
    body: bytes
    size: int
    """In bytes of the event, at most."""


class Inbox:
    """What a session has received and nobody has taken; ends with the session."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._lost: Lost | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> None:
        self._messages.append(message)
        self._changed.set()

    def lose(self, why: Lost) -> None:
        self._lost = self._lost or why
        self._changed.set()

    def clear(self) -> None:
        self._messages.clear()
        self._taken.set()

    async def room(self, most: int) -> None:
        """Until there are fewer than that: for sessions that the broker does not hold back itself."""
        while len(self._messages) >= most:
            self._taken.clear()
            await self._taken.wait()

    async def first(self) -> Message:
        """The next, which stays. Raises Lost."""
        while not self._messages:
            if self._lost is not None:
                raise self._lost
            self._changed.clear()
            await self._changed.wait()
        return self._messages[0]

    def take(self) -> Message:
        self._taken.set()
        return self._messages.popleft()


class Session(Protocol):
    """One connection, which delivers into its inbox. Every method raises Lost and may raise Fenced."""

    concurrency: int
    retry_seconds_max: float

    def event(self, messages: Sequence[Message]) -> bytes: ...

    async def done(self, messages: Sequence[Message]) -> None:
        """They need not be delivered again."""
        ...

    async def again(self, messages: Sequence[Message], *, ran: bool) -> bool:
        """They failed, or did not run. True: they are to be tried again; False: they are the broker's to deliver."""
        ...

    async def refuse(self, messages: Sequence[Message]) -> None:
        """They are never to be delivered again; the broker may keep them elsewhere."""
        ...

    async def close(self) -> None:
        """Raises nothing."""
        ...


Connect = Callable[[Inbox], Awaitable[Session]]
"""Raises Lost, and what a `Secret` raises."""


def nowhere(mapping: EventSourceMapping, endpoint: str) -> Connect:
    """For a source that no server is named for, or none of its kind."""
    said = f"the endpoint {endpoint} is not of its kind" if endpoint else "its endpoint is not set"

    async def connect(_inbox: Inbox) -> Session:
        raise Lost(
            f"PROBLEM: {mapping.source} cannot be read: {said}. Name it in [event_sources] of the configuration."
        )

    return connect


class MessagePoller:
    def __init__(self, mapping: EventSourceMapping, tools: Tools, connect: Connect) -> None:
        self._mapping = mapping
        self._tools = tools
        self._connect = connect
        self._filter = Filter(mapping.filters, "data")
        self._tasks = Tasks(f"mapping {mapping.uuid}")
        self._batches = Tasks(f"batches of mapping {mapping.uuid}")
        self._closing = asyncio.Event()
        self._running = 0
        self._freed = asyncio.Event()
        self._session: Session | None = None
        self._reading: asyncio.Task[None]

    def __repr__(self) -> str:
        state = "connected" if self._session is not None else "not connected"
        return f"<MessagePoller {self._mapping.uuid} {state}, {self._running} running>"

    async def open(self) -> None:
        self._reading = self._tasks.start(self._read(), "reading")

    async def close(self, seconds: float) -> None:
        self._closing.set()
        await self._tasks.close()
        await self._batches.settle(seconds)
        await self._batches.close()
        await self._disconnect()

    # Reading...

    async def _read(self) -> None:
        setbacks = 0
        while True:
            inbox = Inbox()
            try:
                self._session = await self._connect(inbox)
                setbacks = 0
                await self._serve(self._session, inbox)
            except Exception as error:  # noqa: BLE001  whatever it is, a poller goes on
                setbacks += 1
                self._say_problem(error)
            await self._disconnect()
            await asyncio.sleep(min(_CONNECT_DELAY_MAX, _FIRST_DELAY * 2 ** min(setbacks, 10)))

    async def _serve(self, session: Session, inbox: Inbox) -> None:
        while True:
            # Batches of a connection that was lost may be running still.
            while self._running >= session.concurrency:
                self._freed.clear()
                await self._freed.wait()
            batch = await self._collect(inbox)
            self._running += 1
            self._batches.start(self._handle(session, batch), "batch")

    async def _collect(self, inbox: Inbox) -> list[Message]:
        """What fits in a batch: full by number, by size, or by time. Raises Lost."""
        batch = [await inbox.first()]
        inbox.take()
        size = _AROUND + batch[0].size
        window = self._mapping.window_seconds
        try:
            async with asyncio.timeout(_WINDOW_SECONDS if window is None else window):
                while len(batch) < self._mapping.batch_size:
                    size += (await inbox.first()).size
                    if size > PAYLOAD_MAX:
                        break
                    batch.append(inbox.take())
        except TimeoutError:
            pass
        return batch

    async def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _say_problem(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        self._tools.told(text if text.startswith("PROBLEM: ") else f"PROBLEM: {text}")
        if not isinstance(error, Lost):
            _log.warning("the source of mapping %s cannot be read: %s", self._mapping.uuid, text)

    # A batch...

    async def _handle(self, session: Session, batch: list[Message]) -> None:
        try:
            self._count("PolledEventCount", len(batch))
            if wanted := await self._sift(session, batch):
                await self._bring_through(session, wanted)
        except Fenced:
            # Somebody else reads for this mapping now.
            self._closing.set()
            self._reading.cancel()
        except Lost as lost:
            # What it is about is delivered again.
            _log.info("a batch of mapping %s lost its connection: %s", self._mapping.uuid, lost)
        finally:
            self._running -= 1
            self._freed.set()

    async def _sift(self, session: Session, batch: list[Message]) -> list[Message]:
        """Without what the filters leave out, which is done with, and what no event can hold."""
        wanted: list[Message] = []
        unwanted: list[Message] = []
        large: list[Message] = []
        for message in batch:
            if not self._filter.matches(message.event, message.body):
                unwanted.append(message)
            else:
                (large if _AROUND + message.size > PAYLOAD_MAX else wanted).append(message)
        if unwanted:
            self._count("FilteredOutEventCount", len(unwanted))
            await session.done(unwanted)
        if large:
            self._count("DroppedEventCount", len(large))
            self._tools.told("PROBLEM: A message is larger than 6 MB and was dropped")
            await session.refuse(large)
        return wanted

    async def _bring_through(self, session: Session, batch: list[Message]) -> None:
        setbacks = 0
        while not self._closing.is_set():
            ran = await self._tools.functions.invoke(self._mapping, session.event(batch))
            self._say(ran, len(batch))
            if ran.outcome is not None and not ran.outcome.failed:
                await session.done(batch)
                return
            await self._pause(min(session.retry_seconds_max, _FIRST_DELAY * 2 ** min(setbacks, 10)))
            setbacks += 1
            if not await session.again(batch, ran=ran.outcome is not None):
                return

    def _say(self, ran: Ran, count: int) -> None:
        if ran.outcome is None:
            self._tools.told(ran.why if ran.why.startswith("PROBLEM: ") else f"PROBLEM: {ran.why}")
            return
        self._count("InvokedEventCount", count)
        if ran.outcome.failed:
            self._count("FailedInvokeEventCount", count)
        self._tools.told("PROBLEM: Function call failed" if ran.outcome.failed else "OK")

    async def _pause(self, seconds: float) -> None:
        """Shorter when the poller is closed."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _count(self, metric: str, count: int) -> None:
        self._tools.observe(self._mapping, metric, count)
