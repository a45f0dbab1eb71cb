"""Answers in pieces: botocore's reader of event streams reads ours."""

from collections.abc import AsyncIterator
from typing import Any

from botocore.eventstream import EventStreamBuffer

from pasture.api.wire.awsjson import AwsJson
from pasture.api.wire.restjson import RestJson
from pasture.api.wire.service import load_model
from pasture.http.message import Response

LAMBDA = RestJson(load_model("lambda"))
LOGS = AwsJson(load_model("logs"))


async def test_a_streamed_answer_is_a_message_for_each_event() -> None:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"PayloadChunk": {"Payload": b"\x00one"}}
        yield {"InvokeComplete": {"ErrorCode": "Unhandled", "LogResult": None}}

    output = {"StatusCode": 200, "ExecutedVersion": "3", "EventStream": events()}
    response = LAMBDA.answer("InvokeWithResponseStream", output, "an-id")
    assert dict(response.headers) == {
        "Content-Type": "application/vnd.amazon.eventstream",
        "x-amzn-RequestId": "an-id",
        "X-Amz-Executed-Version": "3",
    }
    assert await heard(response) == [
        ("PayloadChunk", b"\x00one"),
        ("InvokeComplete", b'{"ErrorCode":"Unhandled"}'),
    ]


async def test_a_streamed_answer_in_json_begins_with_its_initial_response() -> None:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"sessionUpdate": {"sessionResults": [{"message": "a line"}]}}

    response = LOGS.answer("StartLiveTail", {"responseStream": events()}, "an-id")
    assert response.headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert await heard(response) == [
        ("initial-response", b"{}"),
        ("sessionUpdate", b'{"sessionResults":[{"message":"a line"}]}'),
    ]


async def heard(response: Response) -> list[tuple[str, bytes]]:
    """What botocore reads: the type and the payload of each event."""
    buffer = EventStreamBuffer()
    assert not isinstance(response.body, bytes)
    async for piece in response.body:
        buffer.add_data(piece)
    messages: list[Any] = list(buffer)
    return [(event.headers[":event-type"], event.payload) for event in messages]
