"""The front door with everything behind it that is ours: signatures, services, plain pages."""

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pasture.api.auth.authenticator import Authenticator, OpenDoor
from pasture.api.auth.keys import KeyRing
from pasture.api.call import Call
from pasture.api.gateway import Gateway, base_url
from pasture.api.sts import CallerIdentity
from pasture.api.wire.service import Service
from pasture.domain.errors import AccessDenied, ResourceNotFound
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request, Response
from pasture.kit.clock import ManualClock, SystemClock

INVOKE = "/2015-03-31/functions/f/invocations"
IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Operations:
    """Says what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, dict[str, Any]]] = []

    async def invoke(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((call, request))
        call.answer_headers["X-Amzn-Trace-Id"] = "Root=1"
        return {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": b'"done"'}

    async def create_function(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((call, request))
        return {"FunctionName": request["FunctionName"]}

    async def get_function(self, _call: Call, request: dict[str, Any]) -> dict[str, Any]:
        raise ResourceNotFound(f"Function not found: {request['FunctionName']}")

    async def list_functions(self, _call: Call, _request: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("a secret of the server")

    async def delete_function(self, call: Call, request: dict[str, Any]) -> None:
        self.calls.append((call, request))


class Logs:
    async def describe_log_groups(self, _call: Call, request: dict[str, Any]) -> dict[str, Any]:
        return {"logGroups": [{"logGroupName": request.get("logGroupNamePrefix", "all")}]}


async def health(request: Request) -> Response:
    return Response(200, {"Content-Type": "text/plain"}, b"well\n")


async def forbidden(request: Request) -> Response:
    raise AccessDenied("not you")


async def broken(request: Request) -> Response:
    raise RuntimeError("a secret of the server")


class Node:
    """A gateway, its key ring, and a client that signs as boto3 does."""

    def __init__(self, folder: Path) -> None:
        self.keys = KeyRing(folder / "keys.json")
        self.key = self.keys.create("123456789012", "ci")
        self.operations = Operations()
        self.services = {
            "lambda": Service("lambda", [self.operations]),
            "logs": Service("logs", [Logs()]),
            "sts": Service("sts", [CallerIdentity()]),
        }
        self.plain = {"/_pasture/health": health, "/_pasture/": forbidden, "/_pasture/broken": broken}
        self.closed = Gateway(
            self.services, Authenticator(self.keys, SystemClock()), self.plain, new_request_id=lambda: "an-id"
        )
        self.open = Gateway(self.services, OpenDoor(), self.plain, new_request_id=lambda: "an-id")

    def signed(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        service: str = "lambda",
        headers: dict[str, str] | None = None,
        credentials: Credentials | None = None,
        presigned: bool = False,
    ) -> Request:
        made = AWSRequest(method, f"http://localhost:3000{target}", data=body, headers=headers or {})
        credentials = credentials or Credentials(self.key.id, self.key.secret)
        signer = SigV4QueryAuth if presigned else SigV4Auth
        signer(credentials, service, "eu-west-1").add_auth(made)
        fields = {"Host": "localhost:3000", **dict(made.headers.items())}
        return arriving(method, str(made.url).removeprefix("http://localhost:3000"), body, fields)


def arriving(method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Request:
    return Request(method, target, Headers((n.encode(), v.encode()) for n, v in (headers or {}).items()), body)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def told(response: Response) -> tuple[int, str | None, str]:
    """Status, error type and message."""
    assert isinstance(response.body, bytes)
    body = msgspec.json.decode(response.body)
    return response.status, response.headers.get("x-amzn-ErrorType"), body.get("message") or body.get("Message")


# Good calls...


async def test_a_signed_call_reaches_its_operation_with_all_that_is_known_of_it(node: Node) -> None:
    request = node.signed("POST", f"{INVOKE}?Qualifier=live", b'{"a": 1}', headers={"X-Amz-Log-Type": "Tail"})
    response = await node.closed(request)
    ((call, asked),) = node.operations.calls
    assert asked == {"FunctionName": "f", "Qualifier": "live", "LogType": "Tail", "Payload": b'{"a": 1}'}
    assert (call.request_id, call.operation, call.scope, call.base_url) == (
        "an-id",
        "Invoke",
        Scope("123456789012", "eu-west-1"),
        "http://localhost:3000",
    )
    assert (call.principal.arn, call.principal.account) == ("arn:aws:iam::123456789012:user/ci", "123456789012")
    assert response == Response(
        200,
        {
            "Content-Type": "application/json",
            "x-amzn-RequestId": "an-id",
            "X-Amz-Executed-Version": "$LATEST",
            "X-Amzn-Trace-Id": "Root=1",
        },
        b'"done"',
    )


async def test_a_presigned_call_is_served(node: Node) -> None:
    assert (await node.closed(node.signed("POST", INVOKE, presigned=True))).status == 200


async def test_a_signed_call_may_be_repeated(node: Node) -> None:
    request = node.signed("POST", INVOKE, b"{}")
    assert [(await node.closed(request)).status for _ in range(2)] == [200, 200]


async def test_a_package_of_megabytes_is_served(node: Node) -> None:
    body = msgspec.json.encode(
        {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {"ZipFile": bytes(1_000_000)}}
    )
    response = await node.closed(node.signed("POST", "/2015-03-31/functions", body))
    assert (response.status, response.body) == (201, b'{"FunctionName":"f"}')
    assert node.operations.calls[0][1]["Code"]["ZipFile"] == bytes(1_000_000)


async def test_the_service_is_the_one_that_is_signed_for(node: Node) -> None:
    headers = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups", "Content-Type": "application/x-amz-json-1.1"}
    response = await node.closed(node.signed("POST", "/", b'{"logGroupNamePrefix":"a"}', "logs", headers))
    assert (response.status, response.body) == (200, b'{"logGroups":[{"logGroupName":"a"}]}')
    response = await node.closed(node.signed("POST", "/", IDENTITY, "sts", FORM))
    assert isinstance(response.body, bytes)
    assert b"<Arn>arn:aws:iam::123456789012:user/ci</Arn>" in response.body


async def test_an_operation_that_answers_nothing_is_answered_with_its_status(node: Node) -> None:
    response = await node.closed(node.signed("DELETE", "/2015-03-31/functions/f"))
    assert (response.status, response.body) == (200, b"{}")


# Refusals...


async def test_a_call_without_a_signature_is_refused(node: Node) -> None:
    refused = (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    assert told(await node.closed(arriving("POST", INVOKE, b"{}"))) == refused
    assert told(await node.closed(arriving("GET", "/"))) == refused
    assert node.operations.calls == []


async def test_a_key_that_is_not_on_the_ring_is_refused(node: Node) -> None:
    refused = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    other = Credentials("AKIAAAAAAAAAAAAAAAAA", node.key.secret)
    assert told(await node.closed(node.signed("POST", INVOKE, credentials=other))) == refused
    token = Credentials(node.key.id, node.key.secret, "a-session-token")
    assert told(await node.closed(node.signed("POST", INVOKE, credentials=token))) == refused
    request = node.signed("POST", INVOKE)
    node.keys.delete(node.key.id)
    assert told(await node.closed(request)) == refused


async def test_a_wrong_secret_and_a_changed_body_are_refused(node: Node) -> None:
    wrong = node.signed("POST", INVOKE, b"{}", credentials=Credentials(node.key.id, "wrong"))
    changed = node.signed("POST", INVOKE, b"{}")
    changed.body = b"[]"
    for request in (wrong, changed):
        status, kind, message = told(await node.closed(request))
        assert (status, kind) == (403, "InvalidSignatureException")
        assert message.startswith("The request signature we calculated does not match the signature you provided.")
    assert node.operations.calls == []


async def test_an_old_signature_is_refused(node: Node) -> None:
    later = Gateway(node.services, Authenticator(node.keys, ManualClock(SystemClock().now() + 600)))
    status, kind, message = told(await later(node.signed("POST", INVOKE, b"{}")))
    assert (status, kind, message[:18]) == (403, "InvalidSignatureException", "Signature expired:")


async def test_a_refusal_is_in_the_form_of_the_service(node: Node) -> None:
    headers = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}
    response = await node.closed(arriving("POST", "/", b"{}", headers))
    assert (response.status, response.body) == (
        400,
        b'{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}',
    )
    response = await node.closed(arriving("POST", "/", IDENTITY, FORM))
    assert isinstance(response.body, bytes)
    assert (response.status, b"<Code>MissingAuthenticationToken</Code>" in response.body) == (403, True)


async def test_a_call_for_a_service_that_is_not_here_names_it(node: Node) -> None:
    assert told(await node.closed(node.signed("POST", "/", b"", "sqs"))) == (
        404,
        "UnknownServiceException",
        "The request is signed for the service 'sqs', and this Pasture serves lambda, logs, sts.",
    )


async def test_an_operation_that_is_not_built_names_itself(node: Node) -> None:
    status, kind, message = told(await node.closed(node.signed("GET", "/2015-03-31/event-source-mappings")))
    assert (status, kind) == (501, "NotImplementedException")
    assert message.startswith(
        "The operation ListEventSourceMappings is part of AWS Lambda and not yet served by Pasture "
    )


async def test_an_unknown_path_is_answered(node: Node) -> None:
    assert told(await node.closed(node.signed("GET", "/nowhere"))) == (
        404,
        "UnknownOperationException",
        "No operation answers GET /nowhere.",
    )


async def test_an_error_of_the_operation_is_answered(node: Node) -> None:
    assert told(await node.closed(node.signed("GET", "/2015-03-31/functions/g"))) == (
        404,
        "ResourceNotFoundException",
        "Function not found: g",
    )


async def test_the_unexpected_is_logged_and_told_as_internal(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = told(await node.closed(node.signed("GET", "/2015-03-31/functions")))
    message = "An internal error occurred. The server's log has it under request id an-id."
    assert answer == (500, "ServiceException", message)
    assert "a secret of the server" in caplog.text
    assert "an-id" in caplog.text


async def test_keys_that_cannot_be_read_let_no_one_in(node: Node, tmp_path: Path) -> None:
    request = node.signed("POST", INVOKE, b"{}")
    (tmp_path / "keys.json").write_text("not json")
    assert told(await node.closed(request))[:2] == (500, "ServiceException")


async def test_a_form_that_is_too_large_is_refused_before_it_is_read(node: Node) -> None:
    response = await node.closed(arriving("POST", "/", b"&" * 200_000, FORM))
    assert isinstance(response.body, bytes)
    assert (response.status, b"<Code>RequestEntityTooLargeException</Code>" in response.body) == (413, True)


# The open door...


async def test_the_open_door_serves_without_a_signature(node: Node) -> None:
    response = await node.open(arriving("POST", INVOKE, b"{}", {"Host": "pasture:1"}))
    ((call, _),) = node.operations.calls
    assert (response.status, call.scope, call.base_url) == (200, Scope(), "http://pasture:1")


@pytest.mark.parametrize(
    ("key_id", "account"), [("111122223333", "111122223333"), ("test", "000000000000"), ("AKIA", "000000000000")]
)
async def test_the_open_door_takes_account_and_region_from_any_signature(node: Node, key_id: str, account: str) -> None:
    await node.open(node.signed("POST", INVOKE, b"{}", credentials=Credentials(key_id, "anything")))
    ((call, _),) = node.operations.calls
    assert call.scope == Scope(account, "eu-west-1")


async def test_the_open_door_is_not_closed_by_a_signature_without_sense(node: Node) -> None:
    response = await node.open(arriving("POST", INVOKE, b"{}", {"Authorization": "Basic abc"}))
    assert response.status == 200


async def test_the_open_door_tells_services_apart_without_a_signature(node: Node) -> None:
    headers = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}
    assert (await node.open(arriving("POST", "/", b"{}", headers))).body == b'{"logGroups":[{"logGroupName":"all"}]}'
    assert (await node.open(arriving("POST", "/", IDENTITY, FORM))).status == 200
    assert (await node.open(arriving("GET", f"/?{IDENTITY.decode()}"))).status == 200
    assert told(await node.open(arriving("GET", "/"))) == (
        404,
        "UnknownOperationException",
        "No operation answers GET /.",
    )


# Plain pages...


async def test_a_plain_page_needs_no_signature_and_the_longest_prefix_serves_it(node: Node) -> None:
    assert await node.closed(arriving("GET", "/_pasture/health")) == Response(
        200, {"x-amzn-RequestId": "an-id", "Content-Type": "text/plain"}, b"well\n"
    )
    assert told(await node.closed(arriving("GET", "/_pasture/else"))) == (403, "AccessDeniedException", "not you")


async def test_a_plain_page_that_breaks_is_told_as_internal(node: Node) -> None:
    assert told(await node.closed(arriving("GET", "/_pasture/broken")))[:2] == (500, "ServiceException")


def test_links_begin_with_the_address_that_the_client_used() -> None:
    proxied = arriving("GET", "/", headers={"Host": "lambda.example.com", "X-Forwarded-Proto": "https"})
    assert [base_url(arriving("GET", "/", headers={"Host": "h:1"})), base_url(proxied)] == [
        "http://h:1",
        "https://lambda.example.com",
    ]
