"""The line on which the embedded services tell the server what they would hand to a function: the server's end.

They have no network, and what they would invoke is not theirs. So their process is given one end of a pair of sockets,
and says on it, a line of JSON each, which function is to have which event of whom (`pushing.py` is the other end). Each
is answered when the event is durable, or with why it is not: until then whoever put the object or published the message
waits.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pasture.kit.tasks import Tasks

_log = logging.getLogger(__name__)

# Longer than any message of SNS or notification of S3.
_LONGEST = 4 * 1024 * 1024

Answers = Callable[[Mapping[str, Any]], Awaitable[str]]
"""Takes what is said; answers why it cannot be done, or nothing."""


async def nobody_answers(_said: Mapping[str, Any]) -> str:
    return "The server is not ready."


class Line:
    """To one process, from `open` until `close`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._tasks = Tasks("embedded services' events")
        self._ours, self.theirs = socket.socketpair()
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Once their process has its end."""
        self.theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=self._ours, limit=_LONGEST)
        self._tasks.start(self._read(reader, self._writer), "reading")

    async def close(self) -> None:
        await self._tasks.close()
        self.theirs.close()
        if self._writer is not None:
            self._writer.close()
        else:
            self._ours.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while text := await reader.readline():
                self._tasks.start(self._answer(json.loads(text), writer), "one")
        except (OSError, ValueError) as error:
            _log.error("the embedded services cannot be understood, and their events are lost: %s", error)

    async def _answer(self, said: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            why = await self._answers(said)
        except Exception:  # noqa: BLE001 - whoever waits for it is told
            _log.exception("an event of the embedded services has failed")
            why = "An internal error occurred."
        writer.write(json.dumps({"id": said["id"], "error": why}).encode() + b"\n")
