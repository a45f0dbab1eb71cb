"""Telemetry: who may subscribe, and how what happens gets to subscribers of every sort."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pasture.domain.invocation import Status
from pasture.http.message import Headers, Request, Response
from pasture.http.server import HttpServer
from pasture.kit.clock import SystemClock, iso_millis
from pasture.logs.platform import (
    End,
    InitStart,
    LogsSubscription,
    PlatformEvent,
    RuntimeDone,
    Start,
    TelemetrySubscription,
)
from pasture.runtime_api.session import Refusal
from pasture.runtime_api.telemetry import Telemetry
from pasture.runtime_api.telemetry_subscriber import DeliverySettings

TELEMETRY = "/2022-07-01/telemetry"
LOGS = "/2020-08-15/logs"
PORT = 8080
HASTY = DeliverySettings(answer_seconds=0.2, first_pause=0.001, longest_pause=0.01, attempts=1_000)
TIME = 1_709_547_072.123


class Inside:
    """A sandbox's network, as far as subscribers have it: which of its ports is which of ours."""

    def __init__(self) -> None:
        self.ports: dict[int, int] = {}
        self.connections = 0

    async def connect(self, port: int) -> socket.socket:
        self.connections += 1
        connection = socket.socket()
        connection.setblocking(False)
        try:
            # Nobody listens on port 1.
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.ports.get(port, 1)))
        except BaseException:
            connection.close()
            raise
        return connection


class Environment:
    """What an environment makes of telemetry."""

    def __init__(self, settings: DeliverySettings = HASTY, *, json: bool = False) -> None:
        self.inside = Inside()
        self.log: list[PlatformEvent] = []
        self.telemetry = Telemetry(
            _identify, self.inside.connect, SystemClock(), announce=self.happens, json=json, settings=settings
        )

    def happens(self, event: PlatformEvent) -> None:
        self.log.append(event)
        self.telemetry.emit(event, TIME)

    def put(self, target: str, name: str = "agent", **members: Any) -> Response:
        return self.telemetry(
            Request(
                "PUT", target, Headers([(b"Lambda-Extension-Identifier", name.encode())]), json.dumps(members).encode()
            )
        )

    def subscribe(self, *types: str, name: str = "agent", schema: str = "2025-01-29", **members: Any) -> Response:
        members = {
            "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{PORT}/logs"},
            "buffering": {"timeoutMs": 25},
            **members,
        }
        target = TELEMETRY if schema >= "2022" else LOGS
        return self.put(
            target, name, schemaVersion=schema, types=types or ("platform", "function", "extension"), **members
        )


def _identify(request: Request) -> str:
    name = request.headers["lambda-extension-identifier"]
    if name == "nobody":
        raise Refusal(403, "Extension.UnknownExtensionIdentifier", "Unknown extension nobody")
    return name


class Listener:
    """An extension's HTTP server: it keeps what it is sent, and answers what it is told to."""

    def __init__(self, *statuses: int) -> None:
        self.requests: list[Request] = []
        self._statuses = list(statuses)
        self._came = asyncio.Condition()

    async def __call__(self, request: Request) -> Response:
        async with self._came:
            self.requests.append(request)
            self._came.notify_all()
        return Response(self._statuses.pop(0) if self._statuses else 200)

    @property
    def events(self) -> list[Any]:
        return [event for request in self.requests for event in json.loads(request.body)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._came:
            await self._came.wait_for(condition)


@pytest.fixture
async def environment() -> AsyncIterator[Environment]:
    made = Environment()
    yield made
    await made.telemetry.close()


@pytest.fixture
async def listens(environment: Environment) -> AsyncIterator[Callable[..., Awaitable[Listener]]]:
    servers: list[HttpServer] = []

    async def listen(*statuses: int, port: int = PORT) -> Listener:
        listener = Listener(*statuses)
        server = HttpServer(listener)
        servers.append(server)
        environment.inside.ports[port] = (await server.listen("127.0.0.1", 0))[1]
        return listener

    yield listen
    for server in servers:
        await server.close()


Listens = Callable[..., Awaitable[Listener]]


def error(response: Response) -> tuple[int, str, str]:
    assert isinstance(response.body, bytes)
    said = json.loads(response.body)
    return response.status, said["errorType"], said["errorMessage"]


def event(type_: str, record: Any) -> dict[str, Any]:
    return {"time": iso_millis(TIME), "type": type_, "record": record}


SUBSCRIBED = event("platform.telemetrySubscription", {"name": "agent", "state": "Subscribed", "types": ["platform"]})
START = event("platform.start", {"requestId": "r1", "version": "7"})


# Subscribing...


async def test_a_subscription_is_taken_and_announced(environment: Environment) -> None:
    answer = environment.subscribe("platform", "function")
    assert (answer, environment.log, environment.telemetry.subscribers) == (
        Response(200, {"Content-Type": "application/json"}, b'"OK"'),
        [TelemetrySubscription("agent", "Subscribed", ("platform", "function"))],
        ("agent",),
    )


async def test_a_subscription_by_the_logs_api_is_announced_by_its_own_name(environment: Environment) -> None:
    answer = environment.subscribe("function", schema="2020-08-15")
    assert (answer.status, environment.log) == (200, [LogsSubscription("agent", "Subscribed", ("function",))])


async def test_the_same_subscription_again_changes_nothing(environment: Environment) -> None:
    environment.subscribe("platform")
    again = environment.subscribe("platform")
    assert (again.status, len(environment.log)) == (200, 1)


async def test_who_has_subscribed_by_one_api_may_not_by_the_other(environment: Environment) -> None:
    environment.subscribe("function")
    answer = environment.subscribe("function", schema="2020-08-15")
    assert error(answer)[:2] == (400, "ValidationError")


async def test_only_an_extension_may_subscribe(environment: Environment) -> None:
    answer = environment.subscribe(name="nobody")
    assert error(answer) == (403, "Extension.UnknownExtensionIdentifier", "Unknown extension nobody")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("2022-12-13", (403, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already")),
        ("2021-03-18", (403, "Logs.SubscriptionClosed", "Logs API subscription is closed already")),
    ],
)
async def test_after_the_init_nobody_may_subscribe(
    environment: Environment, schema: str, said: tuple[int, str, str]
) -> None:
    environment.telemetry.close_subscriptions()
    assert error(environment.subscribe(schema=schema)) == said


async def test_a_subscription_out_of_its_limits_is_refused(environment: Environment) -> None:
    answer = environment.subscribe(buffering={"maxItems": 1})
    assert (error(answer)[:2], environment.telemetry.subscribers) == ((400, "ValidationError"), ())


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("POST", TELEMETRY, 405), ("GET", LOGS, 405), ("PUT", "/2022-07-01/logs", 404), ("PUT", "/", 404)],
)
async def test_what_is_no_call_of_the_api_is_answered_so(
    environment: Environment, method: str, target: str, status: int
) -> None:
    assert environment.telemetry(Request(method, target, Headers())).status == status


# Delivery...


async def test_an_http_subscriber_is_posted_batches_of_what_it_asked_for(
    environment: Environment, listens: Listens
) -> None:
    listener = await listens()
    environment.subscribe("platform")
    environment.happens(Start("r1", "7"))
    environment.telemetry.function_log(TIME, "not asked for\n")
    await environment.telemetry.flush(5)
    (request,) = listener.requests
    assert (request.method, request.target, dict(request.headers), listener.events) == (
        "POST",
        "/logs",
        {
            "host": f"sandbox.localdomain:{PORT}",
            "content-type": "application/json",
            "content-length": str(len(request.body)),
        },
        [SUBSCRIBED, START],
    )


async def test_a_subscriber_gets_what_was_before_it_in_the_init(environment: Environment, listens: Listens) -> None:
    listener = await listens()
    environment.happens(InitStart("f", "7"))
    environment.telemetry.extension_log(TIME, "hello\n")
    environment.subscribe("platform", "extension")
    environment.telemetry.close_subscriptions()
    await environment.telemetry.flush(5)
    assert [said["type"] for said in listener.events] == [
        "platform.initStart",
        "extension",
        "platform.telemetrySubscription",
    ]


async def test_a_batch_is_delivered_in_time_when_nobody_flushes(environment: Environment, listens: Listens) -> None:
    listener = await listens()
    environment.subscribe("function")
    environment.telemetry.function_log(TIME, "hello\n")
    await listener.until(lambda: bool(listener.requests))
    assert listener.events == [event("function", "hello\n")]


async def test_batches_go_over_one_connection(environment: Environment, listens: Listens) -> None:
    listener = await listens()
    environment.subscribe("function")
    for n in range(3):
        environment.telemetry.function_log(TIME, f"{n}\n")
        await environment.telemetry.flush(5)
    assert (len(listener.requests), environment.inside.connections) == (3, 1)


@pytest.mark.parametrize("schema", ["2022-07-01", "2022-12-13"])
async def test_json_logs_are_objects_since_december_2022(schema: str) -> None:
    environment = Environment(json=True)
    listener = Listener()
    server = HttpServer(listener)
    environment.inside.ports[PORT] = (await server.listen("127.0.0.1", 0))[1]
    environment.subscribe("function", schema=schema)
    environment.telemetry.function_log(TIME, '{"message":"m"}\n')
    await environment.telemetry.flush(5)
    await environment.telemetry.close()
    await server.close()
    record = '{"message":"m"}\n' if schema == "2022-07-01" else {"message": "m"}
    assert listener.events == [event("function", record)]


async def test_a_subscriber_by_the_logs_api_gets_its_events(environment: Environment, listens: Listens) -> None:
    listener = await listens()
    destination = {"protocol": "HTTP", "URI": f"http://sandbox:{PORT}", "method": "PUT"}
    environment.subscribe("platform", schema="2021-03-18", destination=destination)
    environment.happens(RuntimeDone("r1", Status.ERROR))
    environment.happens(End("r1"))
    await environment.telemetry.flush(5)
    assert ({request.method for request in listener.requests}, listener.events[1:]) == (
        {"PUT"},
        [
            event("platform.runtimeDone", {"requestId": "r1", "status": "failure"}),
            event("platform.end", {"requestId": "r1"}),
        ],
    )


async def test_each_subscriber_gets_its_own(environment: Environment, listens: Listens) -> None:
    first, second = await listens(), await listens(port=8081)
    environment.subscribe("function")
    environment.subscribe(
        "extension", name="other", destination={"protocol": "HTTP", "URI": "http://sandbox.localdomain:8081"}
    )
    environment.telemetry.function_log(TIME, "f\n")
    environment.telemetry.extension_log(TIME, "e\n")
    await environment.telemetry.flush(5)
    assert (first.events, second.events) == ([event("function", "f\n")], [event("extension", "e\n")])


# Subscribers in trouble...


async def test_a_batch_that_is_not_taken_comes_again(environment: Environment, listens: Listens) -> None:
    listener = await listens(500, 503)
    environment.subscribe("function")
    environment.telemetry.function_log(TIME, "hello\n")
    await listener.until(lambda: len(listener.requests) == 3)
    assert listener.events == [event("function", "hello\n")] * 3


async def test_a_subscriber_may_begin_to_listen_after_it_has_subscribed(
    environment: Environment, listens: Listens
) -> None:
    environment.subscribe("function")
    environment.telemetry.function_log(TIME, "hello\n")
    await environment.telemetry.flush(0.05)
    listener = await listens()
    await listener.until(lambda: bool(listener.requests))
    assert listener.events == [event("function", "hello\n")]


async def test_a_batch_that_is_never_taken_is_dropped_and_told_of() -> None:
    environment = Environment(DeliverySettings(0.2, 0.001, 0.001, attempts=2))
    listener = Listener(500, 500)
    server = HttpServer(listener)
    environment.inside.ports[PORT] = (await server.listen("127.0.0.1", 0))[1]
    environment.subscribe("platform")
    await listener.until(lambda: len(listener.requests) == 3)
    await environment.telemetry.close()
    await server.close()
    (told,) = json.loads(listener.requests[2].body)
    size = len(listener.requests[0].body) - 2
    assert (told["type"], told["record"]["droppedRecords"], told["record"]["droppedBytes"]) == (
        "platform.logsDropped",
        1,
        size,
    )


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _is_silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"]")
    writer.write(b"\x00\xffnonsense\r\n\r\n" * 10)


async def _never_ends_its_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X: y\r\n" * 1000)
        await writer.drain()


async def _never_ends_its_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"]")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"5\r\nhello\r\n" * 1000)
        await writer.drain()


async def _switches_protocols(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"]")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    await asyncio.Event().wait()


async def _answers_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"]")
    writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "behaviour",
    [
        _is_silent,
        _hangs_up,
        _talks_nonsense,
        _never_ends_its_head,
        _never_ends_its_body,
        _switches_protocols,
        _answers_twice,
    ],
)
async def test_whatever_a_subscriber_does_it_holds_nothing_up_and_may_come_back(
    environment: Environment, listens: Listens, behaviour: Behaviour
) -> None:
    bad = _Bad(behaviour)
    environment.inside.ports[PORT] = await bad.listen()
    environment.subscribe("function")
    environment.telemetry.function_log(TIME, "hello\n")
    await bad.connected(3)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await environment.telemetry.flush(5)
    waited = loop.time() - began
    listener = await listens()
    await listener.until(lambda: bool(listener.requests))
    await bad.close()
    assert (listener.events[0], waited < 1) == (event("function", "hello\n"), True)


class _Bad:
    """A listener that behaves badly."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = asyncio.Semaphore(0)
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def connected(self, times: int) -> None:
        async with asyncio.timeout(10):
            for _ in range(times):
                await self._connections.acquire()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.release()
        task = asyncio.create_task(self._behave(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _behave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_flood_for_a_subscriber_that_never_reads_is_bounded_and_counted() -> None:
    environment = Environment(DeliverySettings(answer_seconds=30))
    bad = _Bad(_is_silent)
    environment.inside.ports[PORT] = await bad.listen()
    environment.subscribe("platform", "function", destination={"protocol": "TCP", "port": PORT})
    line = "x" * 10_000 + "\n"
    for _ in range(2_000):
        environment.telemetry.function_log(TIME, line)
    state = repr(environment.telemetry)
    await environment.telemetry.close()
    await bad.close()
    dropped = int(state.split()[-2])
    assert 1_500 < dropped < 2_000


# TCP...


async def test_a_tcp_subscriber_reads_lines(environment: Environment) -> None:
    lines: asyncio.Queue[Any] = asyncio.Queue()

    async def read(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            lines.put_nowait(json.loads(line))

    bad = _Bad(read)
    environment.inside.ports[PORT] = await bad.listen()
    environment.subscribe("platform", destination={"protocol": "TCP", "port": PORT})
    environment.happens(Start("r1", "7"))
    await environment.telemetry.flush(5)
    read_lines = [await lines.get(), await lines.get()]
    await bad.close()
    assert read_lines == [SUBSCRIBED, START]


async def test_a_tcp_subscriber_that_has_closed_is_connected_anew(environment: Environment) -> None:
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def read_one(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        lines.put_nowait(await reader.readline())

    bad = _Bad(read_one)
    environment.inside.ports[PORT] = await bad.listen()
    environment.subscribe("function", destination={"protocol": "TCP", "port": PORT})
    texts = []
    for n in range(3):
        environment.telemetry.function_log(TIME, f"{n}")
        await environment.telemetry.flush(5)
        texts.append(json.loads(await lines.get())["record"])
        while bad._tasks:
            await asyncio.wait(bad._tasks)
    await bad.close()
    assert texts == ["0", "1", "2"]


# Freezing...


async def test_nothing_is_delivered_while_the_sandbox_is_frozen(environment: Environment, listens: Listens) -> None:
    listener = await listens()
    environment.subscribe("function")
    environment.telemetry.pause()
    environment.telemetry.function_log(TIME, "hello\n")
    await environment.telemetry.flush(0.1)
    while_frozen = len(listener.requests)
    environment.telemetry.resume()
    await environment.telemetry.flush(5)
    assert (while_frozen, listener.events) == (0, [event("function", "hello\n")])


async def test_what_fails_for_being_frozen_is_not_held_against_the_subscriber() -> None:
    environment = Environment(DeliverySettings(0.05, 0.001, 0.001, attempts=1))
    bad = _Bad(_is_silent)
    environment.inside.ports[PORT] = await bad.listen()
    environment.subscribe("function")
    environment.telemetry.function_log(TIME, "hello\n")
    await bad.connected(1)
    environment.telemetry.pause()
    await environment.telemetry.flush(0.2)
    listener = Listener()
    server = HttpServer(listener)
    environment.inside.ports[PORT] = (await server.listen("127.0.0.1", 0))[1]
    environment.telemetry.resume()
    await environment.telemetry.flush(5)
    await environment.telemetry.close()
    await bad.close()
    await server.close()
    assert listener.events == [event("function", "hello\n")]


# With nobody there...


async def test_with_nobody_there_events_are_not_even_encoded(environment: Environment) -> None:
    environment.telemetry.close_subscriptions()
    environment.telemetry.emit(Start("r1", "7"))
    environment.telemetry.function_log(TIME, "hello\n")
    await environment.telemetry.flush(5)
    assert (repr(environment.telemetry), environment.telemetry.subscribers) == ("<Telemetry []>", ())


async def test_an_init_that_prints_without_end_is_kept_within_bounds(
    environment: Environment, listens: Listens
) -> None:
    listener = await listens()
    for n in range(5_000):
        environment.telemetry.function_log(TIME, f"{n}\n")
    environment.subscribe("platform", "function")
    await environment.telemetry.flush(5)
    records = [said["record"] for said in listener.events if said["type"] == "function"]
    told = [said["record"]["droppedRecords"] for said in listener.events if said["type"] == "platform.logsDropped"]
    assert (len(records), told) == (1_000, [4_000])


async def test_nothing_is_left_when_it_is_closed(environment: Environment) -> None:
    environment.subscribe("function")
    environment.telemetry.function_log(TIME, "hello\n")
    await environment.telemetry.close()
    await environment.telemetry.close()
    running = [task for task in asyncio.all_tasks() if task.get_name().startswith("telemetry")]
    assert (running, environment.telemetry.subscribers) == ([], ())
