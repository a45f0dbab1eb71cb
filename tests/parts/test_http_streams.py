"""Bodies that are handed over as they come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pasture.http.message import Request, Response
from pasture.http.server import HttpLimits, HttpServer

Handler = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = HttpServer(handler, HttpLimits(streams=lambda target, _fields: target == "/stream", body_seconds=5))
    host, port = await server.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await server.close()


HEAD = b"POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"


async def test_the_handler_gets_each_piece_as_it_comes_and_the_trailers_at_the_end() -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(request: Request) -> Response:
        assert request.stream is not None
        async for piece in request.stream:
            seen.put_nowait(piece)
        return Response(200, {}, request.stream.trailers["x-end"].encode())

    async with serving(handler) as (reader, writer):
        writer.write(HEAD + b"3\r\none\r\n")
        assert await seen.get() == b"one"
        writer.write(b"3\r\ntwo\r\n")
        assert await seen.get() == b"two"
        writer.write(b"0\r\nX-End: the end\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.readuntil(b"the end")
        assert answer.startswith(b"HTTP/1.1 200")


async def test_a_connection_goes_on_after_a_streamed_body() -> None:
    async def handler(request: Request) -> Response:
        pieces = [piece async for piece in request.stream] if request.stream else [request.body]
        return Response(200, {}, b"<" + b"".join(pieces) + b">")

    async with serving(handler) as (reader, writer):
        for path, body in ((b"/stream", b"a"), (b"/plain", b"b"), (b"/stream", b"c")):
            writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%b" % (path, body))
            assert (await reader.readuntil(b">")).endswith(b"<" + body + b">")


async def test_a_sender_that_goes_away_ends_the_stream_with_an_error() -> None:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handler(request: Request) -> Response:
        assert request.stream is not None
        try:
            async for _ in request.stream:
                pass
        except ConnectionResetError as error:
            ended.set_result(str(error))
        return Response(200)

    async with serving(handler) as (_, writer):
        writer.write(HEAD + b"3\r\none\r\n")
        writer.transport.abort()
        assert await ended == "the client went before the end of its body"


async def test_a_slow_reader_makes_the_sender_wait() -> None:
    goes_on = asyncio.Event()
    total = 0

    async def handler(request: Request) -> Response:
        nonlocal total
        assert request.stream is not None
        await goes_on.wait()
        async for piece in request.stream:
            total += len(piece)
        return Response(200, {}, b"done")

    megabyte = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    async with serving(handler) as (reader, writer):
        writer.write(HEAD)
        sending = asyncio.create_task(_send(writer, megabyte, 64))
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        goes_on.set()
        await sending
        writer.write(b"0\r\n\r\n")
        await reader.readuntil(b"done")
        assert total == 64 * 0x100000


async def _send(writer: asyncio.StreamWriter, piece: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(piece)
        await writer.drain()


async def test_an_answer_before_the_end_of_the_body_ends_the_connection() -> None:
    async def handler(request: Request) -> Response:
        return Response(413, {}, b"enough")

    async with serving(handler) as (reader, writer):
        writer.write(HEAD + b"3\r\none\r\n")
        assert (await reader.read()).endswith(b"enough")
