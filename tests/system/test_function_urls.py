"""Function URLs, with plain HTTP clients against a whole server."""

import http.client
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from system.node import Server
from system.test_response_streaming import STREAMING

ECHO = "def handler(event, context):\n    return {'statusCode': 200, 'body': __import__('json').dumps(event)}\n"
ANYTHING = "import json\ndef handler(event, context):\n    return json.loads(event['body'])\n"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("urls") / "data").start()
    yield running
    running.stop()


def open_url(server: Server, name: str, code: str, **more: Any) -> str:
    """A function behind a URL that everyone may call; answers the URL."""
    server.deploy(name, code)
    url = server.functions.create_function_url_config(FunctionName=name, AuthType="NONE", **more)["FunctionUrl"]
    permit(server, name)
    return url


def permit(server: Server, name: str, principal: str = "*", kind: Any = "NONE", **more: Any) -> None:
    client = server.functions
    client.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal=principal,
        FunctionUrlAuthType=kind, **more,
    )  # fmt: skip
    client.add_permission(
        FunctionName=name, StatementId="function", Action="lambda:InvokeFunction", Principal=principal,
        InvokedViaFunctionUrl=True, **more,
    )  # fmt: skip


def ask(url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.headers, error.read())  # type: ignore[arg-type]


def signed(server: Server, url: str, **keys: str) -> dict[str, str]:
    key = keys or server.key()
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(key["aws_access_key_id"], key["aws_secret_access_key"]), "lambda", "us-east-1").add_auth(
        request
    )
    return dict(request.headers)


def test_a_url_opens_and_the_event_is_as_on_aws(server: Server) -> None:
    url = open_url(server, "echo", ECHO)
    reply = ask(
        f"{url}a%20b/c?x=1&x=2&y=%26",
        "POST",
        b'{"a": 1}',
        {"Content-Type": "application/json", "Cookie": "one=1; two=2", "X-Many": "3", "User-Agent": "tester"},
    )
    assert reply.status == 200
    event = reply.json
    identifier = url.rstrip("/").rpartition("/")[2]
    address = urlsplit(url)
    context = event.pop("requestContext")
    headers = event.pop("headers")
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a%20b/c",
        "rawQueryString": "x=1&x=2&y=%26",
        "cookies": ["one=1", "two=2"],
        "queryStringParameters": {"x": "1,2", "y": "&"},
        "body": '{"a": 1}',
        "isBase64Encoded": False,
    }
    assert context.pop("requestId") == reply.headers["x-amzn-RequestId"]
    assert context.pop("timeEpoch") > 1_700_000_000_000
    assert context.pop("time").endswith(" +0000")
    assert context == {
        "accountId": "anonymous",
        "apiId": identifier,
        "domainName": "127.0.0.1",
        "domainPrefix": "127",
        "http": {
            "method": "POST",
            "path": "/a%20b/c",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "tester",
        },
        "routeKey": "$default",
        "stage": "$default",
    }
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("http", str(address.port))
    assert headers["x-amzn-trace-id"] == reply.headers["X-Amzn-Trace-Id"]
    assert headers["x-many"] == "3"


def test_a_url_is_also_served_under_a_host_name_of_its_own(server: Server) -> None:
    url = open_url(server, "named", ECHO)
    identifier = url.rstrip("/").rpartition("/")[2]
    host = f"{identifier}.lambda-url.us-east-1.localhost:{urlsplit(url).port}"
    reply = ask(f"{server.url}/x/y?z", headers={"Host": host})
    assert reply.json["rawPath"] == "/x/y"
    assert reply.json["requestContext"]["domainPrefix"] == identifier
    curl = subprocess.run(["curl", "-sS", f"http://{host}/by-curl"], capture_output=True, check=True)
    assert json.loads(curl.stdout)["rawPath"] == "/by-curl"


def test_bytes_arrive_in_base64_and_leave_as_bytes(server: Server) -> None:
    url = open_url(
        server,
        "bytes",
        "def handler(event, context):\n"
        "    return {'statusCode': 201, 'body': event['body'], 'isBase64Encoded': event['isBase64Encoded'],\n"
        "            'headers': {'Content-Type': 'image/png', 'X-N': 5}, 'cookies': ['a=1; Path=/', 'b=2']}\n",
    )
    picture = bytes(range(256)) * 100
    reply = ask(url, "PUT", picture, {"Content-Type": "image/png"})
    assert (reply.status, reply.body) == (201, picture)
    assert (reply.headers["content-type"], reply.headers["x-n"]) == ("image/png", "5")
    assert reply.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]


@pytest.mark.parametrize(
    ("returned", "body"),
    [('"hello"', b"hello"), ("[1, 2]", b"[1, 2]"), ('{"a": 1}', b'{"a": 1}'), ("7", b"7"), ("null", b"null")],
)
def test_what_is_no_answer_of_http_is_the_body(server: Server, returned: str, body: bytes) -> None:
    url = until_open(server, "anything", ANYTHING)
    reply = ask(url, "POST", returned.encode(), {"Content-Type": "application/json"})
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "application/json", body)


@pytest.mark.parametrize(
    "returned",
    [
        '{"statusCode": 999}',
        '{"statusCode": "x"}',
        '{"statusCode": 200, "headers": {"a b": "1"}}',
        '{"statusCode": 200, "cookies": 5}',
        '{"statusCode": 200, "isBase64Encoded": true, "body": "é"}',
    ],
)
def test_an_answer_that_http_does_not_know_is_a_bad_gateway(server: Server, returned: str) -> None:
    url = until_open(server, "anything", ANYTHING)
    reply = ask(url, "POST", returned.encode(), {"Content-Type": "application/json"})
    assert (reply.status, reply.body) == (502, b"Internal Server Error")


def test_a_header_cannot_start_another(server: Server) -> None:
    url = until_open(server, "anything", ANYTHING)
    returned = {"statusCode": 200, "headers": {"x-a": "1\r\nx-b: 2"}, "cookies": ["c=1\r\nx-d: 4"]}
    reply = ask(url, "POST", json.dumps(returned).encode(), {"Content-Type": "application/json"})
    assert reply.status == 200
    assert (reply.headers["x-b"], reply.headers["x-d"]) == (None, None)


def test_a_function_that_fails_is_a_bad_gateway_without_details(server: Server) -> None:
    url = open_url(server, "fails", "def handler(event, context):\n    raise ValueError('secret')\n")
    reply = ask(url)
    assert (reply.status, reply.body) == (502, b"Internal Server Error")


def test_a_head_request_has_headers_and_no_body(server: Server) -> None:
    url = until_open(server, "echo-head", ECHO)
    reply = ask(url, "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 100


def test_without_both_permissions_nobody_may_call(server: Server) -> None:
    server.deploy("closed", ECHO)
    client = server.functions
    url = client.create_function_url_config(FunctionName="closed", AuthType="NONE")["FunctionUrl"]
    refused = ask(url)
    assert (refused.status, refused.headers["x-amzn-ErrorType"]) == (403, "AccessDeniedException")
    assert refused.json == {
        "Message": "Forbidden. For troubleshooting Function URL authorization issues, see: "
        "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
    }
    client.add_permission(
        FunctionName="closed", StatementId="one", Action="lambda:InvokeFunctionUrl", Principal="*",
        FunctionUrlAuthType="NONE",
    )  # fmt: skip
    assert ask(url).status == 403
    client.add_permission(
        FunctionName="closed", StatementId="two", Action="lambda:InvokeFunction", Principal="*",
        InvokedViaFunctionUrl=True,
    )  # fmt: skip
    assert ask(url).status == 200


def test_a_url_with_iam_asks_for_a_signature_and_says_who_signed(server: Server) -> None:
    server.deploy("signed", ECHO)
    url = server.functions.create_function_url_config(FunctionName="signed", AuthType="AWS_IAM")["FunctionUrl"]
    assert ask(url).status == 403
    reply = ask(url, headers=signed(server, url))
    assert reply.status == 200
    iam = reply.json["requestContext"]["authorizer"]["iam"]
    assert iam["accessKey"] == server.key()["aws_access_key_id"]
    assert (iam["accountId"], reply.json["requestContext"]["accountId"]) == ("000000000000", "000000000000")
    stranger = {"aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA", "aws_secret_access_key": "x" * 40}
    assert ask(url, headers=signed(server, url, **stranger)).status == 403


def test_browsers_from_other_origins_are_answered_by_the_service(server: Server) -> None:
    cors = {"AllowOrigins": ["https://shop.example"], "AllowMethods": ["PUT"], "AllowHeaders": ["x-a"], "MaxAge": 60}
    url = open_url(server, "crossed", ECHO, Cors=cors)
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT"}
    allowed = ask(url, "OPTIONS", headers={**asks, "Access-Control-Request-Headers": "X-A"})
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert allowed.headers["access-control-allow-methods"] == "PUT"
    assert (allowed.headers["access-control-allow-headers"], allowed.headers["access-control-max-age"]) == ("x-a", "60")
    assert allowed.body == b""
    refused = ask(url, "OPTIONS", headers={**asks, "Origin": "https://evil.example"})
    assert refused.headers["access-control-allow-origin"] is None
    answer = ask(url, headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.json["rawPath"] == "/"


def test_a_url_that_is_gone_says_no_more_than_one_that_never_was(server: Server) -> None:
    url = open_url(server, "going", ECHO)
    server.functions.delete_function_url_config(FunctionName="going")
    gone = ask(url)
    never = ask(f"{server.url}/_pasture/url/{'a' * 32}/")
    assert (gone.status, gone.body) == (never.status, never.body) == (403, gone.body)


def test_reserved_concurrency_of_zero_throttles(server: Server) -> None:
    url = open_url(server, "stopped", ECHO)
    server.functions.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    reply = ask(url)
    assert (reply.status, reply.json["Reason"]) == (429, "ReservedFunctionConcurrentInvocationLimitExceeded")


def test_a_request_that_is_too_large_is_refused(server: Server) -> None:
    url = until_open(server, "echo-head", ECHO)
    assert ask(url, "POST", b"\0" * (5 * 1024 * 1024)).status == 413


def test_urls_survive_a_server_that_is_killed(tmp_path: Path) -> None:
    running = Server(tmp_path / "data").start()
    url = open_url(running, "lasting", ECHO)
    path = urlsplit(url).path
    running.stop(9)
    again = Server(tmp_path / "data").start()
    try:
        assert ask(again.url + path).status == 200
    finally:
        again.stop()


def until_open(server: Server, name: str, code: str) -> str:
    """The URL of a function that several tests share."""
    client = server.functions
    try:
        return str(client.get_function_url_config(FunctionName=name)["FunctionUrl"])
    except client.exceptions.ResourceNotFoundException:
        return open_url(server, name, code)


# Streaming...

PRELUDE = "application/vnd.awslambda.http-integration-response"


def streaming_url(server: Server) -> str:
    code = STREAMING.replace("json.loads(answer.read())", "json.loads(json.loads(answer.read())['body'])")
    code = code.replace('"text/plain"', 'event.get("type", "text/plain")')
    try:
        return str(server.functions.get_function_url_config(FunctionName="streams")["FunctionUrl"])
    except server.functions.exceptions.ResourceNotFoundException:
        return open_url(server, "streams", code, InvokeMode="RESPONSE_STREAM")


def stream(server: Server, event: Mapping[str, Any]) -> http.client.HTTPResponse:
    address = urlsplit(streaming_url(server))
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    connection.request("POST", address.path, json.dumps(event), {"Content-Type": "application/json"})
    return connection.getresponse()


def test_a_streamed_response_reaches_the_client_as_it_is_written(server: Server) -> None:
    answer = stream(server, {"pieces": ["one", "two"], "pause": 0.5})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
    assert answer.read1(100) == b"one"
    first = time.monotonic()
    assert answer.read() == b"two"
    assert time.monotonic() - first > 0.3


def test_a_streamed_response_may_begin_with_its_status_and_headers(server: Server) -> None:
    prelude = json.dumps({"statusCode": 418, "headers": {"Content-Type": "text/html"}, "cookies": ["a=1", "b=2"]})
    answer = stream(server, {"type": PRELUDE, "pieces": [prelude[:9], prelude[9:] + "\0\0\0", "\0\0\0\0\0<p>", "</p>"]})
    assert (answer.status, answer.headers["content-type"]) == (418, "text/html")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert answer.read() == b"<p></p>"


@pytest.mark.parametrize("pieces", [["no json" + "\0" * 8], ["{}"], ["x" * 200_000]])
def test_a_head_that_is_none_is_a_bad_gateway(server: Server, pieces: list[str]) -> None:
    answer = stream(server, {"type": PRELUDE, "pieces": pieces})
    assert (answer.status, answer.read()) == (502, b"Internal Server Error")


def test_a_stream_that_fails_half_way_is_cut_off(server: Server) -> None:
    answer = stream(server, {"pieces": ["one"], "fails": True})
    with pytest.raises(http.client.IncompleteRead):
        answer.read()


def test_a_buffered_url_collects_what_is_streamed(server: Server) -> None:
    url = streaming_url(server)
    server.functions.update_function_url_config(FunctionName="streams", InvokeMode="BUFFERED")
    try:
        prelude = json.dumps({"statusCode": 201})
        event = {"type": PRELUDE, "pieces": [prelude, "\0" * 8, "who", "le"]}
        reply = ask(url, "POST", json.dumps(event).encode(), {"Content-Type": "application/json"})
    finally:
        server.functions.update_function_url_config(FunctionName="streams", InvokeMode="RESPONSE_STREAM")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (201, b"whole", "5")
