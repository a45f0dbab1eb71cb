"""What is delivered when an event is over, word for word as recorded from AWS (reference 4.2)."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.destinations.record import deliveries
from pasture.domain.events import Channel, Condition, Delivery, Event
from pasture.domain.function_settings import EventInvoke
from pasture.domain.invocation import Outcome, Status
from pasture.domain.scope import Scope

NOW = 1573755365.568
QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"
TOPIC = "arn:aws:sns:us-east-1:123456789012:t"
DEAD = "arn:aws:sqs:us-east-1:123456789012:dead"
ROLE = "arn:aws:iam::123456789012:role/r"
EVENT = Event(
    id="e4b46cbf-b738-xmpl-8880-a18cdf61200e",
    scope=Scope("123456789012", "us-east-2"),
    name="my-function",
    qualifier="",
    payload=b'{"ORDER_IDS":["9e07af03",  1.50]}',
    accepted=NOW - 200,
    trace_id="Root=1-2-3;Lineage=1:9be734d8:0",
)
BOOM = Outcome(Status.ERROR, b'{"errorMessage": "RequestId: x Process exited", "errorType": "E"}', "E")
FINE = Outcome(Status.SUCCESS, b'"done"')
EVERYWHERE = EventInvoke(NOW, on_success=QUEUE, on_failure=TOPIC)


def delivered(
    condition: Condition,
    outcome: Outcome | None,
    event: Event = EVENT,
    new_id: Callable[[], str] | None = None,
    **more: Any,
) -> list[Delivery]:
    numbers = itertools.count(1)
    options: dict[str, Any] = {
        "settings": EVERYWHERE,
        "dead_letter_arn": DEAD,
        "role": ROLE,
        "executed_version": "$LATEST",
        "invoke_count": 3,
        "now": NOW,
        "new_id": new_id or (lambda: f"d{next(numbers)}"),
        **more,
    }
    return deliveries(event, condition, outcome=outcome, **options)


def test_a_failures_record_is_byte_for_byte_as_aws_writes_it() -> None:
    record, _ = delivered(Condition.RETRIES_EXHAUSTED, BOOM)
    assert record.body == (
        b'{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z",'
        b'"requestContext":{"requestId":"e4b46cbf-b738-xmpl-8880-a18cdf61200e",'
        b'"functionArn":"arn:aws:lambda:us-east-2:123456789012:function:my-function:$LATEST",'
        b'"condition":"RetriesExhausted","approximateInvokeCount":3},'
        b'"requestPayload":{"ORDER_IDS":["9e07af03",  1.50]},'
        b'"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},'
        b'"responsePayload":{"errorMessage": "RequestId: x Process exited", "errorType": "E"}}'
    )


def test_a_successs_record_has_no_function_error_and_goes_to_one_place() -> None:
    event = replace(EVENT, qualifier="live")
    (record,) = delivered(Condition.SUCCESS, FINE, event, executed_version="7", invoke_count=1)
    assert record == Delivery(
        id="d1",
        channel=Channel.DESTINATION,
        target=QUEUE,
        scope=EVENT.scope,
        name="my-function",
        qualifier="live",
        role=ROLE,
        body=(
            b'{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z",'
            b'"requestContext":{"requestId":"e4b46cbf-b738-xmpl-8880-a18cdf61200e",'
            b'"functionArn":"arn:aws:lambda:us-east-2:123456789012:function:my-function:live",'
            b'"condition":"Success","approximateInvokeCount":1},'
            b'"requestPayload":{"ORDER_IDS":["9e07af03",  1.50]},'
            b'"responseContext":{"statusCode":200,"executedVersion":"7"},'
            b'"responsePayload":"done"}'
        ),
        created=NOW,
        condition=Condition.SUCCESS,
        trace_id=EVENT.trace_id,
    )


@pytest.mark.parametrize("condition", [Condition.ZERO_RESERVED_CONCURRENCY, Condition.EVENT_AGE_EXCEEDED])
def test_what_never_ran_has_no_response(condition: Condition) -> None:
    record, _ = delivered(condition, None, invoke_count=0)
    content = json.loads(record.body)
    assert list(content) == ["version", "timestamp", "requestContext", "requestPayload"]
    assert content["requestContext"]["condition"] == condition.value
    assert content["requestContext"]["approximateInvokeCount"] == 0


def test_what_grew_too_old_after_it_failed_has_the_last_response() -> None:
    record, dead = delivered(Condition.EVENT_AGE_EXCEEDED, BOOM, invoke_count=1)
    assert json.loads(record.body)["responsePayload"]["errorType"] == "E"
    assert dead.attributes["ErrorCode"] == ("Number", "200")


def test_a_failure_goes_to_its_destination_and_to_the_dead_letter_queue() -> None:
    record, dead = delivered(Condition.RETRIES_EXHAUSTED, BOOM)
    assert (record.channel, record.target, record.attributes) == (Channel.DESTINATION, TOPIC, {})
    assert (dead.channel, dead.target, dead.body) == (Channel.DEAD_LETTER, DEAD, EVENT.payload)
    assert dead.attributes == {
        "RequestID": ("String", EVENT.id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "RequestId: x Process exited"),
    }
    assert record.id != dead.id


@pytest.mark.parametrize("condition", list(Condition))
def test_nobody_who_did_not_ask_is_told(condition: Condition) -> None:
    assert delivered(condition, None, settings=None, dead_letter_arn="") == []
    assert delivered(condition, None, settings=EventInvoke(NOW, retries=1), dead_letter_arn="") == []


def test_a_dead_letter_of_what_never_ran_has_the_words_a_caller_would_have_had() -> None:
    def reason(condition: Condition) -> tuple[str, str]:
        (dead,) = delivered(condition, None, settings=None)
        return dead.attributes["ErrorCode"][1], dead.attributes["ErrorMessage"][1]

    assert reason(Condition.ZERO_RESERVED_CONCURRENCY) == ("429", "Rate Exceeded.")
    code, message = reason(Condition.RECURSION)
    assert code == "400"
    assert message.startswith("Lambda has detected your function being invoked in a recursive loop")


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"errorMessage":"a\\u0000b\\u001b[1m\\ud800"}', "a\ufffdb\ufffd[1m\ufffd"),
        (b'{"errorMessage":"' + "é".encode() * 600 + b'"}', "é" * 512),
        (b'{"errorMessage":"' + "x€".encode() * 400 + b'"}', ("x€" * 256)[:512]),
        (b'{"errorType":"Only"}', "E"),
        (b"not json", "E"),
        (b'{"errorMessage":7}', "E"),
    ],
)
def test_a_dead_letters_error_message_is_a_kilobyte_that_a_message_may_have(payload: bytes, told: str) -> None:
    (dead,) = delivered(Condition.RETRIES_EXHAUSTED, replace(BOOM, payload=payload), settings=None)
    message = dead.attributes["ErrorMessage"][1]
    assert message == told
    assert len(message.encode()) <= 1024


def test_an_error_without_any_words_has_no_error_message() -> None:
    (dead,) = delivered(Condition.RETRIES_EXHAUSTED, Outcome(Status.ERROR, b'{"errorMessage":""}'), settings=None)
    assert "ErrorMessage" not in dead.attributes


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        (b"", b"null"),
        (b"null", b"null"),
        (b"plain", b'"plain"'),
        (b'{"a":NaN}', b'"{\\"a\\":NaN}"'),
        (b"\xff", '"\ufffd"'.encode()),
        (b'"\xff"', '"\\"\ufffd\\""'.encode()),
        (b"[" * 5_000, b'"' + b"[" * 5_000 + b'"'),
        (b' {"a" : 1e400}\n', b' {"a" : 1e400}\n'),
        (b'"\\ud800"', b'"\\ud800"'),
    ],
)
def test_an_answer_that_is_no_json_is_told_as_text(answered: bytes, told: bytes) -> None:
    (record,) = delivered(Condition.SUCCESS, Outcome(Status.SUCCESS, answered))
    assert record.body.endswith(b',"responsePayload":' + told + b"}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(_JSON, _JSON, st.sampled_from(list(Condition)), st.booleans(), st.booleans())
def test_every_record_is_json_that_holds_both_payloads(
    sent: object, answered: object, condition: Condition, ascii_only: bool, ran: bool
) -> None:
    event = replace(EVENT, payload=json.dumps(sent, ensure_ascii=ascii_only).encode(errors="surrogatepass"))
    outcome = Outcome(Status.ERROR, json.dumps(answered).encode(), "E") if ran else None
    for delivery in delivered(condition, outcome, event):
        if delivery.channel is Channel.DEAD_LETTER:
            assert delivery.body == event.payload
            continue
        content = json.loads(delivery.body)
        assert content["requestPayload"] == sent
        assert content.get("responsePayload", answered) == answered
        assert ("responseContext" in content) is ran
