"""Every operation that is served, called through boto3: a typical, a minimal and a wrong request, and whole answers."""

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel

from pasture.api.served import State, entries
from pasture.runtimes.registry import machine_architecture
from system.answers import code_signing, functions, layers, mappings, policies, provisioned, settings
from system.answers.steps import MINIMAL, TYPICAL, WRONG, Step
from system.node import Server, until

MODEL = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")

TABLES = {
    "functions": [functions.FUNCTIONS],
    "versions and aliases": [functions.VERSIONS, functions.ALIASES],
    "invocations": [functions.INVOCATIONS],
    "layers": [layers.LAYERS],
    "permissions and resource policies": [policies.POLICIES],
    "tags": [settings.TAGS],
    "concurrency": [settings.CONCURRENCY],
    "provisioned concurrency": [provisioned.PROVISIONED],
    "event-invoke configurations": [settings.EVENT_INVOKE],
    "recursion and runtime management": [settings.RECURSION, settings.RUNTIME_MANAGEMENT],
    "function URLs": [settings.URLS],
    "code signing": [code_signing.CODE_SIGNING],
    "event source mappings": [mappings.MAPPINGS],
}
STEPS = [step for tables in TABLES.values() for table in tables for step in table]

_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{3}\+0000|\d{6}Z)"), "<time>"),
    (re.compile(r"http://127\.0\.0\.1:\d+/_pasture/url/\S+"), "<function-url>"),
    (re.compile(r"http://127\.0\.0\.1:\d+/_pasture/\S+"), "<url>"),
    (re.compile(r"arn:aws:lambda:us-east-1::runtime:\S+"), "<runtime-version>"),
    (re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}\S*"), "<trace>"),
    (re.compile(r"csc-[0-9a-z]{17}"), "<csc>"),
)
_OPAQUE = {"NextMarker": "<marker>", "x-amz-log-result": "<log>"}
_TIMES = {"LastModified"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("every") / "data").start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


class Caller:
    """A client that leaves every check to the server, and what came over the wire."""

    def __init__(self, server: Server) -> None:
        connect: Any = boto3.client
        config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=60)
        self._client = connect(
            "lambda", endpoint_url=server.url, region_name="us-east-1", config=config, **server.key()
        )
        self._client.meta.events.register("response-received.lambda", self._take)
        self._methods = {name: method for method, name in self._client.meta.method_to_api_mapping.items()}
        self.status, self.headers, self.body = 0, dict[str, str](), b""
        self._known: dict[str, str] = {}

    def call(self, step: Step) -> None:
        """In a request `<uuid>`, `<csc>` and `<revision>` are the mapping, configuration and revision told last."""
        request = {name: self._known.get(str(value), value) for name, value in step.request.items()}
        try:
            answer = getattr(self._client, self._methods[step.operation])(**request)
        except ClientError:
            return
        if "RevisionId" in answer:
            self._known["<revision>"] = answer["RevisionId"]
        if "Payload" in answer:
            self.body = answer["Payload"].read()
        elif step.operation == "CreateEventSourceMapping":
            self._known["<uuid>"] = answer["UUID"]
        elif step.operation == "CreateCodeSigningConfig":
            self._known["<csc>"] = answer["CodeSigningConfig"]["CodeSigningConfigArn"]
        elif "EventStream" in answer:
            self.body = b"<events>" if list(answer["EventStream"]) else b""

    def settle(self, step: Step) -> None:
        """What comes to rest in its own time is waited for, so that it does not change under the next step."""
        if step.error or step.request.get("DryRun"):
            return
        match step.operation:
            case "CreateFunction":
                self._wait("function_active_v2", FunctionName=step.request["FunctionName"])
                if step.request.get("Publish"):
                    self._wait("published_version_active", FunctionName=step.request["FunctionName"], Qualifier="1")
            case "UpdateFunctionCode" | "UpdateFunctionConfiguration":
                self._wait("function_updated_v2", FunctionName=step.request["FunctionName"])
            case "CreateEventSourceMapping" | "UpdateEventSourceMapping":
                until(self._mapping_is_at_rest)
            case "DeleteEventSourceMapping":
                until(lambda: self._client.list_event_source_mappings()["EventSourceMappings"] == [])
            case "PutProvisionedConcurrencyConfig":
                of = {name: step.request[name] for name in ("FunctionName", "Qualifier")}
                until(lambda: self._client.get_provisioned_concurrency_config(**of)["Status"] != "IN_PROGRESS")
            case "PublishVersion":
                number = json.loads(self.body)["Version"]
                self._wait("published_version_active", FunctionName=step.request["FunctionName"], Qualifier=number)

    def _mapping_is_at_rest(self) -> bool:
        """And its poller, if it has one, has told of what it finds where no source can be reached."""
        found = self._client.get_event_source_mapping(UUID=self._known["<uuid>"])
        state: str = found["State"]
        told: str = found.get("LastProcessingResult", "")
        return state == "Disabled" or (state == "Enabled" and told.startswith("PROBLEM: "))

    def _wait(self, waiter: str, **of: str) -> None:
        self._client.get_waiter(waiter).wait(**of, WaiterConfig={"Delay": 0, "MaxAttempts": 10_000})

    def _take(self, response_dict: dict[str, Any], **_more: Any) -> None:
        self.status = response_dict["status_code"]
        self.headers = {name.lower(): value for name, value in response_dict["headers"].items()}
        body = response_dict["body"]
        self.body = body if isinstance(body, bytes) else b""


def readable(text: str) -> str:
    for pattern, name in _VOLATILE:
        text = pattern.sub(name, text)
    return text


def shown(value: Any, member: str = "") -> Any:
    """With what differs from call to call replaced by what it is."""
    if member in _OPAQUE:
        return _OPAQUE[member]
    match value:
        case dict():
            return {readable(name): shown(inner, name) for name, inner in value.items()}
        case list():
            return [shown(inner, member) for inner in value]
        case str():
            return readable(value)
        case float() if member in _TIMES:
            return "<epoch>"
        case _:
            return value


def expected_body(step: Step) -> Any:
    """An error's is what its shape says; undeclared ones have the members that most have."""
    if not step.error:
        return step.body
    shape = MODEL.shape_for(step.error) if step.error in MODEL.shape_names else None
    members = shape.members if shape is not None else {"Type": None, "message": None}  # type: ignore[attr-defined]
    message = "Message" if "Message" in members else "message"
    return {"Type": "User", message: step.body} if "Type" in members else {message: step.body}


def expected_headers(step: Step, body: bytes) -> dict[str, str]:
    common = {"x-amzn-requestid": "<uuid>"}
    if step.body is None:
        common["content-type"] = "application/json"  # as on AWS, also of nothing
    elif "transfer-encoding" not in step.headers:
        common |= {"content-type": "application/json", "content-length": str(len(body))}
    if step.error:
        common |= {"x-amzn-errortype": step.error}
    return {**common, **step.headers}


def whole(value: Any) -> Any:
    """In the table the architecture is a word."""
    return json.loads(json.dumps(value).replace("<architecture>", machine_architecture()))


@pytest.mark.parametrize("name", TABLES)
def test_every_answer_is_aws_s_as_a_whole(server: Server, name: str) -> None:
    caller = Caller(server)
    for step in (step for table in TABLES[name] for step in table):
        caller.call(step)
        text = caller.body.decode()
        body = (
            shown(json.loads(text)) if text.startswith("{") and isinstance(expected_body(step), dict) else text or None
        )
        headers = {n: shown(v, n) for n, v in caller.headers.items() if n not in {"date", "connection", "server"}}
        got = (caller.status, body, headers)
        assert got == (step.status, whole(expected_body(step)), expected_headers(step, caller.body)), step
        caller.settle(step)


def test_no_served_operation_is_missing_from_the_tables() -> None:
    served = {entry.operation for entry in entries("lambda") if entry.state is not State.REFUSED}
    told = {kind: {step.operation for step in STEPS if step.kind == kind} for kind in (TYPICAL, MINIMAL, WRONG)}
    assert served - told[MINIMAL] == set()
    assert {name for name in served if _takes_more_than_it_needs(name)} - told[TYPICAL] == set()
    assert served - told[WRONG] == {"GetAccountSettings"}  # which takes nothing


def _takes_more_than_it_needs(operation: str) -> bool:
    shape = MODEL.operation_model(operation).input_shape
    return shape is not None and set(shape.members) > set(shape.required_members)
