"""The HTTP server over real sockets, spoken to by a client that says exactly what it is told to."""

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakes.client import Client, Reply
from pasture.http.message import Request, Response
from pasture.http.server import Handler, HttpLimits, HttpServer

SOON = 5.0


@asynccontextmanager
async def serving(handler: Handler, limits: HttpLimits | None = None) -> AsyncIterator[tuple[HttpServer, str, int]]:
    server = HttpServer(handler, limits)
    host, port = await server.listen("127.0.0.1", 0)
    try:
        yield server, host, port
    finally:
        await server.close()
        assert server.connections == 0


@asynccontextmanager
async def connected(handler: Handler, limits: HttpLimits | None = None) -> AsyncIterator[Client]:
    async with serving(handler, limits) as (_, host, port):
        client = await Client.open(host, port)
        try:
            async with asyncio.timeout(SOON):
                yield client
        finally:
            await client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 (the server has no event for each)
            await asyncio.sleep(0.001)


def echo(request: Request) -> Response:
    return Response(200, {"X-Request": f"{request.method} {request.target}"}, request.body)


def stripped(reply: Reply) -> Reply:
    """Without the date, which no test knows."""
    return Reply(reply.status, {name: value for name, value in reply.headers.items() if name != "date"}, reply.body)


@pytest.fixture(autouse=True)
def nothing_reaches_the_loops_exception_handler(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does is the server's to deal with. Asyncio says on its log what nobody dealt with."""
    yield
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


# Good requests...


async def test_a_request_is_answered_with_its_length() -> None:
    async with connected(echo) as client:
        reply = await client.call("POST", "/a%20b?c=d", b"hello")
    assert stripped(reply) == Reply(200, {"x-request": "POST /a%20b?c=d", "content-length": "5"}, b"hello")


async def test_every_answer_has_a_date() -> None:
    async with connected(echo) as client:
        reply = await client.call("GET", "/")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", reply.headers["date"])


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with connected(echo) as client:
        assert [(await client.call("POST", "/", b"%d" % n)).body for n in range(3)] == [b"0", b"1", b"2"]


async def test_pipelined_requests_are_answered_in_order_however_long_each_takes() -> None:
    async def slow_first(request: Request) -> Response:
        await asyncio.sleep(0.02 if request.target == "/0" else 0)
        return Response(200, {}, request.target.encode())

    async with connected(slow_first) as client:
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % n for n in range(20)))
        assert [(await client.reply()).body for _ in range(20)] == [b"/%d" % n for n in range(20)]


async def test_requests_pipelined_before_the_client_stopped_sending_are_all_answered() -> None:
    async def slowly(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, {}, request.target.encode())

    async with connected(slowly) as client:
        await client.send(b"GET /0 HTTP/1.1\r\n\r\nGET /1 HTTP/1.1\r\n\r\n")
        client.end_sending()
        replies = [await client.reply(), await client.reply()]
        assert [(r.body, r.headers.get("connection")) for r in replies] == [(b"/0", None), (b"/1", "close")]
        assert await client.rest() == b""


async def test_a_request_may_come_byte_by_byte() -> None:
    async with connected(echo) as client:
        for byte in b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nab":
            await client.send(bytes([byte]))
        assert (await client.reply()).body == b"ab"


async def test_a_chunked_body_is_put_together_and_its_trailers_are_no_headers() -> None:
    async def names(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, {}, request.body + b"|" + ",".join(request.headers).encode())

    async with connected(names) as client:
        await client.send(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;extension=x\r\nabc\r\n2\r\nde\r\n0\r\nAuthorization: no\r\n\r\n"
        )
        assert (await client.reply()).body == b"abcde|transfer-encoding"


async def test_repeated_headers_are_all_there() -> None:
    def repeats(request: Request) -> Response:
        return Response(200, {}, repr(request.headers.all("x-a")).encode())

    async with connected(repeats) as client:
        await client.send(b"GET / HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
        assert (await client.reply()).body == b"['1', '2']"


async def test_a_client_that_expects_continue_is_told_to() -> None:
    async with connected(echo) as client:
        await client.send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.reply()).status == 100
        await client.send(b"ab")
        assert (await client.reply()).body == b"ab"


async def test_a_continue_does_not_get_into_the_answer_before_it() -> None:
    first_may_end = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await first_may_end.wait()

    def handler(request: Request) -> Response:
        return Response(200, {}, body()) if request.method == "GET" else echo(request)

    async with connected(handler) as client:
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.read(len(b"HTTP/1.1 200 OK\r\n"))
        await client.send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        await asyncio.sleep(0.02)
        first_may_end.set()
        rest = b""
        while not rest.endswith(b"Continue\r\n\r\n"):
            rest += await client.read(1)
        await client.send(b"ab")
        client.end_sending()
        rest += await client.rest()
    assert re.findall(
        rb"5\r\nfirst\r\n0\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK.*\r\n\r\nab$", rest, re.DOTALL
    )


async def test_head_gets_the_head_of_the_answer_alone() -> None:
    def handler(_request: Request) -> Response:
        return Response(200, {}, b"12345")

    async with connected(handler) as client:
        reply = await client.call("HEAD", "/")
        assert (reply.headers["content-length"], (await client.call("GET", "/")).body) == ("5", b"12345")


async def test_no_content_has_no_body_and_no_length() -> None:
    async with connected(lambda _: Response(204, {}, b"ignored")) as client:
        assert stripped(await client.call("GET", "/")) == Reply(204, {}, b"")
        assert (await client.call("GET", "/")).status == 204


async def test_a_request_to_close_is_granted() -> None:
    async with connected(echo) as client:
        reply = await client.call("GET", "/", headers={"Connection": "close"})
        assert (reply.headers["connection"], await client.rest()) == ("close", b"")


async def test_a_client_of_http_1_0_gets_its_answer_and_the_end() -> None:
    async with connected(echo) as client:
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await client.reply()
        assert (reply.headers["connection"], await client.rest()) == ("close", b"")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n",
        b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /lost HTTP/1.1\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\n\r\n\x16\x03\x01",
    ],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_a_wish_to_upgrade_is_answered_as_any_request_and_the_connection_ends(
    request_: bytes, waits: bool
) -> None:
    async def later(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return echo(request)

    async with connected(later if waits else echo) as client:
        await client.send(request_)
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"], await client.rest()) == (200, "close", b"")


# Streamed answers...


async def pieces(*of: bytes) -> AsyncIterator[bytes]:
    for piece in of:
        yield piece


async def test_a_streamed_answer_comes_in_chunks_and_the_connection_lives_on() -> None:
    async with connected(lambda _: Response(200, {}, pieces(b"ab", b"", b"c"))) as client:
        assert stripped(await client.call("GET", "/")) == Reply(200, {"transfer-encoding": "chunked"}, b"abc")
        assert (await client.call("GET", "/")).body == b"abc"


async def test_a_client_of_http_1_0_gets_a_streamed_answer_without_chunks() -> None:
    async with connected(lambda _: Response(200, {}, pieces(b"ab", b"c"))) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert (b"chunked" in head, body) == (False, b"abc")


async def test_a_stream_waits_for_a_client_that_does_not_read() -> None:
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        while made < 400:
            made += 1
            yield bytes(64 * 1024)

    async with connected(lambda _: Response(200, {}, endless())) as client:
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        before = -1
        while made != before:
            before = made
            await asyncio.sleep(0.05)
        assert made < 300
        assert len((await client.reply()).body) == 400 * 64 * 1024


async def test_answers_that_the_client_does_not_read_hold_back_the_requests_behind_them() -> None:
    answered = 0

    def large(_request: Request) -> Response:
        nonlocal answered
        answered += 1
        return Response(200, {}, bytes(1024 * 1024))

    async with connected(large) as client:
        await client.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
        await asyncio.sleep(0.05)
        assert answered < 20
        for _ in range(100):
            assert len((await client.reply()).body) == 1024 * 1024


async def test_a_stream_is_closed_when_its_client_goes() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1024)
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with connected(lambda _: Response(200, {}, endless())) as client:
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.read(100)
        client.reset()
        await closed.wait()


async def test_a_stream_that_fails_is_cut_so_that_nobody_takes_it_for_whole(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("half way")

    async with connected(lambda _: Response(200, {}, fails())) as client:
        await client.send(b"GET /x HTTP/1.1\r\n\r\n")
        answer = await client.rest()
    assert (b"0\r\n\r\n" in answer, answer.count(b"HTTP/1.1")) in {(False, 1), (False, 0)}
    assert [r.getMessage() for r in caplog.records] == ["GET /x failed in its answer"]


# Clients that go...


@pytest.mark.parametrize("way", ["reset", "drop"])
async def test_when_the_client_goes_the_handler_is_told_and_runs_on(way: str) -> None:
    told, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        request.on_disconnect.append(told.set)
        await may_end.wait()
        ended.set()
        return Response()

    async with connected(handler) as client:
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.01)
        getattr(client, way)()
        await told.wait()
        may_end.set()
        await ended.wait()


async def test_a_client_that_was_answered_is_not_told_of() -> None:
    told = []

    def handler(request: Request) -> Response:
        request.on_disconnect.append(lambda: told.append(1))
        return Response()

    async with serving(handler) as (server, host, port):
        client = await Client.open(host, port)
        await client.call("GET", "/")
        client.reset()
        await until(lambda: server.connections == 0)
    assert told == []


async def test_a_body_that_ends_before_its_length_is_no_request() -> None:
    called = []
    async with serving(lambda r: called.append(r) or Response()) as (server, host, port):  # type: ignore[func-returns-value]
        client = await Client.open(host, port)
        await client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        client.end_sending()
        assert await client.rest() == b""
        await until(lambda: server.connections == 0)
        await client.close()
    assert called == []


async def test_a_body_longer_than_its_length_is_the_next_request_and_a_bad_one() -> None:
    async with connected(echo) as client:
        await client.send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab\x00\x01")
        replies = [await client.reply(), await client.reply()]
        assert [(r.status, await_close) for r in replies for await_close in [r.headers.get("connection")]] == [
            (200, None),
            (400, "close"),
        ]
        client.end_sending()
        assert await client.rest() == b""


# Limits...


@pytest.mark.parametrize("data", [b"", b"G", b"GET / HTTP/1.1\r\nX-A: ", b"\r\n"])
async def test_a_client_that_does_not_come_to_the_end_of_its_head_is_cut(data: bytes) -> None:
    limits = HttpLimits(head_seconds=0.05, idle_seconds=0.05)
    async with connected(echo, limits) as client:
        await client.send(data)
        assert await client.rest() == b""


async def test_a_trickle_of_bytes_does_not_put_the_end_off() -> None:
    async with connected(echo, HttpLimits(head_seconds=0.1, idle_seconds=60)) as client:

        async def trickle() -> None:
            for byte in itertools.cycle(b"x"):
                await client.send(bytes([byte]))
                await asyncio.sleep(0.01)

        await client.send(b"GET / HTTP/1.1\r\nX-A: ")
        slow = asyncio.create_task(trickle())
        assert await client.rest() == b""
        slow.cancel()
        await asyncio.wait({slow})


async def test_a_body_that_stops_coming_is_cut() -> None:
    async with connected(echo, HttpLimits(body_seconds=0.05)) as client:
        await client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        assert await client.rest() == b""


async def test_a_long_answer_outlives_every_limit_of_the_client() -> None:
    async def slowly(_request: Request) -> Response:
        await asyncio.sleep(0.1)
        return Response()

    async with connected(slowly, HttpLimits(head_seconds=0.02, body_seconds=0.02, idle_seconds=0.02)) as client:
        assert (await client.call("POST", "/", b"x")).status == 200


BODY_LIMIT = HttpLimits(body_bytes=lambda _method, target: 10 if target == "/small" else 1_000_000)


async def test_a_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    async with connected(echo, BODY_LIMIT) as client:
        await client.send(b"POST /small HTTP/1.1\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert stripped(await client.reply()) == Reply(
            413,
            {"content-type": "text/plain", "connection": "close", "content-length": "26"},
            b"The request is too large.\n",
        )


async def test_a_client_that_is_still_sending_a_body_over_the_limit_sees_the_refusal() -> None:
    async with connected(echo, BODY_LIMIT) as client:
        await client.send(b"POST /small HTTP/1.1\r\nContent-Length: 20000000\r\n\r\n")
        await client.send(bytes(20_000_000))
        assert (await client.reply()).status == 413
        assert await client.rest() == b""


async def test_a_chunked_body_over_the_limit_is_refused_when_it_gets_there() -> None:
    async with connected(echo, BODY_LIMIT) as client:
        await client.send(b"POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(b"5\r\nabcde\r\n" * 3)
        assert (await client.reply()).status == 413


async def test_a_body_at_the_limit_is_taken() -> None:
    async with connected(echo, BODY_LIMIT) as client:
        assert (await client.call("POST", "/small", b"0123456789")).body == b"0123456789"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 3_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: " + b"x" * 3_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: 1\r\n" * 400 + b"\r\n",
    ],
    ids=["url", "one header", "many headers"],
)
async def test_a_head_over_the_limit_is_refused(head: bytes) -> None:
    async with connected(echo, HttpLimits(header_bytes=2_000)) as client:
        await client.send(head)
        assert ((await client.reply()).status, await client.rest()) == (431, b"")


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\nX-A: ",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
    ],
    ids=["value", "name", "chunk extension", "trailer"],
)
async def test_a_header_that_never_ends_is_refused_before_it_fills_the_memory(beginning: bytes) -> None:
    async with connected(echo, HttpLimits(header_bytes=100_000)) as client:
        await client.send(beginning)
        for _ in range(100):
            await client.send(b"x" * 10_000)
        assert (await client.reply()).status == 431


async def test_many_small_chunks_are_no_large_head() -> None:
    async with connected(echo, HttpLimits(header_bytes=1_000)) as client:
        await client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1_000):
            await client.send(b"1\r\nx\r\n")
        await client.send(b"0\r\n\r\n")
        assert (await client.reply()).body == b"x" * 1_000


async def test_connections_over_the_limit_are_cut_and_the_others_served() -> None:
    async with serving(echo, HttpLimits(connections=2)) as (_, host, port):
        clients = [await Client.open(host, port) for _ in range(2)]
        assert [(await client.call("GET", "/")).status for client in clients] == [200, 200]
        third = await Client.open(host, port)
        assert await third.rest() == b""
        assert (await clients[0].call("GET", "/")).status == 200
        for client in (*clients, third):
            await client.close()


# Bad requests...


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nX: a\n\n",
        b"GET / HTTP/1.1\r\nX : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        # What a proxy and a server may read differently, and so smuggle a request past each other.
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    ],
)
async def test_a_request_that_is_not_clear_is_refused_and_the_connection_ends(data: bytes) -> None:
    called = []
    async with connected(lambda r: called.append(r) or Response()) as client:  # type: ignore[func-returns-value]
        await client.send(data)
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"], await client.rest()) == (400, "close", b"")
    assert called == []


async def test_bad_bytes_behind_a_request_do_not_cost_it_its_answer() -> None:
    async def slowly(_request: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(200, {}, b"whole")

    async with connected(slowly) as client:
        await client.send(b"GET / HTTP/1.1\r\n\r\n\x00\x01")
        assert ((await client.reply()).body, await client.rest()) == (b"whole", b"")


# Handlers...


async def test_a_handler_that_fails_at_once_is_logged_and_told_as_an_internal_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(_request: Request) -> Response:
        raise RuntimeError("a secret")

    async with connected(fails) as client:
        reply = await client.call("GET", "/x?token=1")
    assert (reply.status, reply.body) == (500, b"Internal error.\n")
    assert [r.getMessage() for r in caplog.records] == ["GET /x failed"]


async def test_a_handler_that_fails_later_is_logged_and_told_as_an_internal_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(_request: Request) -> Response:
        await asyncio.sleep(0)
        raise RuntimeError("a secret")

    async with connected(fails) as client:
        reply = await client.call("GET", "/x")
        assert await client.rest() == b""
    assert (reply.status, reply.body, reply.headers["connection"]) == (500, b"Internal error.\n", "close")
    assert [r.getMessage() for r in caplog.records] == ["GET /x failed"]


async def test_a_limit_that_fails_is_a_fault_of_ours_and_not_the_clients(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_method: str, _target: str) -> int:
        raise RuntimeError("no table")

    async with connected(echo, HttpLimits(body_bytes=fails)) as client:
        assert (await client.call("GET", "/")).status == 500
    assert caplog.records[0].levelno == logging.ERROR


async def test_an_answer_that_is_given_to_several_clients_is_not_changed_by_any() -> None:
    answer = Response(200, {}, b"shared")
    async with connected(lambda _: answer) as client:
        await client.call("GET", "/", headers={"Connection": "close"})
    assert answer == Response(200, {}, b"shared")


@given(value=st.text())
@example("a\r\nSet-Cookie: b=c")
@example("a\r\n\r\n<html>")
@settings(max_examples=50, deadline=None)
def test_a_headers_value_never_starts_another_header(value: str) -> None:
    async def run() -> Reply:
        async with connected(lambda _: Response(200, {"X-A": value})) as client:
            return await client.call("GET", "/")

    reply = asyncio.run(run())
    assert set(reply.headers) == {"date", "x-a", "content-length"}


# Ending...


async def test_closing_lets_what_runs_finish_within_the_grace() -> None:
    may_end = asyncio.Event()

    async def handler(_request: Request) -> Response:
        await may_end.wait()
        return Response(200, {}, b"whole")

    async with serving(handler) as (server, host, port):
        busy, idle = await Client.open(host, port), await Client.open(host, port)
        await busy.send(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: server.connections == 2)
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(server.close(grace=SOON))
        assert await idle.rest() == b""
        may_end.set()
        reply = await busy.reply()
        await closing
        for client in (busy, idle):
            await client.close()
    assert (reply.body, reply.headers["connection"]) == (b"whole", "close")


async def test_closing_cuts_what_does_not_finish_within_the_grace() -> None:
    ended = asyncio.Event()

    async def forever(_request: Request) -> Response:
        try:
            return await asyncio.Future[Response]()
        finally:
            ended.set()

    async with serving(forever) as (server, host, port):
        client = await Client.open(host, port)
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.01)
        await server.close(grace=0.02)
        assert (ended.is_set(), server.connections, await client.rest()) == (True, 0, b"")
        await client.close()


async def test_after_closing_nobody_gets_in() -> None:
    async with serving(echo) as (server, host, port):
        await server.close()
        with pytest.raises(ConnectionRefusedError):
            await Client.open(host, port)


async def test_disconnecting_cuts_every_connection_and_new_ones_are_welcome() -> None:
    waiting: Callable[[Request], Awaitable[Response]] = lambda _: asyncio.get_running_loop().create_future()  # noqa: E731
    async with serving(lambda r: waiting(r) if r.target == "/wait" else Response()) as (server, host, port):
        old = await Client.open(host, port)
        await old.send(b"GET /wait HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.01)
        await server.disconnect()
        new = await Client.open(host, port)
        assert (await old.rest(), (await new.call("GET", "/")).status) == (b"", 200)
        for client in (old, new):
            await client.close()


# Whatever comes...

TOKENS = st.sampled_from([
    b"GET ", b"POST ", b"HEAD ", b"/", b"/a?b", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n", b"\r\n\r\n", b"\n",
    b"Content-Length: 3\r\n", b"Content-Length: 99999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n", b"abc", b"X: ",
    b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"\x00", b"\xff",
])  # fmt: skip


@given(data=st.lists(st.one_of(TOKENS, st.binary(max_size=20)), max_size=30), later=st.booleans(), gone=st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_upset_the_server(data: list[bytes], later: bool, gone: bool) -> None:
    upset: list[dict[str, Any]] = []

    async def slowly(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, {}, pieces(request.body, b"end"))

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: upset.append(context))
        limits = HttpLimits(header_bytes=200, body_bytes=lambda _m, _t: 1_000)
        async with serving(slowly if later else echo, limits) as (server, host, port):
            client = await Client.open(host, port)
            for piece in data:
                await client.send(piece)
            if gone:
                client.reset()
            else:
                client.end_sending()
                async with asyncio.timeout(SOON):
                    await client.rest()
                await client.close()
            await until(lambda: server.connections == 0)

    asyncio.run(run())
    assert upset == []
