"""Answers in pieces: botocore's reader of event streams reads ours."""

from collections.abc import AsyncIterator
from typing import Any

from botocore.eventstream import EventStreamBuffer

from pasture.api.wire.restjson import RestJson
from pasture.api.wire.service import load_model

LAMBDA = RestJson(load_model("lambda"))


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
    buffer = EventStreamBuffer()
    assert not isinstance(response.body, bytes)
    async for piece in response.body:
        buffer.add_data(piece)
    messages: list[Any] = list(buffer)
    assert [(event.headers[":event-type"], event.payload) for event in messages] == [
        ("PayloadChunk", b"\x00one"),
        ("InvokeComplete", b'{"ErrorCode":"Unhandled"}'),
    ]
