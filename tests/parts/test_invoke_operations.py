"""What the door checks before an invocation, and how its outcome is told."""

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.functions import a_version
from pasture.api.call import Call, Principal
from pasture.api.invoke_operations import InvokeOperations
from pasture.api.payload import check_json
from pasture.domain.errors import ApiError, InvalidRequestContent, RecursiveInvocation
from pasture.domain.events import Event
from pasture.domain.function import Function, FunctionVersion
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request
from pasture.invoke.admission import Slot
from pasture.invoke.direct import DirectInvoker
from pasture.invoke.recursion import Recursion
from pasture.invoke.resolving import Resolver
from pasture.kit.clock import ManualClock
from pasture.store.errors import StoreFull

F = a_version()


async def no_version(*_: object) -> FunctionVersion | None:
    return None


class Door:
    """The operation, with one function behind it whose outcome is given."""

    def __init__(self, outcome: Outcome | None = None, limits: Limits | None = None) -> None:
        self.outcome = outcome or Outcome(Status.SUCCESS, b'"ok"')
        self.invoked: list[tuple[FunctionVersion, Invocation]] = []
        resolver = Resolver(self._find, no_version)
        self.operations = InvokeOperations(
            resolver,
            self._invoke,
            self._accept,
            limits or Limits(),
            ManualClock(0x5F000000),
            Recursion(self._find, lambda _name, _place: None).stop,
        )
        self.answer_headers: dict[str, str] = {}
        self.accepted: list[Event] = []
        self.disk_is_full = False

    async def _accept(self, event: Event) -> None:
        if self.disk_is_full:
            raise StoreFull("cannot write: full.")
        self.accepted.append(event)

    async def _find(self, scope: Scope, name: str) -> Function | None:
        return Function(latest=F, active=F) if (scope, name) == (F.scope, F.name) else None

    async def _invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        self.invoked.append((version, invocation))
        return self.outcome

    async def call(self, headers: dict[str, str] | None = None, **request: Any) -> dict[str, Any]:
        fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        http = Request("POST", "/2015-03-31/functions/f/invocations", Headers(fields))
        call = Call("request-1", "Invoke", Scope(), Principal(), http, "http://localhost:9600")
        answer = await self.operations.invoke(call, {"FunctionName": "f", **request})
        self.answer_headers = dict(call.answer_headers)
        return answer

    async def call_async(self, **request: Any) -> dict[str, Any]:
        http = Request("POST", "/2014-11-13/functions/f/invoke-async", Headers([]))
        call = Call("request-1", "InvokeAsync", Scope(), Principal(), http, "http://localhost:9600")
        return await self.operations.invoke_async(call, {"FunctionName": "f", **request})

    async def refusal(self, **request: Any) -> tuple[str, str]:
        with pytest.raises(ApiError) as caught:
            await self.call(**request)
        assert (self.invoked, self.accepted) == ([], [])
        return caught.value.code, caught.value.message

    @property
    def invocation(self) -> Invocation:
        ((_, invocation),) = self.invoked
        return invocation


# Good invocations...


async def test_an_invocation_carries_what_the_caller_sent() -> None:
    door = Door()
    context = base64.b64encode(b'{"custom":{"a":"\xc3\xa9"}}').decode()
    await door.call(
        {"X-Amzn-Trace-Id": "Root=1-a;Sampled=1"}, Payload=b'{"a":1}', ClientContext=context, LogType="Tail"
    )
    assert replace(door.invocation, invocation_id="") == Invocation(
        request_id="request-1",
        function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        payload=b'{"a":1}',
        trace_id="Root=1-a;Sampled=1;Lineage=1:9be734d8:0",
        client_context='{"custom":{"a":"é"}}',
        tail=True,
    )


async def test_every_attempt_has_a_name_of_its_own() -> None:
    door = Door()
    await door.call()
    await door.call()
    (_, first), (_, second) = door.invoked
    assert first.invocation_id != second.invocation_id


@pytest.mark.parametrize(
    ("request_", "arn"),
    [
        ({}, "arn:aws:lambda:us-east-1:000000000000:function:f"),
        ({"Qualifier": "$LATEST"}, "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"),
        ({"FunctionName": "f:$LATEST"}, "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"),
    ],
)
async def test_the_function_sees_its_arn_as_the_caller_addressed_it(request_: dict[str, Any], arn: str) -> None:
    door = Door()
    await door.call(**request_)
    assert door.invocation.function_arn == arn


async def test_nothing_sent_is_an_empty_object() -> None:
    door = Door()
    await door.call(Payload=b"")
    assert door.invocation.payload == b"{}"


async def test_an_invocation_without_a_trace_gets_one_that_is_told() -> None:
    door = Door()
    await door.call()
    trace = door.invocation.trace_id
    assert re.fullmatch(r"Root=1-5f000000-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=1:9be734d8:0", trace)
    assert door.answer_headers == {"X-Amzn-Trace-Id": trace}


async def test_the_seventeenth_of_a_chain_is_stopped_or_as_an_event_accepted_to_be_stopped() -> None:
    door = Door()
    for _ in range(16):
        await door.call({"X-Amzn-Trace-Id": door.answer_headers.get("X-Amzn-Trace-Id", "Root=1-a")})
    headers = dict(door.answer_headers)
    assert headers == {"X-Amzn-Trace-Id": "Root=1-a;Lineage=1:9be734d8:15"}
    with pytest.raises(RecursiveInvocation):
        await door.call(headers)
    await door.call(headers, InvocationType="DryRun")
    assert len(door.invoked) == 16
    await door.call(headers, InvocationType="Event")
    assert [event.trace_id for event in door.accepted] == ["Root=1-a;Lineage=1:9be734d8:16"]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome(Status.SUCCESS, b"1"), {"Payload": b"1"}),
        (Outcome(Status.ERROR, b"{}", "Function.X"), {"Payload": b"{}", "FunctionError": "Unhandled"}),
        (Outcome(Status.TIMEOUT, b"{}"), {"Payload": b"{}", "FunctionError": "Unhandled"}),
        (Outcome(Status.SUCCESS, b"1", log_tail=b"END\n"), {"Payload": b"1", "LogResult": "RU5ECg=="}),
    ],
)
async def test_the_outcome_is_told_as_aws_does(outcome: Outcome, told: dict[str, Any]) -> None:
    assert await Door(outcome).call() == {"StatusCode": 200, "ExecutedVersion": "$LATEST", **told}


async def test_a_dry_run_runs_nothing() -> None:
    door = Door()
    assert (await door.call(InvocationType="DryRun"), door.invoked) == ({"StatusCode": 204}, [])


# Refusals...


async def test_a_function_that_is_not_there_is_not_found_even_for_a_dry_run() -> None:
    assert await Door().refusal(FunctionName="g", InvocationType="DryRun") == (
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:g",
    )


async def test_a_qualifier_that_is_not_there_is_not_found() -> None:
    assert await Door().refusal(Qualifier="live") == (
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:live",
    )


# Events...


async def test_an_event_is_kept_as_it_was_sent_and_answered_without_a_body() -> None:
    door = Door()
    context = base64.b64encode(b"{}").decode()
    answer = await door.call(
        {"X-Amzn-Trace-Id": "Root=1-a"},
        InvocationType="Event",
        Payload=b'{"a":1}',
        ClientContext=context,
        LogType="Tail",
    )
    (event,) = door.accepted
    assert (answer, door.invoked) == ({"StatusCode": 202}, [])
    assert replace(event, trace_id="") == Event("request-1", F.scope, "f", "", b'{"a":1}', float(0x5F000000))
    assert event.trace_id.startswith("Root=1-a;Lineage=1:")
    assert door.answer_headers == {"X-Amzn-Trace-Id": "Root=1-a"}


async def test_an_event_for_a_qualifier_keeps_it() -> None:
    door = Door()
    await door.call(InvocationType="Event", Qualifier="$LATEST")
    await door.call(InvocationType="Event", FunctionName="f:$LATEST")
    assert [(event.qualifier, event.payload) for event in door.accepted] == [("$LATEST", b"{}")] * 2


async def test_an_event_of_the_old_operation_is_kept_too() -> None:
    door = Door()
    assert await door.call_async(InvokeArgs=b"[1]") == {"Status": 202}
    assert [event.payload for event in door.accepted] == [b"[1]"]


async def test_events_have_limits_of_their_own() -> None:
    large, largest = b'"' + b"x" * 1_048_575 + b'"', b'"' + b"x" * 1_048_574 + b'"'
    assert await Door().refusal(InvocationType="Event", Payload=large) == (
        "RequestTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    )
    door = Door()
    await door.call(InvocationType="Event", Payload=largest)
    assert len(door.accepted) == 1
    with pytest.raises(ApiError) as caught:
        await door.call_async(InvokeArgs=b'"' + b"x" * 262_143 + b'"')
    assert caught.value.message.endswith("(limit 262144 bytes)")


async def test_an_event_is_checked_as_an_invocation_is() -> None:
    assert (await Door().refusal(InvocationType="Event", Qualifier="live"))[0] == "ResourceNotFoundException"
    assert (await Door().refusal(InvocationType="Event", Payload=b"}"))[0] == "InvalidRequestContentException"
    assert (await Door().refusal(InvocationType="Event", TenantId="blue"))[0] == "InvalidParameterValueException"


async def test_an_event_that_cannot_be_kept_is_not_accepted() -> None:
    door = Door()
    door.disk_is_full = True
    code, message = await door.refusal(InvocationType="Event")
    assert (code, "could not be queued" in message) == ("ServiceException", True)


async def test_a_payload_over_the_limit_is_refused_with_its_size() -> None:
    assert await Door().refusal(Payload=b'"' + b"x" * 6_291_556 + b'"') == (
        "RequestTooLargeException",
        "6291558 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)",
    )


async def test_a_payload_at_the_limit_is_taken() -> None:
    door = Door()
    await door.call(Payload=b'"' + b"x" * (6_291_556 - 2) + b'"')
    assert len(door.invocation.payload) == 6_291_556


async def test_a_large_payload_is_looked_at_as_closely_as_a_small_one() -> None:
    code, message = await Door().refusal(Payload=b'"' + b"x" * 1_000_000)
    assert (code, "Unexpected end-of-input" in message) == ("InvalidRequestContentException", True)


@pytest.mark.parametrize(
    "context",
    [
        "no base64!",
        "é",
        "e30",
        base64.b64encode(b"[1]").decode(),
        base64.b64encode(b'{"a":').decode(),
        base64.b64encode(b'{"a":"\xff"}').decode(),
        base64.b64encode(b'{"a":' + b"[" * 2_000).decode(),
    ],
)
async def test_a_client_context_must_be_an_object_in_base64(context: str) -> None:
    assert await Door().refusal(ClientContext=context) == (
        "InvalidRequestContentException",
        "Client context must be a valid Base64-encoded JSON object.",
    )


async def test_a_client_context_has_a_limit() -> None:
    assert await Door().refusal(ClientContext="e" * 3_584) == (
        "InvalidRequestContentException",
        "Client context must be no more than 3583 bytes when base64-encoded.",
    )


# Payloads that are no JSON...

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def complaint(payload: bytes) -> tuple[str, str]:
    """What is wrong, and where."""
    with pytest.raises(InvalidRequestContent) as caught:
        check_json(payload)
    first, second = caught.value.message.split("\n")
    start = "Could not parse request body into json: Could not parse payload into json: "
    source = " at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
    assert (first.startswith(start), second.startswith(source), second.endswith("]")) == (True, True, True)
    return first.removeprefix(start), second.removeprefix(source).removesuffix("]")


@pytest.mark.parametrize(
    ("payload", "what", "where"),
    [
        # Recorded.
        (b"\x99abc", f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {VALUES}", (1, 1)),
        (b"a\x87", "Invalid UTF-8 start byte 0x87", (1, 3)),
        # By the same parser's rules.
        (b"\xc3\xa9", "Invalid UTF-8 start byte 0xa9", (1, 3)),
        (b'{"a":"\x87"}', "Invalid UTF-8 start byte 0x87", (1, 8)),
        (b"hello", f"Unrecognized token 'hello': was expecting {VALUES}", (1, 6)),
        (b"hello world", f"Unrecognized token 'hello': was expecting {VALUES}", (1, 7)),
        (b'{"a": nul}', f"Unrecognized token 'nul': was expecting {VALUES}", (1, 11)),
        (b"NaN", f"Unrecognized token 'NaN': was expecting {VALUES}", (1, 4)),
        (b"{'a':1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name", (1, 2)),
        (b'{"a":1,}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name", (1, 8)),
        (b'{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", (1, 6)),
        (b"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", (1, 4)),
        (b'{"[":[],\n"a":1\n"b":2}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries", (3, 1)),
        (b"[,]", f"Unexpected character (',' (code 44)): expected a valid value {VALUES}", (1, 2)),
        (b'{"a":', "Unexpected end-of-input", (1, 6)),
        (b'"abc', "Unexpected end-of-input", (1, 5)),
        (b" \n ", "Unexpected end-of-input", (2, 2)),
    ],
)  # fmt: skip
def test_a_payload_that_is_no_json_is_refused_in_the_words_of_the_parser_that_aws_uses(
    payload: bytes, what: str, where: tuple[int, int]
) -> None:
    assert complaint(payload) == (what, f"line: {where[0]}, column: {where[1]}")


def test_a_payload_that_is_nested_too_deep_is_refused() -> None:
    assert complaint(b"[" * 100_000)[0] == "Document nesting depth exceeds the maximum allowed"


@pytest.mark.parametrize("payload", [b"1" * 5_000, b'"\\ud800"', b"1e999", b" {} ", b"null", b'"\xc3\xa9"', b"-0.0"])
def test_whatever_is_json_is_taken_even_where_python_has_limits(payload: bytes) -> None:
    check_json(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_every_json_is_taken(value: Any, ascii_: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_)
    check_json(text.encode("utf-8", "replace"))


@given(st.one_of(st.binary(max_size=30), JSON.map(lambda value: json.dumps(value).encode()[:-1])))
@example(b"\xed\xa0\x80")
@example(b'"\\')
@example(b'{"":NaN')
def test_any_bytes_are_taken_or_refused_and_never_upset_the_server(payload: bytes) -> None:
    refused = ""
    try:
        check_json(payload)
    except InvalidRequestContent as refusal:
        refused = refusal.message
    if refused:
        assert re.search(r"line: \d+, column: \d+\]$", refused)
    else:
        json.loads(payload)


# Concurrency...


async def test_over_the_accounts_concurrency_an_invocation_is_throttled() -> None:
    inner: list[tuple[str, Any]] = []

    async def run(version: FunctionVersion, invocation: Invocation, _slot: Slot) -> Outcome:
        with pytest.raises(ApiError) as caught:
            await invoker.invoke(version, invocation)
        inner.append((caught.value.code, caught.value.members))
        return Outcome(Status.SUCCESS, b"1")

    invoker = DirectInvoker(run, Limits(concurrent_executions=1))
    invocation = Invocation("r", "arn", b"{}")
    for _ in range(2):
        await invoker.invoke(F, invocation)
    assert inner == [("TooManyRequestsException", {"Reason": "ConcurrentInvocationLimitExceeded"})] * 2


async def test_an_invocation_that_fails_gives_its_concurrency_back() -> None:
    async def fails(_version: FunctionVersion, _invocation: Invocation, _slot: Slot) -> Outcome:
        raise RuntimeError

    invoker = DirectInvoker(fails, Limits(concurrent_executions=1))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await invoker.invoke(F, Invocation("r", "arn", b"{}"))
