"""What is set about functions, as boto3 meets it on a whole server: permissions, concurrency, tags, the rest."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, until

ECHO = "def handler(event, context):\n    return context.invoked_function_arn\n"
OWNER, OTHER = "000000000000", "111122223333"


@pytest.fixture
def other(server: Server) -> Any:
    """A client of another account, who may do everything there."""
    command = [sys.executable, "-m", "pasture", "keys", "create", "--account", OTHER, "--output", "json"]
    made = json.loads(
        subprocess.run([*command, "--data-dir", str(server.data)], check=True, capture_output=True, text=True).stdout
    )
    key = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    return server.client("lambda", **key)


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:{OWNER}:function:{name}"


def test_another_account_invokes_what_the_functions_policy_lets_it(server: Server, other: Any) -> None:
    arn = arn_of(server.deploy("shared", ECHO))
    assert refused(other.invoke, FunctionName=arn) == (403, "AccessDeniedException", "")
    added = server.functions.add_permission(
        FunctionName="shared", StatementId="friends", Action="lambda:InvokeFunction", Principal=OTHER
    )
    assert json.loads(other.invoke(FunctionName=arn)["Payload"].read()) == arn
    assert other.invoke(FunctionName=arn, InvocationType="DryRun")["StatusCode"] == 204
    assert refused(other.get_function, FunctionName=arn)[:2] == (403, "AccessDeniedException")
    shown = server.functions.get_policy(FunctionName="shared")
    assert json.loads(shown["Policy"])["Statement"] == [json.loads(added["Statement"])]
    server.functions.remove_permission(FunctionName="shared", StatementId="friends", RevisionId=shown["RevisionId"])
    assert refused(other.invoke, FunctionName=arn)[:2] == (403, "AccessDeniedException")


def test_another_account_manages_what_the_functions_policy_lets_it_and_never_its_own_of_that_name(
    server: Server, other: Any
) -> None:
    arn = arn_of(server.deploy("managed", ECHO))
    for action in ("GetFunction", "PublishVersion", "CreateAlias", "TagResource", "ListTags", "DeleteFunction"):
        server.functions.add_permission(
            FunctionName="managed", StatementId=action, Action=f"lambda:{action}", Principal=OTHER
        )
    assert other.get_function(FunctionName=arn)["Configuration"]["FunctionArn"] == arn
    assert other.publish_version(FunctionName=arn)["FunctionArn"] == f"{arn}:1"
    assert other.create_alias(FunctionName=arn, Name="live", FunctionVersion="1")["AliasArn"] == f"{arn}:live"
    other.tag_resource(Resource=arn, Tags={"by": "other"})
    assert server.functions.list_tags(Resource=arn)["Tags"] == {"by": "other"}
    assert refused(other.get_function, FunctionName="managed")[:2] == (404, "ResourceNotFoundException")
    other.delete_function(FunctionName=arn)
    assert refused(server.functions.get_function, FunctionName="managed")[:2] == (404, "ResourceNotFoundException")


def test_no_reserved_concurrency_stops_a_function_until_it_is_given_back(server: Server) -> None:
    name = server.deploy("stopped", ECHO)
    client = server.functions
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as caught:
        client.invoke(FunctionName=name)
    answer: Any = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert (answer["Error"]["Code"], answer["Reason"], answer["Type"], answer["message"]) == (
        "TooManyRequestsException",
        "ReservedFunctionConcurrentInvocationLimitExceeded",
        "User",
        "Rate Exceeded.",
    )
    client.delete_function_concurrency(FunctionName=name)
    assert server.invoke(name).payload == arn_of(name)


def test_a_function_runs_as_often_at_once_as_is_reserved_for_it(server: Server) -> None:
    name = server.deploy("narrow", "import time\ndef handler(event, context):\n    time.sleep(event)\n")
    client = server.functions
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    settings = client.get_account_settings()["AccountLimit"]
    assert settings["UnreservedConcurrentExecutions"] == settings["ConcurrentExecutions"] - 1
    with subprocess.Popen(
        [sys.executable, "-c", _INVOKE, server.url, *server.key().values(), name], stdout=subprocess.PIPE
    ) as busy:
        until(lambda: _is_throttled(client, name))
        assert busy.communicate(timeout=60)[0] == b"None\n"
    assert server.invoke(name, 0).error is None
    client.delete_function_concurrency(FunctionName=name)


_INVOKE = """
import sys, boto3
url, key, secret, name = sys.argv[1:]
client = boto3.client("lambda", endpoint_url=url, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)
print(client.invoke(FunctionName=name, Payload=b"4").get("FunctionError"))
"""


def _is_throttled(client: Any, name: str) -> bool:
    try:
        client.invoke(FunctionName=name, Payload=b"0")
    except client.exceptions.TooManyRequestsException as error:
        return bool(error.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded")
    return False


@pytest.fixture
def named(fresh: Server) -> Server:
    return fresh.start()


def test_what_is_set_survives_a_restart(named: Server, tmp_path: Path) -> None:
    name = named.deploy("kept", ECHO, Tags={"a": "1"})
    client = named.functions
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    client.create_function_url_config(FunctionName=name, AuthType="NONE", Cors={"AllowOrigins": ["*"]})
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)
    client.add_permission(FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal="*")
    before = _everything(named, name)
    assert named.stop() == 0
    named.start()
    assert _everything(named, name) == before


def _everything(server: Server, name: str) -> list[dict[str, Any]]:
    """But for the port, which is another after every start."""
    client: Any = server.functions
    port = server.url.rpartition(":")[2]
    answers: list[dict[str, Any]] = [
        client.get_function_event_invoke_config(FunctionName=name),
        client.get_function_recursion_config(FunctionName=name),
        client.get_runtime_management_config(FunctionName=name),
        client.get_function_url_config(FunctionName=name),
        client.list_function_url_configs(FunctionName=name),
        client.get_function_concurrency(FunctionName=name),
        client.get_policy(FunctionName=name),
        client.list_tags(Resource=arn_of(name)),
        client.get_account_settings(),
    ]
    for answer in answers:
        del answer["ResponseMetadata"]
    kept: list[dict[str, Any]] = json.loads(json.dumps(answers, default=str).replace(f":{port}/", "/"))
    return kept
