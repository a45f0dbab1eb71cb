"""Rights, as boto3 meets them: keys with a policy, temporary credentials, what a denial says."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pasture.iam.sessions import Credentials, Sessions
from pasture.kit.clock import ManualClock, SystemClock
from pasture.store.kinds.sqlite import SqliteDocuments
from system.node import Server

ECHO = "def handler(event, context):\n    return event\n"
ACCOUNT = "000000000000"
FUNCTIONS = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"

Keys = dict[str, str]


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def pasture(server: Server, *arguments: str) -> str:
    """A command, on the data directory of a server that runs."""
    command = [sys.executable, "-m", "pasture", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def limited_key(server: Server, folder: Path, *statements: dict[str, Any]) -> Keys:
    file = folder / "policy.json"
    file.write_text(policy(*statements))
    made = json.loads(
        pasture(server, "keys", "create", "--description", "shop", "--policy", str(file), "--output", "json")
    )
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def assumed(server: Server, role_arn: str, **more: Any) -> Keys:
    made = server.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="night-run", **more)
    return as_keys(made["Credentials"])


def as_keys(credentials: Any) -> Keys:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def test_a_key_with_a_policy_for_one_function_reaches_that_one_alone(server: Server, tmp_path: Path) -> None:
    mine, other = server.deploy("authorised", ECHO), server.deploy("not-authorised", ECHO)
    key = limited_key(server, tmp_path, allow("lambda:InvokeFunction", f"{FUNCTIONS}{mine}"))
    client = server.client("lambda", **key)
    assert json.loads(client.invoke(FunctionName=mine, Payload=b"1")["Payload"].read()) == 1
    who = f"User: arn:aws:iam::{ACCOUNT}:user/shop is not authorized to perform"
    assert refused(client.invoke, FunctionName=other) == (
        403,
        "AccessDeniedException",
        (
            f"{who}: lambda:InvokeFunction on resource: {FUNCTIONS}{other} "
            "because no identity-based policy allows the lambda:InvokeFunction action"
        ),
    )
    assert refused(client.delete_function, FunctionName=mine)[:2] == (403, "AccessDeniedException")
    assert refused(client.list_functions)[2] == (
        f"{who}: lambda:ListFunctions on resource: * "
        "because no identity-based policy allows the lambda:ListFunctions action"
    )
    assert refused(server.client("logs", **key).describe_log_groups)[1] == "AccessDeniedException"


def test_an_explicit_deny_is_told(server: Server, tmp_path: Path) -> None:
    name = server.deploy("denied", ECHO)
    forbidden = {**allow("lambda:Delete*", "*"), "Effect": "Deny"}
    client = server.client("lambda", **limited_key(server, tmp_path, allow("*", "*"), forbidden))
    assert client.get_function(FunctionName=name)["Configuration"]["FunctionName"] == name
    assert refused(client.delete_function, FunctionName=name)[2] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/shop is not authorized to perform: lambda:DeleteFunction on resource: "
        f"{FUNCTIONS}{name} with an explicit deny in an identity-based policy"
    )


def test_temporary_credentials_do_what_their_role_may(server: Server) -> None:
    name = server.deploy("for-a-role", ECHO)
    document = policy(allow("lambda:InvokeFunction", f"{FUNCTIONS}{name}"))
    role = pasture(server, "roles", "create", "runner", "--policy-json", document).strip()
    keys = assumed(server, role, DurationSeconds=900)
    client = server.client("lambda", **keys)
    assert json.loads(client.invoke(FunctionName=name, Payload=b'"hi"')["Payload"].read()) == "hi"
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/runner/night-run"
    assert server.client("sts", **keys).get_caller_identity()["Arn"] == session
    assert refused(client.get_function, FunctionName=name) == (
        403,
        "AccessDeniedException",
        (
            f"User: {session} is not authorized to perform: lambda:GetFunction on resource: {FUNCTIONS}{name} "
            "because no identity-based policy allows the lambda:GetFunction action"
        ),
    )
    pasture(server, "roles", "put-policy", "runner", "--policy-json", policy(allow("lambda:Get*", "*")))
    assert client.get_function(FunctionName=name)["Configuration"]["FunctionName"] == name
    assert refused(client.invoke, FunctionName=name)[1] == "AccessDeniedException"


def test_a_role_that_is_not_there_cannot_be_assumed(server: Server) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    first = f"arn:aws:iam::{ACCOUNT}:user/first"
    assert refused(server.client("sts").assume_role, RoleArn=role, RoleSessionName="night-run") == (
        403,
        "AccessDenied",
        f"User: {first} is not authorized to perform: sts:AssumeRole on resource: {role}",
    )


def test_a_session_says_when_it_ends(server: Server) -> None:
    role = pasture(server, "roles", "create", "short").strip()
    made = server.client("sts").assume_role(RoleArn=role, RoleSessionName="night-run", DurationSeconds=900)
    left = made["Credentials"]["Expiration"] - datetime.now(UTC)
    assert 880 <= left.total_seconds() <= 900


def test_credentials_outlive_a_restart_but_not_their_time(fresh: Server) -> None:
    fresh.start()
    role = pasture(fresh, "roles", "create", "reader", "--policy-json", policy(allow("lambda:List*", "*"))).strip()
    keys = assumed(fresh, role)
    assert fresh.stop() == 0
    late = asyncio.run(issued_long_ago(fresh.data, role))
    fresh.start()
    assert fresh.client("lambda", **keys).list_functions()["Functions"] == []
    words = "The security token included in the request is expired"
    expired = {"aws_access_key_id": late.access_key_id, "aws_secret_access_key": late.secret_access_key}
    client = fresh.client("lambda", **expired, aws_session_token=late.session_token)
    assert refused(client.list_functions) == (403, "ExpiredTokenException", words)
    forged = fresh.client("lambda", **{**keys, "aws_session_token": keys["aws_session_token"][::-1]})
    words = "The security token included in the request is invalid."
    assert refused(forged.list_functions) == (403, "UnrecognizedClientException", words)


async def issued_long_ago(data: Path, role: str) -> Credentials:
    """With the server's own secret, as it would have made them an hour ago."""
    documents = await SqliteDocuments.open(data / "metadata.db")
    secret = await documents.get("server/session-secret")
    await documents.close()
    assert secret is not None
    return Sessions(secret.value, ManualClock(SystemClock().now() - 3_600)).issue(role, "night-run", 900)


def test_without_authentication_nothing_is_denied(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--no-auth")
    limited_key(server, tmp_path, {**allow("*", "*"), "Effect": "Deny"})
    sts = server.start().client("sts")
    role = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    keys = as_keys(sts.assume_role(RoleArn=role, RoleSessionName="night-run")["Credentials"])
    identity = server.client("sts", **keys).get_caller_identity()["Arn"]
    functions = server.client("lambda", **keys).list_functions()["Functions"]
    assert server.stop() == 0
    assert (identity, functions) == (f"arn:aws:sts::{ACCOUNT}:assumed-role/nobody/night-run", [])
