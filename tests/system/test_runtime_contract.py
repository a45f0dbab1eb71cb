"""What every runtime does for its functions, whatever the language: one suite over all that this machine can have."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from system.node import ROLE, Answer, Server, until
from system.runtime_kinds import KINDS, Kind, zipped

SIX_MB = 6 * 1024 * 1024


@dataclass
class Subject:
    """One runtime on one server, with the few functions that its tests share."""

    kind: Kind
    server: Server
    deployed: set[str] = field(default_factory=set)

    def function(self, purpose: str = "plain", **more: Any) -> str:
        """Deployed by the first that asks."""
        name = f"contract-{self.kind}-{purpose}"
        if name not in self.deployed:
            runtime = self.kind.runtime()
            self.server.functions.create_function(
                FunctionName=name,
                Code={"ZipFile": zipped(self.kind.files(runtime))},
                **{
                    "Runtime": runtime.identifier,
                    "Handler": self.kind.handler,
                    "Role": ROLE,
                    "Timeout": 10,
                    "MemorySize": self.kind.memory_mb,
                    **more,
                },
            )
            waiter = self.server.functions.get_waiter("function_active_v2")
            waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
            self.deployed.add(name)
        return name

    def asked(self, do: str, purpose: str = "plain", client_context: str = "", **event: Any) -> Answer:
        more = {"ClientContext": base64.b64encode(client_context.encode()).decode()} if client_context else {}
        return self.server.invoke(self.function(purpose), {"do": do, **event}, **more)

    def lines(self, purpose: str = "plain") -> list[str]:
        return self.server.log_lines(f"/aws/lambda/contract-{self.kind}-{purpose}")

    def needs(self, ability: str) -> None:
        if ability not in self.kind.can:
            pytest.skip(f"a program of {self.kind} has no {ability} of the runtime's")


@pytest.fixture(scope="module", params=KINDS, ids=str)
def subject(request: pytest.FixtureRequest, server: Server) -> Iterator[Subject]:
    found = Subject(request.param, server)
    found.function()
    yield found
    for name in found.deployed:
        server.functions.delete_function(FunctionName=name)


def test_what_is_sent_comes_back(subject: Subject) -> None:
    value = {"of": ["every", 1, 2.5, True, None, {"kind": {}}], "é": "€ 😀 \u2028 \x7f"}
    answer = subject.asked("echo", value=value)
    assert (answer.error, answer.payload) == (None, value)


def test_payloads_may_be_as_large_as_aws_allows(subject: Subject) -> None:
    value = "x" * (SIX_MB - 100)
    answer = subject.asked("echo", value=value)
    assert (answer.error, len(answer.body)) == (None, len(value) + 2)


def test_the_variables_are_those_of_aws(subject: Subject) -> None:
    subject.needs("environment")
    names = ("_HANDLER", "LAMBDA_TASK_ROOT", "AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "TZ", "AWS_EXECUTION_ENV")
    runtime = subject.kind.runtime()
    assert subject.asked("environment", names=names).payload == {
        "_HANDLER": subject.kind.handler,
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "contract-" + subject.kind.name + "-plain",
        "TZ": ":UTC",
        "AWS_EXECUTION_ENV": None if runtime.entrypoints else f"AWS_Lambda_{runtime.identifier}",
    }


def test_the_context_says_what_the_platform_knows(subject: Subject) -> None:
    subject.needs("context")
    answer = subject.asked("context", client_context='{"custom": {"cow": "berta"}}')
    name = "contract-" + subject.kind.name + "-plain"
    found = answer.payload
    assert found.pop("stream").partition("[")[2].startswith("$LATEST]")
    assert found == {
        "request_id": answer.request_id,
        "name": name,
        "version": "$LATEST",
        "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "memory": subject.kind.memory_mb,
        "group": f"/aws/lambda/{name}",
        "in_time": True,
        "client": {"custom": {"cow": "berta"}},
    }


def test_an_error_of_the_handler_is_the_callers_in_the_runtimes_own_shape(subject: Subject) -> None:
    answer = subject.asked("fail")
    assert answer.error == "Unhandled"
    assert "boom" in answer.payload["errorMessage"]
    assert answer.payload["errorType"].endswith(subject.kind.error_type)
    assert subject.asked("echo", value=1).payload == 1


def test_what_is_written_in_tmp_is_there_for_the_next_invocation(subject: Subject) -> None:
    # The first may be served by two environments: one that has just answered is not at rest yet.
    assert until(lambda: subject.asked("count").payload > 1)


def test_what_is_logged_is_in_the_functions_log(subject: Subject) -> None:
    subject.asked("log", text=f"said by {subject.kind}")
    assert until(lambda: [line for line in subject.lines() if f"said by {subject.kind}" in line])


def test_json_logs_have_time_level_and_id(subject: Subject) -> None:
    subject.needs("levels")
    subject.function("json", LoggingConfig={"LogFormat": "JSON"}, Timeout=2)
    answer = subject.asked("log", "json", text="in one line\nof two")

    def said_in(lines: list[str]) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, lines) if line.get("message") == "in one line\nof two"]

    [said] = until(lambda: said_in(subject.lines("json")))
    request_id = said.get("requestId") or said.get("AWSRequestId")
    assert (request_id, "timestamp" in said) == (answer.request_id, True)
    assert said["level"] in {"INFO", "WARN", "WARNING", "UNDEFINED"}


def test_a_program_that_ends_is_a_crash_and_the_next_invocation_starts_it_anew(subject: Subject) -> None:
    answer = subject.asked("exit")
    assert answer.error == "Unhandled"
    assert answer.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {answer.request_id} Error: Runtime exited with error: exit status 7",
    }
    assert subject.asked("echo", value="again").payload == "again"


def test_a_handler_that_takes_too_long_is_ended(subject: Subject) -> None:
    subject.function("short", Timeout=1)
    answer = subject.asked("sleep", "short")
    assert answer.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {answer.request_id} Error: Task timed out after 1.00 seconds",
    }


def test_an_init_that_fails_is_the_first_callers_error(subject: Subject) -> None:
    subject.function("init", Environment={"Variables": {"INIT": "fail"}})
    answer = subject.asked("echo", "init", value=1)
    assert (answer.error, answer.payload["errorType"]) == ("Unhandled", subject.kind.init_error_type)
    assert subject.kind.init_error in answer.payload["errorMessage"]


def test_what_a_layer_brings_is_found(subject: Subject) -> None:
    subject.needs("layer")
    content = zipped(subject.kind.layer(subject.kind.runtime()))
    layer = subject.server.functions.publish_layer_version(
        LayerName=f"contract-{subject.kind}", Content={"ZipFile": content}
    )
    subject.function("layered", Layers=[layer["LayerVersionArn"]])
    assert subject.asked("layer", "layered").payload == "from a layer"
