"""Who may call, and what each account and region sees: its own, and nothing else's."""

import datetime as dt
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from system.node import ROLE, RUNTIME, Server, package

CODE = "def handler(event, context):\n    print('of', context.invoked_function_arn)\n    return context.invoked_function_arn\n"
LIST = "/2015-03-31/functions/"


def new_key(server: Server, account: str) -> dict[str, str]:
    """As the operator makes one."""
    command = [sys.executable, "-m", "pasture", "keys", "create", "--data-dir", str(server.data)]
    made = subprocess.run(
        [*command, "--account", account, "--output", "json"], capture_output=True, text=True, check=True
    )
    key = json.loads(made.stdout)
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def names(client: Any) -> list[str]:
    return [function["FunctionName"] for function in client.list_functions()["Functions"]]


def make(client: Any, name: str) -> None:
    client.create_function(
        FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code={"ZipFile": package(CODE)}
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})


def invoked(client: Any, name: str) -> Any:
    return json.loads(client.invoke(FunctionName=name)["Payload"].read())


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("accounts") / "data").start()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def test_two_accounts_do_not_see_each_others_functions_and_logs(own: Server) -> None:
    first, second = own.functions, own.client("lambda", **new_key(own, "111111111111"))
    make(first, "mine")
    assert (names(first), names(second)) == (["mine"], [])
    assert refused(second.get_function, FunctionName="mine")[:2] == (404, "ResourceNotFoundException")
    make(second, "mine")
    assert invoked(first, "mine") == "arn:aws:lambda:us-east-1:000000000000:function:mine"
    assert invoked(second, "mine") == "arn:aws:lambda:us-east-1:111111111111:function:mine"
    for client, account in (
        (own.logs, "000000000000"),
        (own.client("logs", **new_key(own, "111111111111")), "111111111111"),
    ):
        said = [
            e["message"]
            for e in client.filter_log_events(logGroupName="/aws/lambda/mine", filterPattern="of")["events"]
        ]
        assert said == [f"of arn:aws:lambda:us-east-1:{account}:function:mine\n"]
    second.delete_function(FunctionName="mine")
    assert (names(first), names(second)) == (["mine"], [])


def test_a_function_of_another_account_is_denied_by_its_arn_without_saying_whether_it_exists(own: Server) -> None:
    stranger = own.client("lambda", **new_key(own, "222222222222"))
    make(own.functions, "private")
    for name in ("private", "nobody"):
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        assert refused(stranger.invoke, FunctionName=arn)[:2] == (403, "AccessDeniedException")
        assert refused(stranger.get_function, FunctionName=arn)[:2] == (403, "AccessDeniedException")


def test_two_regions_do_not_see_each_others_functions_and_logs(own: Server) -> None:
    here, there = own.client("lambda"), own.client("lambda", region_name="eu-west-1")
    make(here, "regional")
    assert "regional" not in names(there)
    make(there, "regional")
    assert invoked(there, "regional") == "arn:aws:lambda:eu-west-1:000000000000:function:regional"
    assert own.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/regional")["logGroups"] == []
    assert len(own.client("logs", region_name="eu-west-1").describe_log_groups()["logGroups"]) == 1


def test_the_caller_is_told_who_it_is(own: Server) -> None:
    answer = own.client("sts", **new_key(own, "333333333333")).get_caller_identity()
    assert answer["Account"] == "333333333333"
    assert answer["Arn"].startswith("arn:aws:iam::333333333333:user/")


def test_a_deleted_key_is_refused_at_once(own: Server) -> None:
    key = new_key(own, "444444444444")
    client = own.client("lambda", **key)
    assert names(client) == []
    subprocess.run(
        [sys.executable, "-m", "pasture", "keys", "delete", "--data-dir", str(own.data), key["aws_access_key_id"]],
        check=True, capture_output=True,
    )  # fmt: skip
    assert refused(client.list_functions)[:2] == (403, "UnrecognizedClientException")


# Keys and signatures that do not hold...


def test_an_unknown_key_is_refused(own: Server) -> None:
    client = own.client("lambda", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
    words = "The security token included in the request is invalid."
    assert refused(client.list_functions) == (403, "UnrecognizedClientException", words)


def test_a_wrong_secret_is_refused(own: Server) -> None:
    client = own.client("lambda", aws_secret_access_key="x" * 40)
    status, code, message = refused(client.list_functions)
    assert (status, code) == (403, "InvalidSignatureException")
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


def test_a_session_token_that_nobody_gave_is_refused(own: Server) -> None:
    client = own.client("lambda", aws_session_token="made-up")
    assert refused(client.list_functions)[:2] == (403, "UnrecognizedClientException")


@pytest.mark.parametrize("service", ["lambda", "logs", "sts"])
def test_every_service_refuses_a_wrong_secret_in_its_own_form(own: Server, service: str) -> None:
    client = own.client(service, aws_secret_access_key="x" * 40)
    call = {"lambda": "list_functions", "logs": "describe_log_groups", "sts": "get_caller_identity"}[service]
    status, code, _ = refused(getattr(client, call))
    assert (status, code) in {
        (403, "InvalidSignatureException"),
        (400, "InvalidSignatureException"),
        (403, "SignatureDoesNotMatch"),
    }


def signed(
    server: Server, when: dt.datetime | None = None, body: bytes = b"", method: str = "GET", path: str = LIST
) -> dict[str, str]:
    key = server.key()
    request = AWSRequest(method, server.url + path, data=body)
    signer = _SignerAt(Credentials(key["aws_access_key_id"], key["aws_secret_access_key"]), "lambda", "us-east-1")
    signer.when = when
    signer.add_auth(request)
    return dict(request.headers.items())


class _SignerAt(SigV4Auth):
    """Signs as if it were `when`."""

    when: dt.datetime | None = None

    def add_auth(self, request: Any) -> None:
        if self.when is None:
            super().add_auth(request)
            return
        request.context["timestamp"] = self.when.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)  # type: ignore[attr-defined]  # botocore's own
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        self._inject_signature_to_request(request, signature)  # type: ignore[attr-defined]  # botocore's own


def told(
    server: Server, headers: Mapping[str, str], body: bytes | None = None, method: str = "GET", path: str = LIST
) -> tuple[int, str, str]:
    request = urllib.request.Request(server.url + path, data=body, headers=dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, "", ""
    except urllib.error.HTTPError as error:
        told = json.loads(error.read())
        return (
            error.code,
            error.headers["x-amzn-ErrorType"].partition(":")[0],
            told.get("message") or told.get("Message"),
        )


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_no_signature_is_refused(own: Server) -> None:
    assert told(own, {}) == (403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def test_a_good_signature_by_hand_is_taken(own: Server) -> None:
    assert told(own, signed(own)) == (200, "", "")
    assert told(own, signed(own, now())) == (200, "", "")


@pytest.mark.parametrize(("minutes", "words"), [(-10, "Signature expired: "), (10, "Signature not yet current: ")])
def test_a_clock_that_is_off_is_told_so(own: Server, minutes: int, words: str) -> None:
    status, code, message = told(own, signed(own, now() + dt.timedelta(minutes=minutes)))
    assert (status, code, message[: len(words)]) == (403, "InvalidSignatureException", words)


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_that_is_a_little_off_is_taken(own: Server, minutes: int) -> None:
    assert told(own, signed(own, now() + dt.timedelta(minutes=minutes))) == (200, "", "")


def test_a_body_that_was_changed_is_refused(own: Server) -> None:
    path = "/2015-03-31/functions/mine/invocations"
    headers = signed(own, body=b'{"a": 1}', method="POST", path=path)
    assert told(own, headers, b'{"a": 2}', "POST", path)[:2] == (403, "InvalidSignatureException")


def test_a_path_query_or_header_that_was_changed_is_refused(own: Server) -> None:
    headers = signed(own)
    assert told(own, headers, path=LIST + "other")[:2] == (403, "InvalidSignatureException")
    assert told(own, headers, path=LIST + "?MaxItems=1")[:2] == (403, "InvalidSignatureException")
    assert told(own, {**headers, "X-Amz-Date": now().strftime("%Y%m%dT000000Z")})[0] == 403
    assert told(own, {**headers, "X-Amz-Invocation-Type": "Event"})[:2] == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=",
        "Bearer token", "Basic YTpi", "AWS AKIA:signature", "AWS4-HMAC-SHA256 " + "," * 5_000, "AWS4-HMAC-SHA256 Credential=\xff\xfe",
    ],
)  # fmt: skip
def test_an_authorization_that_is_none_is_refused(own: Server, authorization: str) -> None:
    status, code, _ = told(own, {"Authorization": authorization, "X-Amz-Date": now().strftime("%Y%m%dT%H%M%SZ")})
    assert status == 403
    assert code in {
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "UnrecognizedClientException",
        "MissingAuthenticationTokenException",
    }


# With the door open...


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("open") / "data", "--no-auth").start()
    yield running
    assert running.stop() == 0


def anyone(server: Server, key_id: str, region: str = "us-east-1") -> Any:
    return boto3.client(
        "lambda", endpoint_url=server.url, region_name=region, aws_access_key_id=key_id, aws_secret_access_key="anything",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def test_with_the_door_open_twelve_digits_name_the_account(open_door: Server) -> None:
    make(anyone(open_door, "123456789012"), "mine")
    assert invoked(anyone(open_door, "123456789012"), "mine") == "arn:aws:lambda:us-east-1:123456789012:function:mine"
    assert names(anyone(open_door, "123456789013")) == []
    assert names(anyone(open_door, "test")) == []
    assert names(anyone(open_door, "123456789012", "eu-west-1")) == []


def test_with_the_door_open_no_signature_is_needed(open_door: Server) -> None:
    assert told(open_door, {}) == (200, "", "")
    assert told(open_door, {"Authorization": "nonsense"}) == (200, "", "")


def test_with_the_door_open_there_are_no_keys_to_lose(open_door: Server) -> None:
    assert not Path(open_door.data / "keys.json").exists()
