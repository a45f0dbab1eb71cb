"""Responses in streaming mode, by a runtime that speaks it, to both kinds of callers (aws-lambda reference 3.2, 4.1)."""

import json
import time
from typing import Any

import pytest

from system.node import Server

# A runtime of its own: the handler takes over the Runtime API by raw sockets, since the Python client cannot stream.
STREAMING = r"""
import base64, http.client, json, os, time

def pieces(event):
    for piece in event["pieces"]:
        yield piece.encode()
        time.sleep(event.get("pause", 0))

def respond(api, request_id, event):
    connection = http.client.HTTPConnection(api)
    connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{request_id}/response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", event.get("mode", "streaming"))
    connection.putheader("Content-Type", "text/plain")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    connection.endheaders()
    for piece in pieces(event):
        connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    if event.get("cut"):
        connection.sock.close()
        return
    trailers = ""
    if event.get("fails"):
        body = base64.b64encode(json.dumps({"errorMessage": "half way", "errorType": "Oops"}).encode()).decode()
        trailers = f"Lambda-Runtime-Function-Error-Type: Function.Oops\r\nLambda-Runtime-Function-Error-Body: {body}\r\n"
    connection.send(b"0\r\n" + trailers.encode() + b"\r\n")
    connection.getresponse().read()

def loop():
    api = os.environ["AWS_LAMBDA_RUNTIME_API"]
    while True:
        connection = http.client.HTTPConnection(api)
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = connection.getresponse()
        event = json.loads(answer.read())
        respond(api, answer.headers["Lambda-Runtime-Aws-Request-Id"], event)

loop()
"""


@pytest.fixture(scope="module")
def streaming(server: Server) -> str:
    return server.deploy("streaming", STREAMING)


def stream(
    server: Server, name: str, event: object, **more: Any
) -> tuple[Any, list[tuple[float, bytes]], dict[str, Any]]:
    answer = server.functions.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **more)
    chunks, complete = [], {}
    for part in answer["EventStream"]:
        if "PayloadChunk" in part:
            chunks.append((time.monotonic(), part["PayloadChunk"]["Payload"]))
        else:
            complete = dict(part["InvokeComplete"])
    return answer, chunks, complete


def test_each_piece_reaches_the_client_as_it_is_written(server: Server, streaming: str) -> None:
    answer, chunks, complete = stream(server, streaming, {"pieces": ["one", "two", "three"], "pause": 0.4})
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert [piece for _, piece in chunks] == [b"one", b"two", b"three"]
    assert chunks[2][0] - chunks[0][0] > 0.4
    assert complete == {}


def test_a_buffered_invoke_gets_all_pieces_in_one(server: Server, streaming: str) -> None:
    answer = server.invoke(streaming, {"pieces": ["one", "two"]})
    assert (answer.error, answer.body) == (None, b"onetwo")


def test_an_error_after_the_first_piece_is_told_at_the_end(server: Server, streaming: str) -> None:
    _, chunks, complete = stream(server, streaming, {"pieces": ["one"], "fails": True})
    assert [piece for _, piece in chunks] == [b"one"]
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"]) == {"errorMessage": "half way", "errorType": "Oops"}


def test_a_response_that_is_cut_off_is_told(server: Server, streaming: str) -> None:
    _, _, complete = stream(server, streaming, {"pieces": ["one"], "cut": True})
    assert json.loads(complete["ErrorDetails"])["errorType"] == "Runtime.TruncatedResponse"
    assert server.invoke(streaming, {"pieces": ["fine"]}).body == b"fine"


def test_an_unknown_response_mode_is_refused(server: Server, streaming: str) -> None:
    answer = server.invoke(streaming, {"pieces": ["x"], "mode": "sideways"})
    assert answer.payload["errorType"] == "Runtime.InvalidResponseModeHeader"


def test_a_function_that_does_not_stream_answers_in_one_piece(server: Server) -> None:
    name = server.deploy("one-piece", "def handler(event, context):\n    return event\n")
    _, chunks, complete = stream(server, name, {"a": 1}, LogType="Tail")
    assert [json.loads(piece) for _, piece in chunks] == [{"a": 1}]
    assert set(complete) == {"LogResult"}


def test_a_function_error_is_told_in_a_stream_too(server: Server) -> None:
    name = server.deploy("stream-raises", "def handler(event, context):\n    raise ValueError('no')\n")
    _, chunks, complete = stream(server, name, None)
    assert json.loads(chunks[0][1])["errorType"] == "ValueError"
    assert complete["ErrorCode"] == "Unhandled"


def test_a_time_out_in_the_middle_of_a_stream_is_told(server: Server) -> None:
    name = server.deploy("stream-hangs", STREAMING, Timeout=1)
    _, chunks, complete = stream(server, name, {"pieces": ["one", "never"], "pause": 30})
    assert [piece for _, piece in chunks] == [b"one"]
    assert json.loads(complete["ErrorDetails"])["errorType"] == "Sandbox.Timedout"


def test_a_client_that_stops_reading_does_not_end_the_function(server: Server, streaming: str) -> None:
    event = {"pieces": ["x" * 1000] * 20, "pause": 0.02}
    answer = server.functions.invoke_with_response_stream(FunctionName=streaming, Payload=json.dumps(event))
    next(iter(answer["EventStream"]))
    answer["EventStream"].close()
    assert server.invoke(streaming, {"pieces": ["next"]}).body == b"next"
