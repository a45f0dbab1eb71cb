"""Bodies on their way through, checked meanwhile."""

import hashlib
import re
from collections.abc import AsyncIterator

from pasture.domain.errors import ApiError
from pasture.http.message import BodyStream, CutOff

_DIGEST = re.compile(r"[0-9a-f]{64}")
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_LONGEST_LINE = 16 * 1024
_DRAINED = 64 * 1024 * 1024


class DigestMismatch(ApiError):
    """In S3's words."""

    code = "XAmzContentSHA256Mismatch"
    status = 400


class MalformedChunks(ApiError):
    """In S3's words: the body is not in the chunks that it announces."""

    code = "InvalidChunkSizeError"
    status = 400


async def drained(stream: BodyStream, most: int = _DRAINED) -> None:
    """Read what is left of a refused body, so that its sender gets to see why; no more than `most`."""
    size = 0
    try:
        async for piece in stream:
            size += len(piece)
            if size > most:
                return
    except ConnectionResetError:
        return


def is_digest(payload: str | None) -> bool:
    return payload is not None and _DIGEST.fullmatch(payload) is not None


async def checked(body: AsyncIterator[bytes], digest: str) -> AsyncIterator[bytes]:
    """The same, if that is its SHA-256: the last piece is held back until it is known, so that what is not the body
    that was signed never becomes whole. Raises DigestMismatch.
    """
    sha256 = hashlib.sha256()
    last = b""
    async for piece in body:
        sha256.update(piece)
        if last:
            yield last
        last = piece
    if sha256.hexdigest() != digest:
        raise DigestMismatch("The provided 'x-amz-content-sha256' header does not match what was computed.")
    if last:
        yield last


async def without_signatures(body: AsyncIterator[bytes], *, framed: bool) -> AsyncIterator[bytes]:
    """aws-chunked content whose chunks are signed with the caller's key, which a neighbour does not know: without those
    signatures and still in chunks (`framed`), or just what is in them. Raises MalformedChunks.
    """
    reader = _Lines(body)
    while True:
        size = _size(await reader.line())
        if framed:
            yield b"%x\r\n" % size
        if size == 0:
            break
        async for piece in reader.exactly(size):
            yield piece
        if await reader.line():
            raise MalformedChunks("A chunk is longer than it says.")
        if framed:
            yield b"\r\n"
    while trailer := await reader.line():
        if framed and not trailer.lower().startswith(b"x-amz-trailer-signature:"):
            yield trailer + b"\r\n"
    if framed:
        yield b"\r\n"


def _size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise MalformedChunks("The body is not in chunks.") from None


class _Lines:
    """Lines and counted bytes from pieces that are cut anywhere."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._rest = b""

    async def line(self) -> bytes:
        """Without its end; empty at the end of everything."""
        while b"\r\n" not in self._rest:
            if len(self._rest) > _LONGEST_LINE:
                raise MalformedChunks("The body is not in chunks.")
            piece = await anext(self._body, b"")
            if not piece:
                line, self._rest = self._rest, b""
                return line
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line

    async def exactly(self, size: int) -> AsyncIterator[bytes]:
        while size > 0:
            if not self._rest:
                self._rest = await anext(self._body, b"")
            if not self._rest:
                raise CutOff("the body ends in the midst of a chunk")
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece
