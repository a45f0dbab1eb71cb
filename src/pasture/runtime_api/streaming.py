"""A response in streaming mode: from the runtime's request to a sink, at the pace that AWS allows (reference 3.2)."""

import asyncio
import base64
import binascii

import msgspec

from pasture.domain.invocation import Outcome, ResponseSink, Status
from pasture.http.message import BodyStream, Headers
from pasture.runtime_api.bandwidth import Bandwidth

TOO_LARGE = "Function.ResponseSizeTooLarge"
# "Response streaming for Lambda functions": 200 MB is the most that a response may have.
STREAM_BYTES = 200 * 1024 * 1024


class ResponseTooLarge(Exception):
    def __init__(self, limit: int) -> None:
        super().__init__(f"Response payload size exceeded maximum allowed payload size ({limit} bytes).")


class Collected:
    """The sink of a buffered Invoke: everything in one payload, within the limit of payloads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    async def write(self, content_type: str, piece: bytes) -> None:  # noqa: ARG002 (a sink's signature)
        self._size += len(piece)
        if self._size > self._limit:
            raise ResponseTooLarge(self._limit)
        self._pieces.append(piece)

    @property
    def payload(self) -> bytes:
        return b"".join(self._pieces)


async def pump(stream: BodyStream, sink: ResponseSink, content_type: str) -> Outcome:
    """Everything that comes goes to the sink; the outcome is told by the end, the trailers, or the lack of an end."""
    loop = asyncio.get_running_loop()
    bandwidth = Bandwidth(loop.time())
    sent = 0
    try:
        async for piece in stream:
            sent = _within(sent + len(piece))
            if (delay := bandwidth.take(len(piece), loop.time())) > 0:
                await asyncio.sleep(delay)
            await sink.write(content_type, piece)
    except ResponseTooLarge as error:
        return Outcome(Status.ERROR, error_payload(TOO_LARGE, str(error)), TOO_LARGE)
    except ConnectionResetError:
        error_type = "Runtime.TruncatedResponse"
        return Outcome(Status.ERROR, error_payload(error_type, "Response stream was cut off"), error_type)
    payload = sink.payload if isinstance(sink, Collected) else b""
    return _told_by(stream.trailers) or Outcome(Status.SUCCESS, payload, content_type=content_type)


def _within(sent: int) -> int:
    if sent > STREAM_BYTES:
        raise ResponseTooLarge(STREAM_BYTES)
    return sent


def _told_by(trailers: Headers) -> Outcome | None:
    """An error after the first byte is reported by trailers only."""
    error_type = trailers.get("lambda-runtime-function-error-type", "")
    if not error_type:
        return None
    try:
        body = base64.b64decode(trailers.get("lambda-runtime-function-error-body", ""), validate=True)
    except binascii.Error:
        body = b""
    return Outcome(Status.ERROR, body or error_payload(error_type, ""), error_type)


def error_payload(error_type: str, message: str) -> bytes:
    return msgspec.json.encode({"errorType": error_type, "errorMessage": message})
