"""The Extensions API: what each call is answered, and what the environment hears of it."""

import asyncio
import itertools
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from fakes.client import Client
from pasture.http.message import Headers, Request, Response
from pasture.http.server import HttpServer
from pasture.runtime_api.extension_signals import (
    AgentsReady,
    AllRegistered,
    ExtensionExitFailed,
    ExtensionInitFailed,
    ExtensionSignal,
)
from pasture.runtime_api.extensions import ExtensionsApi, FunctionFacts
from pasture.runtime_api.session import Refusal

REGISTER = "/2020-01-01/extension/register"
NEXT = "/2020-01-01/extension/event/next"
INIT_ERROR = "/2020-01-01/extension/init/error"
EXIT_ERROR = "/2020-01-01/extension/exit/error"
FUNCTION = FunctionFacts("f", "$LATEST", "app.handler", "123456789012")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
BOTH = b'{"events":["INVOKE","SHUTDOWN"]}'


def number(n: int) -> str:
    return str(uuid.UUID(int=n))


class Sandbox:
    """The calls of extensions, and everything that the environment was told."""

    def __init__(self) -> None:
        self.told: list[ExtensionSignal] = []
        numbers = itertools.count(1)
        self.api = ExtensionsApi(self.told.append, FUNCTION, lambda: number(next(numbers)))
        self.requests: list[Request] = []

    def call(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response | asyncio.Future[Response]:
        fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self.requests.append(Request(method, target, Headers(fields), body))
        return self.api(self.requests[-1])

    def answered(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        response = self.call(method, target, body, headers)
        assert isinstance(response, Response)
        return response

    def register(self, name: str, body: bytes = BOTH) -> str:
        """The identifier."""
        return self.answered("POST", REGISTER, body, {"Lambda-Extension-Name": name}).headers[
            "Lambda-Extension-Identifier"
        ]

    def poll(self, identifier: str) -> asyncio.Future[Response]:
        waiting = self.call("GET", NEXT, headers={"Lambda-Extension-Identifier": identifier})
        assert isinstance(waiting, asyncio.Future)
        return waiting

    def hang_up(self) -> None:
        """The connection of the last request goes."""
        for callback in self.requests[-1].on_disconnect:
            callback()


@pytest.fixture
async def sandbox() -> Sandbox:
    return Sandbox()


def body(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return msgspec.json.decode(response.body)


def error(response: Response) -> tuple[int, str, str]:
    said = body(response)
    return response.status, said["errorType"], said["errorMessage"]


# Registration...


async def test_an_extension_that_registers_learns_of_the_function(sandbox: Sandbox) -> None:
    sandbox.api.expect(["agent"])
    answer = sandbox.answered("POST", REGISTER, BOTH, {"Lambda-Extension-Name": "agent"})
    assert (answer.status, dict(answer.headers), body(answer), sandbox.told) == (
        200,
        {"Content-Type": "application/json", "Lambda-Extension-Identifier": number(1)},
        {"functionName": "f", "functionVersion": "$LATEST", "handler": "app.handler"},
        [AllRegistered()],
    )


async def test_the_account_is_told_to_those_that_accept_it(sandbox: Sandbox) -> None:
    headers = {"Lambda-Extension-Name": "agent", "Lambda-Extension-Accept-Feature": "other, accountId"}
    answer = sandbox.answered("POST", REGISTER, b'{"events":["INVOKE"]}', headers)
    assert body(answer)["accountId"] == "123456789012"


async def test_all_have_registered_when_the_last_external_one_has(sandbox: Sandbox) -> None:
    sandbox.api.expect(["a", "b"])
    sandbox.register("a")
    before = list(sandbox.told)
    sandbox.register("b")
    assert (before, sandbox.told) == ([], [AllRegistered()])


async def test_an_internal_extension_registers_without_a_word_to_the_environment(sandbox: Sandbox) -> None:
    sandbox.api.expect(["a"])
    sandbox.register("inside", b'{"events":["INVOKE"]}')
    api = sandbox.api
    assert (sandbox.told, api.external, api.internal, api.all_registered) == ([], ("a",), ("inside",), False)


async def test_extensions_are_known_by_what_they_asked_for(sandbox: Sandbox) -> None:
    sandbox.api.expect(["a", "b"])
    sandbox.register("a")
    sandbox.register("b", b'{"events":["SHUTDOWN"]}')
    sandbox.register("c", b"{}")
    assert (sandbox.api.subscribed("INVOKE"), sandbox.api.subscribed("SHUTDOWN")) == (("a",), ("a", "b"))


@pytest.mark.parametrize(
    ("name", "sent", "status", "error_type"),
    [
        ("", BOTH, 403, "Extension.InvalidExtensionName"),
        ("agent", b"", 400, "InvalidRequestFormat"),
        ("agent", b"[]", 400, "InvalidRequestFormat"),
        ("agent", b'{"events":"INVOKE"}', 400, "InvalidRequestFormat"),
        ("agent", b'{"events":["\xff"]}', 400, "InvalidRequestFormat"),
        ("agent", b'{"events":' + b"[" * 100_000, 400, "InvalidRequestFormat"),
        ("agent", b'{"events":[],"configurationKeys":["A"]}', 400, "InvalidRequestFormat"),
        ("agent", b'{"events":["SLEEP"]}', 403, "Extension.InvalidEventType"),
        ("inside", BOTH, 403, "Extension.InvalidEventType"),
    ],
)
async def test_a_registration_that_is_none_is_refused(
    sandbox: Sandbox, name: str, sent: bytes, status: int, error_type: str
) -> None:
    sandbox.api.expect(["agent"])
    answer = sandbox.answered("POST", REGISTER, sent, {"Lambda-Extension-Name": name})
    assert (error(answer)[:2], sandbox.told) == ((status, error_type), [])


async def test_registration_closes_for_internal_extensions(sandbox: Sandbox) -> None:
    sandbox.api.close_registration()
    answer = sandbox.answered("POST", REGISTER, b'{"events":["INVOKE"]}', {"Lambda-Extension-Name": "late"})
    assert error(answer) == (403, "Extension.RegistrationClosed", "Extension registration closed already")


async def test_more_external_extensions_than_there_may_be_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(Refusal, match="limit"):
        sandbox.api.expect([f"e{n}" for n in range(11)])


async def test_one_that_cannot_be_launched_is_shown_with_its_error(sandbox: Sandbox) -> None:
    sandbox.api.expect(["a"])
    sandbox.api.launch_failed("a", "PermissionDenied")
    (agent,) = sandbox.api.agents
    assert (agent.state, agent.error_type, sandbox.api.all_registered) == ("LaunchError", "PermissionDenied", False)


# Events...


@pytest.fixture
async def waiting(sandbox: Sandbox) -> Sandbox:
    """An external extension with identifier 1 waits for both kinds of events."""
    sandbox.api.expect(["agent"])
    sandbox.poll(sandbox.register("agent"))
    sandbox.told.clear()
    return sandbox


async def test_the_environment_hears_when_the_last_extension_is_ready(sandbox: Sandbox) -> None:
    sandbox.api.expect(["a", "b"])
    a, b = sandbox.register("a"), sandbox.register("b", b'{"events":[]}')
    sandbox.told.clear()
    sandbox.poll(a)
    before = list(sandbox.told)
    sandbox.poll(b)
    assert (before, sandbox.told, sandbox.api.all_ready) == ([], [AgentsReady()], True)


async def test_an_invocation_reaches_the_poll_that_waits(sandbox: Sandbox) -> None:
    sandbox.api.expect(["agent"])
    poll = sandbox.poll(sandbox.register("agent"))
    sandbox.api.release_invoke("r1", 1_700_000_003_000, ARN, "Root=1-2;Sampled=1")
    answer = await poll
    assert (answer.status, dict(answer.headers), body(answer)) == (
        200,
        {"Content-Type": "application/json", "Lambda-Extension-Event-Identifier": number(2)},
        {
            "eventType": "INVOKE",
            "deadlineMs": 1_700_000_003_000,
            "requestId": "r1",
            "invokedFunctionArn": ARN,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-2;Sampled=1"},
        },
    )


async def test_an_invocation_that_is_not_traced_says_nothing_of_tracing(sandbox: Sandbox) -> None:
    poll = sandbox.poll(sandbox.register("inside", b'{"events":["INVOKE"]}'))
    sandbox.api.release_invoke("r1", 1, ARN)
    assert "tracing" not in body(await poll)


async def test_the_invocation_is_over_for_an_extension_when_it_polls_again(waiting: Sandbox) -> None:
    waiting.api.release_invoke("r1", 1, ARN)
    before = waiting.api.all_ready
    waiting.poll(number(1))
    assert (before, waiting.api.all_ready, waiting.told) == (False, True, [AgentsReady()])


async def test_an_invocation_passes_by_those_that_did_not_ask_for_it(sandbox: Sandbox) -> None:
    sandbox.api.expect(["agent"])
    poll = sandbox.poll(sandbox.register("agent", b'{"events":["SHUTDOWN"]}'))
    sandbox.api.release_invoke("r1", 1, ARN)
    assert (poll.done(), sandbox.api.all_ready) == (False, True)


async def test_a_shutdown_reaches_those_that_asked_for_it(waiting: Sandbox) -> None:
    waiting.register("inside", b'{"events":["INVOKE"]}')
    poll = waiting.api._polls["agent"]
    names = waiting.api.release_shutdown("spindown", 42)
    assert (names, body(await poll)) == (
        ("agent",),
        {"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 42},
    )


async def test_a_shutdown_waits_for_an_extension_that_is_at_work(waiting: Sandbox) -> None:
    waiting.api.release_invoke("r1", 1, ARN)
    names = waiting.api.release_shutdown("timeout", 42)
    answer = waiting.answered("GET", NEXT, headers={"Lambda-Extension-Identifier": number(1)})
    assert (names, body(answer)["shutdownReason"]) == (("agent",), "timeout")


async def test_an_extension_that_has_gone_is_not_told_of_the_shutdown(waiting: Sandbox) -> None:
    state = waiting.api.exited("agent")
    assert (state, waiting.api.release_shutdown("failure", 42)) == ("Ready", ())


async def test_a_second_poll_beside_one_that_waits_is_refused(waiting: Sandbox) -> None:
    answer = waiting.answered("GET", NEXT, headers={"Lambda-Extension-Identifier": number(1)})
    assert error(answer)[:2] == (403, "Extension.InvalidExtensionState")


async def test_a_poll_after_the_connection_of_the_last_was_lost_takes_its_place(waiting: Sandbox) -> None:
    waiting.hang_up()
    poll = waiting.poll(number(1))
    waiting.api.release_invoke("r1", 1, ARN)
    assert body(await poll)["requestId"] == "r1"


async def test_an_event_released_while_nobody_polls_waits_for_the_poll(waiting: Sandbox) -> None:
    waiting.hang_up()
    waiting.api.release_invoke("r1", 1, ARN)
    before = waiting.api.all_ready
    answer = waiting.answered("GET", NEXT, headers={"Lambda-Extension-Identifier": number(1)})
    assert (before, body(answer)["requestId"], waiting.api.all_ready) == (False, "r1", False)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, (403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")),
        (
            {"Lambda-Extension-Identifier": "x"},
            (403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
        ),
        (
            {"Lambda-Extension-Identifier": number(9)},
            (403, "Extension.UnknownExtensionIdentifier", f"Unknown extension {number(9)}"),
        ),
    ],
)
async def test_a_poll_of_nobody_is_refused(
    sandbox: Sandbox, headers: Mapping[str, str], said: tuple[int, str, str]
) -> None:
    assert error(sandbox.answered("GET", NEXT, headers=headers)) == said


# Errors...

FAILURE = b'{"errorMessage":"m","errorType":"Extension.Broken","stackTrace":[]}'


def failing(identifier: str) -> dict[str, str]:
    return {"Lambda-Extension-Identifier": identifier, "Lambda-Extension-Function-Error-Type": "Extension.Broken"}


async def test_an_init_error_is_accepted_and_told_once(sandbox: Sandbox) -> None:
    identifier = sandbox.register("inside", b"{}")
    answers = [sandbox.answered("POST", INIT_ERROR, FAILURE, failing(identifier)) for _ in range(2)]
    accepted = Response(202, {"Content-Type": "application/json"}, b'{"status":"OK"}\n')
    assert (answers, sandbox.told) == (
        [accepted, accepted],
        [ExtensionInitFailed("inside", "Extension.Broken", FAILURE)],
    )


async def test_an_exit_error_is_told(waiting: Sandbox) -> None:
    waiting.answered("POST", EXIT_ERROR, FAILURE, failing(number(1)))
    assert waiting.told == [ExtensionExitFailed("agent", "Extension.Broken", FAILURE)]


@pytest.mark.parametrize("target", [INIT_ERROR, EXIT_ERROR])
async def test_an_error_without_a_type_is_refused(waiting: Sandbox, target: str) -> None:
    answer = waiting.answered("POST", target, FAILURE, {"Lambda-Extension-Identifier": number(1)})
    message = "Lambda-Extension-Function-Error-Type not found"
    assert (error(answer), waiting.told) == ((403, "Extension.MissingHeader", message), [])


async def test_an_init_error_after_the_init_is_refused(waiting: Sandbox) -> None:
    answer = waiting.answered("POST", INIT_ERROR, FAILURE, failing(number(1)))
    message = (
        f"State transition from Ready to InitError failed for extension {number(1)}. "
        "Error: State transition is not allowed"
    )
    assert (error(answer), waiting.told) == ((403, "Extension.InvalidExtensionState", message), [])


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", REGISTER, 405),
        ("POST", NEXT, 405),
        ("PUT", EXIT_ERROR, 405),
        ("GET", "/2020-01-01/extension", 404),
        ("POST", f"{REGISTER}/", 404),
    ],
)
async def test_what_is_no_call_of_the_api_is_answered_as_rapid_does(
    sandbox: Sandbox, method: str, target: str, status: int
) -> None:
    assert sandbox.answered(method, target).status == status


async def test_its_repr_says_what_its_extensions_are_at(waiting: Sandbox) -> None:
    assert repr(waiting.api) == "<ExtensionsApi <ExtensionsSession agent Ready>>"


# Over a socket...


async def test_an_extension_that_is_killed_while_it_polls_may_come_back(sandbox: Sandbox) -> None:
    server = HttpServer(sandbox.api)
    address = await server.listen("127.0.0.1", 0)
    sandbox.api.expect(["agent"])
    first = await Client.open(*address)
    reply = await first.call("POST", REGISTER, BOTH, {"Lambda-Extension-Name": "agent"})
    headers = {"Lambda-Extension-Identifier": reply.headers["lambda-extension-identifier"]}
    await first.send(f"GET {NEXT} HTTP/1.1\r\nHost: t\r\nLambda-Extension-Identifier: {number(1)}\r\n\r\n".encode())
    while not sandbox.api.all_ready:  # noqa: ASYNC110 (the server tells nobody)
        await asyncio.sleep(0)
    first.reset()
    while server.connections:  # noqa: ASYNC110 (likewise)
        await asyncio.sleep(0)
    second = await Client.open(*address)
    sandbox.api.release_invoke("r1", 1, ARN)
    given = await second.call("GET", NEXT, headers=headers)
    await second.close()
    await server.close()
    assert (given.status, msgspec.json.decode(given.body)["requestId"]) == (200, "r1")
