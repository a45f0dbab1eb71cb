"""The Runtime API of one life of a runtime: what each call is answered, and what the environment hears of it."""

import asyncio
from collections.abc import Awaitable, Mapping

import msgspec
import pytest

from fakes.client import Client
from fakes.functions import an_invocation
from pasture.domain.invocation import Outcome, Status
from pasture.http.message import Headers, Request, Response
from pasture.http.server import HttpLimits, HttpServer
from pasture.runtime_api.api import RuntimeApi
from pasture.runtime_api.signals import Answered, InitFailed, Ready, Signal

LIMIT = 1_000
NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
INVOCATION = an_invocation(b'{"a":1}', request_id="r1", invocation_id="a1")


class Sandbox:
    """The calls of one runtime, and everything that its environment was told."""

    def __init__(self) -> None:
        self.told: list[Signal] = []
        self.api = RuntimeApi(self.told.append, LIMIT)

    def call(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response | Awaitable[Response]:
        fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        return self.api(Request(method, target, Headers(fields), body))

    def answered(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        response = self.call(method, target, body, headers)
        assert isinstance(response, Response)
        return response

    def poll(self) -> asyncio.Future[Response]:
        waiting = self.call("GET", NEXT)
        assert isinstance(waiting, asyncio.Future)
        return waiting


@pytest.fixture
async def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
async def running(sandbox: Sandbox) -> Sandbox:
    sandbox.poll()
    sandbox.api.give(INVOCATION, 1_700_000_003_000)
    sandbox.told.clear()
    return sandbox


def error(response: Response) -> tuple[int, dict[str, str]]:
    assert isinstance(response.body, bytes)
    return response.status, msgspec.json.decode(response.body)


ACCEPTED = Response(202, {"Content-Type": "application/json"}, b'{"status":"OK"}\n')
NOT_FOUND = Response(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
NOT_ALLOWED = Response(405, {"Content-Type": "text/plain"}, b"405 method not allowed\n")


# Waiting for an event...


async def test_the_first_poll_says_that_the_runtime_is_ready_and_waits(sandbox: Sandbox) -> None:
    waiting = sandbox.poll()
    assert (sandbox.told, waiting.done()) == ([Ready()], False)


async def test_a_poll_is_answered_with_the_event_and_what_there_is_to_know_of_it(sandbox: Sandbox) -> None:
    waiting = sandbox.poll()
    sandbox.api.give(
        an_invocation(
            b"[1]",
            request_id="r1",
            invocation_id="a1",
            trace_id="Root=1-5;Sampled=0",
            client_context='{"custom":{"name":"Zoë"}}',
            tenant_id="blue",
        ),
        1_700_000_003_000,
    )
    assert await waiting == Response(
        200,
        {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": "r1",
            "Lambda-Runtime-Deadline-Ms": "1700000003000",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
            "Lambda-Runtime-Invocation-Id": "a1",
            "Lambda-Runtime-Aws-Tenant-Id": "blue",
            "Lambda-Runtime-Trace-Id": "Root=1-5;Sampled=0",
            "Lambda-Runtime-Client-Context": '{"custom":{"name":"Zo\xc3\xab"}}',
        },
        b"[1]",
    )


async def test_headers_without_a_value_are_left_out(sandbox: Sandbox) -> None:
    waiting = sandbox.poll()
    sandbox.api.give(an_invocation(invocation_id=""), 0)
    assert set((await waiting).headers) == {
        "Content-Type",
        "Lambda-Runtime-Aws-Request-Id",
        "Lambda-Runtime-Deadline-Ms",
        "Lambda-Runtime-Invoked-Function-Arn",
    }


async def test_a_second_poll_while_the_first_waits_gets_the_same_event_and_no_second_signal(sandbox: Sandbox) -> None:
    first, second = sandbox.poll(), sandbox.poll()
    sandbox.api.give(INVOCATION, 0)
    assert (await first is await second, sandbox.told) == (True, [Ready()])


async def test_a_poll_whose_client_has_gone_leaves_the_event_to_the_next_one(sandbox: Sandbox) -> None:
    request = Request("GET", NEXT, Headers())
    gone = sandbox.api(request)
    assert isinstance(gone, asyncio.Future)
    for callback in request.on_disconnect:
        callback()
    again = sandbox.poll()
    sandbox.api.give(INVOCATION, 0)
    assert (gone.cancelled(), (await again).body) == (True, b'{"a":1}')


async def test_a_poll_while_running_gets_the_event_again(running: Sandbox) -> None:
    assert (running.answered("GET", NEXT).body, running.told) == (b'{"a":1}', [])


async def test_a_poll_after_the_answer_waits_for_the_next_event(running: Sandbox) -> None:
    running.answered("POST", "/2018-06-01/runtime/invocation/r1/response", b"1")
    running.told.clear()
    assert (running.poll().done(), running.told) == (False, [Ready()])


# Answers...


async def test_a_response_is_the_outcome_of_the_invocation(running: Sandbox) -> None:
    answer = running.answered("POST", "/2018-06-01/runtime/invocation/r1/response", b'"ok"')
    assert (answer, running.told) == (ACCEPTED, [Answered(Outcome(Status.SUCCESS, b'"ok"'))])


async def test_an_error_is_the_outcome_word_for_word(running: Sandbox) -> None:
    body = b'{"errorMessage":"boom","errorType":"ValueError"}'
    headers = {"Lambda-Runtime-Function-Error-Type": "Function.ValueError"}
    answer = running.answered("POST", "/2018-06-01/runtime/invocation/r1/error", body, headers)
    assert (answer, running.told) == (ACCEPTED, [Answered(Outcome(Status.ERROR, body, "Function.ValueError"))])


async def test_an_init_error_is_told(sandbox: Sandbox) -> None:
    headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"}
    answer = sandbox.answered("POST", INIT_ERROR, b"{}", headers)
    assert (answer, sandbox.told) == (ACCEPTED, [InitFailed(Outcome(Status.ERROR, b"{}", "Runtime.ImportModuleError"))])


@pytest.mark.parametrize(
    ("claimed", "error_type"),
    [
        ("Runtime.ExitError", "Runtime.ExitError"),
        ("Function.Whatever", "Function.Whatever"),
        ("ValueError", "Function.Unknown"),
        ("Runtime.lower", "Function.Unknown"),
        ("Function.X\t", "Function.Unknown"),
        ("Sandbox.Failure", "Function.Unknown"),
        ("", "Function.Unknown"),
    ],
)
async def test_an_error_type_that_is_none_of_the_known_kinds_is_unknown(
    running: Sandbox, claimed: str, error_type: str
) -> None:
    headers = {"Lambda-Runtime-Function-Error-Type": claimed}
    running.answered("POST", "/2018-06-01/runtime/invocation/r1/error", b"{}", headers)
    assert running.told == [Answered(Outcome(Status.ERROR, b"{}", error_type))]


async def test_an_init_error_of_no_known_kind_is_the_runtimes(sandbox: Sandbox) -> None:
    sandbox.answered("POST", INIT_ERROR, b"{}", {"Lambda-Runtime-Function-Error-Type": "ImportError"})
    assert sandbox.told == [InitFailed(Outcome(Status.ERROR, b"{}", "Runtime.Unknown"))]


# Refusals...


async def test_a_response_to_a_request_that_was_not_given_is_refused(running: Sandbox) -> None:
    answer = running.answered("POST", "/2018-06-01/runtime/invocation/r9/response", b"1")
    assert (error(answer), running.told) == (
        (400, {"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"}),
        [],
    )


async def test_a_response_of_another_attempt_is_refused(running: Sandbox) -> None:
    headers = {"Lambda-Runtime-Invocation-Id": "a9"}
    answer = running.answered("POST", "/2018-06-01/runtime/invocation/r1/response", b"1", headers)
    assert error(answer) == (400, {"errorType": "InvalidInvocationId", "errorMessage": "Invalid invocation ID"})


async def test_a_second_response_is_refused(running: Sandbox) -> None:
    running.answered("POST", "/2018-06-01/runtime/invocation/r1/response", b"1")
    answer = running.answered("POST", "/2018-06-01/runtime/invocation/r1/response", b"2")
    assert (error(answer), running.told) == (
        (
            403,
            {
                "errorType": "InvalidStateTransition",
                "errorMessage": "State transition from InvocationResponse to InvocationResponse failed for runtime. "
                "Error: State transition is not allowed",
            },
        ),
        [Answered(Outcome(Status.SUCCESS, b"1"))],
    )


async def test_an_init_error_after_the_init_is_refused(running: Sandbox) -> None:
    status, body = error(running.answered("POST", INIT_ERROR, b"{}"))
    assert (status, body["errorType"], running.told) == (403, "InvalidStateTransition", [])


async def test_a_poll_after_an_init_error_is_refused(sandbox: Sandbox) -> None:
    sandbox.answered("POST", INIT_ERROR, b"{}")
    assert error(sandbox.answered("GET", NEXT))[0] == 403


@pytest.mark.parametrize(
    ("method", "target", "answer"),
    [
        ("GET", "/2018-06-01/ping", Response(200, {"Content-Type": "text/plain"}, b"pong")),
        ("GET", "/", NOT_FOUND),
        ("GET", "/2018-06-01/runtime/nothing", NOT_FOUND),
        ("POST", "/2018-06-01/runtime/invocation/r1", NOT_FOUND),
        ("POST", "/2018-06-01/runtime/invocation/r1/response/more", NOT_FOUND),
        ("GET", "/2018-06-01/runtime/restore/next", NOT_FOUND),
        ("POST", NEXT, NOT_ALLOWED),
        ("GET", INIT_ERROR, NOT_ALLOWED),
        ("GET", "/2018-06-01/runtime/invocation/r1/response", NOT_ALLOWED),
        ("PUT", "/2018-06-01/runtime/invocation/r1/error", NOT_ALLOWED),
    ],
)
async def test_what_is_no_call_of_the_api_is_answered_as_rapid_does(
    running: Sandbox, method: str, target: str, answer: Response
) -> None:
    assert (running.answered(method, target), running.told) == (answer, [])


# Too large...

TOO_LARGE = {
    "errorType": "Function.ResponseSizeTooLarge",
    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({LIMIT} bytes).",
}


async def test_a_response_over_the_limit_is_an_error_of_the_function_and_the_runtime_goes_on(running: Sandbox) -> None:
    limits = HttpLimits(body_bytes=lambda _m, _t: LIMIT, too_large=running.api.too_large)
    server = HttpServer(running.api, limits)
    client = await Client.open(*await server.listen("127.0.0.1", 0))
    reply = await client.call("POST", "/2018-06-01/runtime/invocation/r1/response", bytes(LIMIT + 1))
    await client.close()
    await server.close()
    assert (reply.status, msgspec.json.decode(reply.body)) == (
        413,
        {
            "errorType": "RequestEntityTooLarge",
            "errorMessage": f"Exceeded maximum allowed payload size ({LIMIT} bytes).",
        },
    )
    (told,) = running.told
    assert isinstance(told, Answered)
    outcome = told.outcome
    assert (outcome.status, outcome.error_type, msgspec.json.decode(outcome.payload)) == (
        Status.ERROR,
        "Function.ResponseSizeTooLarge",
        TOO_LARGE,
    )
    assert not running.poll().done()


async def test_a_response_over_the_limit_to_another_request_ends_nothing(running: Sandbox) -> None:
    answer = running.api.too_large("POST", "/2018-06-01/runtime/invocation/r9/response")
    assert (error(answer)[1]["errorType"], running.told) == ("InvalidRequestID", [])


async def test_any_other_body_over_the_limit_is_only_refused(running: Sandbox) -> None:
    assert (running.api.too_large("POST", INIT_ERROR).status, running.told) == (413, [])


async def test_its_repr_says_what_it_is_at(running: Sandbox) -> None:
    assert repr(running.api) == "<RuntimeApi <Session Running r1>>"
