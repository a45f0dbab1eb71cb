"""Functions that talk to the Runtime API themselves, and wrongly: an invocation ends with a right answer all the same."""

import uuid
from collections.abc import Iterator

import pytest

from security.prison import PRISONER, Prison, status_of
from system.node import Server

API = """
import http.client, json, time, urllib.error, urllib.request
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
host, _, port = api.partition(":")
base = "/2018-06-01/runtime/invocation/"
me = context.aws_request_id

def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(api, timeout=5)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return [answer.status, answer.read(2000).decode()]
    finally:
        connection.close()

def raw(*pieces, wait=0.0):
    with socket.create_connection((host, int(port)), timeout=5) as s:
        try:
            for piece in pieces:
                s.sendall(piece)
                time.sleep(wait)
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionError, BrokenPipeError) as error:
            return type(error).__name__
        return answer.decode("latin-1")[:200]
"""


class Abuser(Prison):
    def result(self, code: str, event: object = None) -> object:
        return super().result(API + code, event)


@pytest.fixture
def abuser(server: Server, neighbour: str) -> Iterator[Abuser]:
    """A function of its own; whatever it did, its next invocation works, and a neighbour's too."""
    name = server.deploy(f"abuser-{uuid.uuid4().hex[:8]}", PRISONER, Timeout=4, MemorySize=256)
    one = Abuser(server, name)
    yield one
    assert one.result("result = 'next'") == "next"
    assert server.invoke(neighbour, "still").payload == ["neighbour", "still"]
    assert "Traceback" not in server.log.read_text()
    server.functions.delete_function(FunctionName=name)


def test_a_response_for_another_id_is_refused_and_the_handlers_counts(abuser: Abuser) -> None:
    code = "result = call('POST', base + '00000000-0000-0000-0000-000000000000/response', b'\"forged\"')"
    assert abuser.result(code) == [400, '{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}']


def test_an_error_for_another_id_is_refused(abuser: Abuser) -> None:
    code = "result = call('POST', base + 'x/error', b'{}')"
    assert abuser.result(code) == [400, '{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}']


def test_a_response_that_the_handler_sends_itself_is_the_answer_and_the_second_is_refused(abuser: Abuser) -> None:
    code = (
        API
        + "first = call('POST', base + me + '/response', b'\"mine\"')\nsecond = call('POST', base + me + '/response', b'\"again\"')\nprint(first, second)\nresult = 'late'"
    )
    answer = abuser.attempt(code)
    assert (answer.error, answer.payload) == (None, "mine")


def test_the_response_of_an_earlier_invocation_is_refused(abuser: Abuser) -> None:
    earlier = abuser.result("result = me")
    answer = abuser.result("result = call('POST', base + event + '/response', b'1')", earlier)
    assert answer == [400, '{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}']


def test_a_call_of_next_in_the_middle_gets_the_same_event_again(abuser: Abuser) -> None:
    code = "status, body = call('GET', base + 'next')\nresult = [status, json.loads(body)['event']]"
    assert abuser.result(code, "hello") == [200, "hello"]


def test_an_init_error_in_the_middle_is_refused(abuser: Abuser) -> None:
    answer = abuser.result("result = call('POST', '/2018-06-01/runtime/init/error', b'{}')")
    assert isinstance(answer, list)
    status, body = answer
    assert (status, "InvalidStateTransition" in body) == (403, True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/2015-03-31/functions/", 404),
        ("POST", "/2018-06-01/runtime/invocation/next", 405),
        ("DELETE", "/2018-06-01/runtime/invocation/next", 405),
        ("GET", "/2018-06-01/runtime/invocation/x/response", 405),
        ("POST", "/2018-06-01/runtime/invocation//response", 400),
        ("POST", "/2018-06-01/runtime/invocation/%2e%2e/response", 400),
        ("GET", "/_pasture/health", 404),
        ("GET", "/%00%ff", 404),
    ],
)
def test_a_path_that_is_none_is_said_so(abuser: Abuser, method: str, path: str, status: int) -> None:
    answer = abuser.result("result = call(*event)", [method, path])
    assert isinstance(answer, list)
    assert answer[0] == status


def test_a_huge_header_is_refused(abuser: Abuser) -> None:
    code = "result = raw(b'POST ' + (base + me).encode() + b'/response HTTP/1.1\\r\\nX: ' + b'y' * (8 << 20) + b'\\r\\n\\r\\n')"
    answer = str(abuser.result(code))
    assert answer.startswith("HTTP/1.1 431") or answer in {"ConnectionResetError", "BrokenPipeError"}


def test_a_body_that_lies_about_its_length_is_no_response(abuser: Abuser) -> None:
    code = """
with socket.create_connection((host, int(port)), timeout=5) as s:
    s.sendall(f"POST {base}{me}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000\\r\\n\\r\\nshort".encode())
result = "the handler's"
"""
    assert abuser.result(code) == "the handler's"


def test_two_lengths_or_garbage_are_refused(abuser: Abuser) -> None:
    code = """
target = f"POST {base}{me}/response HTTP/1.1\\r\\nHost: x\\r\\n".encode()
result = [
    raw(target + b"Content-Length: 4\\r\\nContent-Length: 5\\r\\n\\r\\n12345"),
    raw(target + b"Content-Length: -1\\r\\n\\r\\n12345"),
    raw(target + b"Content-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n4\\r\\n1234\\r\\n0\\r\\n\\r\\n"),
    raw(target + b"Transfer-Encoding: chunked\\r\\n\\r\\nZZZ\\r\\nxxxx"),
    raw(bytes(range(256))),
]
"""
    answers = abuser.result(code)
    assert isinstance(answers, list)
    assert [answer for answer in answers if not answer.startswith("HTTP/1.1 400")] == []


def test_a_response_that_never_ends_is_cut_at_the_limit(abuser: Abuser) -> None:
    before = status_of(abuser.server, "VmHWM")
    code = (
        API
        + """
with socket.create_connection((host, int(port)), timeout=5) as s:
    s.sendall(f"POST {base}{me}/response HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n".encode())
    piece = b"100000\\r\\n" + bytes(1 << 20) + b"\\r\\n"
    try:
        while True:
            s.sendall(piece)
    except OSError as error:
        print("cut:", error)
"""
    )
    answer = abuser.attempt(code)
    assert (answer.error, answer.payload["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")
    assert status_of(abuser.server, "VmHWM") - before < 100 * 1024


def test_a_response_that_drips_does_not_outlive_the_time_out(abuser: Abuser) -> None:
    code = (
        API
        + """
with socket.create_connection((host, int(port)), timeout=5) as s:
    s.sendall(f"POST {base}{me}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100000\\r\\n\\r\\n".encode())
    while True:
        s.sendall(b"x")
        time.sleep(0.05)
"""
    )
    answer = abuser.attempt(code)
    assert answer.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {answer.request_id} Error: Task timed out after 4.00 seconds",
    }


def test_thousands_of_connections_to_its_own_api_do_not_stop_the_server(abuser: Abuser) -> None:
    code = (
        API
        + """
kept = []
def open_all():
    while True:
        kept.append(socket.create_connection((host, int(port)), timeout=1))
why = tried(open_all)
number = len(kept)
for s in kept:
    s.close()
result = [why, number]
"""
    )
    answer = abuser.attempt(code)
    assert answer.error in {None, "Unhandled"}


def test_an_error_report_of_its_own_is_the_answer(abuser: Abuser) -> None:
    code = (
        API
        + "call('POST', base + me + '/error', b'{\"errorType\": \"Mine\", \"errorMessage\": \"said\"}', {'Lambda-Runtime-Function-Error-Type': 'x' * 5000})"
    )
    answer = abuser.attempt(code)
    assert (answer.error, answer.payload) == ("Unhandled", {"errorType": "Mine", "errorMessage": "said"})


def test_an_answer_that_is_no_json_reaches_the_caller_as_it_is(abuser: Abuser) -> None:
    answer = abuser.attempt(API + "call('POST', base + me + '/response', bytes(range(256)))")
    assert (answer.error, answer.body) == (None, bytes(range(256)))


def test_headers_of_an_answer_do_not_become_the_gateways(abuser: Abuser) -> None:
    code = (
        API
        + "call('POST', base + me + '/response', b'1', {'X-Amz-Function-Error': 'Forged', 'Set-Cookie': 'a=b', 'Content-Type': 'text/html'})"
    )
    answer = abuser.attempt(code)
    headers = answer.raw["ResponseMetadata"]["HTTPHeaders"]
    assert (answer.error, answer.body) == (None, b"1")
    assert "set-cookie" not in headers
