"""A streamed response on its way through a function URL: status and headers first, then the body as it is written."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from pasture.api.function_urls.answer import PRELUDE, PRELUDE_BYTES, SEPARATOR, Answer, Malformed, answer_of, head_of
from pasture.api.streamed_answer import StreamedAnswer
from pasture.domain.invocation import Outcome
from pasture.http.message import CutOff


async def streamed(coming: StreamedAnswer) -> tuple[Answer, AsyncGenerator[bytes]] | Outcome:
    """Of an invocation that has begun: the head and the body; the outcome when there was no piece of a response.

    Raises Malformed.
    """
    if not coming.has_begun:
        return await coming.outcome()
    pieces = coming.pieces()
    if coming.content_type != PRELUDE:
        kind = coming.content_type or "application/octet-stream"
        return Answer(headers={"content-type": kind}), _body(b"", pieces, coming)
    begun = b""
    async for piece in pieces:
        begun += piece
        before, separator, after = begun.partition(SEPARATOR)
        if separator:
            try:
                return head_of(before), _body(after, pieces, coming)
            except Malformed:
                await pieces.aclose()
                raise
        if len(begun) > PRELUDE_BYTES:
            break
    outcome = await _ended(pieces, coming)
    if outcome is not None and outcome.failed:
        return outcome
    raise Malformed("its status and headers do not end")


def buffered(outcome: Outcome) -> Answer:
    """Of a response that is whole. Raises Malformed."""
    if outcome.content_type != PRELUDE:
        return answer_of(outcome.payload)
    before, separator, after = outcome.payload.partition(SEPARATOR)
    if not separator:
        raise Malformed("its status and headers do not end")
    head = head_of(before)
    return Answer(head.status, head.headers, head.cookies, after)


async def _ended(pieces: AsyncGenerator[bytes], coming: StreamedAnswer) -> Outcome | None:
    """How it ended; None when it goes on and nobody listens any more."""
    try:
        await anext(pieces)
    except StopAsyncIteration:
        return await coming.outcome()
    await pieces.aclose()
    return None


async def _body(first: bytes, pieces: AsyncGenerator[bytes], coming: StreamedAnswer) -> AsyncGenerator[bytes]:
    """Raises CutOff when the function failed in the midst of it."""
    async with aclosing(pieces):
        if first:
            yield first
        async for piece in pieces:
            yield piece
    outcome = await coming.outcome()
    if outcome.failed:
        raise CutOff(f"the function ended with {outcome.error_type or outcome.status}")
