"""A response on its way to a client, of InvokeWithResponseStream or a function URL: its pieces, then how it ended."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any

from pasture.domain.invocation import Outcome

# So many pieces may wait for a slow client; then the function's writes wait for it.
_PIECES = 16


class StreamedAnswer:
    """The `ResponseSink` of one invocation, and the event stream that its client reads."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_PIECES)
        self._begun = asyncio.Event()
        self._running: asyncio.Future[Outcome] | None = None
        self._abandoned = False
        self.content_type = ""
        """Of the pieces; known with the first."""

    @property
    def has_begun(self) -> bool:
        """Whether there is a piece."""
        return self._begun.is_set()

    async def write(self, content_type: str, piece: bytes) -> None:
        if self._abandoned:
            return
        self.content_type = content_type
        await self._pieces.put(piece)
        self._begun.set()

    async def begin(self, invocation: Awaitable[Outcome]) -> None:
        """Run it, until there is a first piece or an end. Raises what kept it from running."""
        self._running = asyncio.ensure_future(invocation)
        begun = asyncio.ensure_future(self._begun.wait())
        await _either(self._running, begun)
        begun.cancel()
        if self._running.done() and (error := self._running.exception()) is not None:
            raise error

    async def outcome(self) -> Outcome:
        """How it ended, once there are no more pieces."""
        assert self._running is not None
        return await self._running

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Who stops reading ends this, not the invocation."""
        try:
            while (piece := await self._next()) is not None:
                yield piece
        finally:
            self._abandon()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """As InvokeWithResponseStream tells it. A client that goes away ends this, not the invocation."""
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                yield {"PayloadChunk": {"Payload": piece}}
        outcome = await self.outcome()
        if outcome.payload and not self.has_begun:
            yield {"PayloadChunk": {"Payload": outcome.payload}}
        yield {"InvokeComplete": _complete(outcome)}

    async def _next(self) -> bytes | None:
        """The next piece, or None when the invocation is over and there is none left."""
        assert self._running is not None
        while self._pieces.empty():
            if self._running.done():
                return None
            getting = asyncio.ensure_future(self._pieces.get())
            await _either(self._running, getting)
            if getting.done():
                return getting.result()
            getting.cancel()
        return self._pieces.get_nowait()

    def _abandon(self) -> None:
        """Let whoever waits to write go on: what it writes is dropped."""
        self._abandoned = True
        while not self._pieces.empty():
            self._pieces.get_nowait()
        if self._running is not None:
            # Its end is nobody's concern any more; that it failed has been logged where it did.
            self._running.add_done_callback(lambda task: task.cancelled() or task.exception())


async def _either(one: asyncio.Future[Any], other: asyncio.Future[Any]) -> None:
    await asyncio.wait({one, other}, return_when=asyncio.FIRST_COMPLETED)


def _complete(outcome: Outcome) -> dict[str, Any]:
    complete: dict[str, Any] = {}
    if outcome.failed:
        complete["ErrorCode"] = "Unhandled"
        complete["ErrorDetails"] = outcome.payload.decode("utf-8", "replace")
    if outcome.log_tail:
        complete["LogResult"] = base64.b64encode(outcome.log_tail).decode()
    return complete
