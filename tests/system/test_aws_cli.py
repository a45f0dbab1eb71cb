"""The AWS CLI as it comes, with nothing but an endpoint, a region and keys in its environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from system.node import ROLE, RUNTIME, Server, package

AWS = Path(sys.executable).parent / "aws"
pytestmark = pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed beside this Python")


class Shell:
    def __init__(self, server: Server, directory: Path) -> None:
        key = server.key()
        self.directory = directory
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(directory), "AWS_ENDPOINT_URL": server.url, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key["aws_access_key_id"], "AWS_SECRET_ACCESS_KEY": key["aws_secret_access_key"],
        }  # fmt: skip

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(AWS), *words],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self, *words: str) -> Any:
        """What a command that succeeds prints."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture
def aws(server: Server, tmp_path: Path) -> Shell:
    return Shell(server, tmp_path)


def test_a_function_lives_its_life_through_the_cli(aws: Shell) -> None:
    code = "def handler(event, context):\n    print('said')\n    return {'got': event}\n"
    (aws.directory / "one.zip").write_bytes(package(code))
    (aws.directory / "two.zip").write_bytes(package("def handler(event, context):\n    return 'two'\n"))
    made = aws.told(
        "lambda", "create-function", "--function-name", "by-cli", "--runtime", RUNTIME, "--role", ROLE,
        "--handler", "app.handler", "--zip-file", "fileb://one.zip", "--environment", "Variables={COLOUR=green}",
    )  # fmt: skip
    assert (made["State"], made["Environment"]) == ("Pending", {"Variables": {"COLOUR": "green"}})
    aws.told("lambda", "wait", "function-active-v2", "--function-name", "by-cli")
    done = aws.told(
        "lambda", "invoke", "--function-name", "by-cli", "--payload", '{"n": 1}', "--log-type", "Tail", "out.json"
    )
    assert (done["StatusCode"], done["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads((aws.directory / "out.json").read_text()) == {"got": {"n": 1}}
    assert aws.told("lambda", "get-function", "--function-name", "by-cli")["Configuration"]["State"] == "Active"
    changed = aws.told("lambda", "update-function-configuration", "--function-name", "by-cli", "--timeout", "9")
    assert changed["Timeout"] == 9
    aws.told("lambda", "wait", "function-updated-v2", "--function-name", "by-cli")
    aws.told("lambda", "update-function-code", "--function-name", "by-cli", "--zip-file", "fileb://two.zip")
    listed = aws.told("lambda", "list-functions", "--query", "Functions[?FunctionName=='by-cli'].Timeout")
    assert listed == [9]
    assert aws.told("lambda", "delete-function", "--function-name", "by-cli") in (None, {"StatusCode": 204})
    gone = aws.run("lambda", "get-function", "--function-name", "by-cli")
    assert gone.returncode in {254, 255}
    assert (
        "An error occurred (ResourceNotFoundException) when calling the GetFunction operation: Function not found: "
        in gone.stderr
    )


def test_logs_are_read_through_the_cli(aws: Shell, server: Server) -> None:
    name = server.deploy(
        "cli-logs", "def handler(event, context):\n    print('said', event)\n    return context.log_stream_name\n"
    )
    stream = server.invoke(name, 5).payload
    group = f"/aws/lambda/{name}"
    streams = aws.told("logs", "describe-log-streams", "--log-group-name", group)["logStreams"]
    assert [found["logStreamName"] for found in streams] == [stream]
    found = aws.told("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "said")["events"]
    assert [event["message"] for event in found] == ["said 5\n"]
    lines = aws.told("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream)["events"]
    assert "said 5\n" in [event["message"] for event in lines]


def test_the_cli_is_told_who_it_is(aws: Shell) -> None:
    assert aws.told("sts", "get-caller-identity")["Account"] == "000000000000"


def test_the_cli_shows_a_refusal_in_awss_words(aws: Shell) -> None:
    aws.environment["AWS_SECRET_ACCESS_KEY"] = "wrong"
    refused = aws.run("lambda", "list-functions")
    assert refused.returncode in {254, 255}
    assert (
        "An error occurred (InvalidSignatureException) when calling the ListFunctions operation: The request signature we calculated"
        in refused.stderr
    )
