"""What functions for Node.js can do, and how they fail, in AWS's own words: by AWS's own client."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from system.node import ROLE, Answer, Server, until
from system.runtime_kinds import NODE, NODE_24, Kind, zipped

_NUMBERS = itertools.count(1)
BOTH = pytest.mark.parametrize("kind", [NODE, NODE_24], ids=str)


class Tried:
    """Functions of a few lines each, deployed and invoked once."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.name = ""

    def __call__(
        self, kind: Kind, files: str | Mapping[str, str], handler: str = "app.handler", **more: object
    ) -> Answer:
        runtime = kind.runtime().identifier
        self.name = f"tried-{kind}-{next(_NUMBERS)}"
        sources = {"app.js": files} if isinstance(files, str) else files
        self._server.deploy(self.name, dict(sources), Runtime=runtime, Handler=handler, **more)
        return self._server.invoke(self.name, {"name": "berta"})

    def log(self) -> list[str]:
        """Of the invocation, once all of it is there."""
        group = f"/aws/lambda/{self.name}"
        until(lambda: any("REPORT " in line or "platform.report" in line for line in self._server.log_lines(group)))
        return self._server.log_lines(group)


@pytest.fixture
def tried(server: Server) -> Tried:
    return Tried(server)


MODULE = {"package.json": '{"type": "module"}', "app.js": "export const handler = async () => import.meta.url"}


@BOTH
@pytest.mark.parametrize(
    ("files", "handler", "answer"),
    [
        ({"app.js": "exports.handler = async ({ name }) => name"}, "app.handler", "berta"),
        ({"app.cjs": "exports.handler = async ({ name }) => name"}, "app.handler", "berta"),
        ({"app.mjs": "export const handler = async ({ name }) => name"}, "app.handler", "berta"),
        (MODULE, "app.handler", "file:///var/task/app.js"),
        (
            {"src/index.js": "exports.farm = { cow: async () => __filename }"},
            "src/index.farm.cow",
            "/var/task/src/index.js",
        ),
        ({"app.js": "exports.handler = async () => undefined"}, "app.handler", None),
    ],
)
def test_handlers_are_found_in_every_form_of_module(
    tried: Tried, kind: Kind, files: Mapping[str, str], handler: str, answer: object
) -> None:
    found = tried(kind, files, handler)
    assert (found.error, found.payload) == (None, answer)


AT_ONCE = (
    "(event, context, callback) => {\n"
    "  context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1000); callback(null, 'at once') }"
)
LATER = "(event, context, callback) => { setTimeout(() => { console.log('after') }, 50); callback(null, 'called') }"


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("(event, context, callback) => { setTimeout(() => callback(null, 'called'), 10) }", "called"),
        ("(event, context) => { context.succeed('succeeded') }", "succeeded"),
        ("(event, context) => { context.done(null, 'done') }", "done"),
        ("() => {}", None),
        (AT_ONCE, "at once"),
    ],
)
def test_until_node_22_a_handler_may_take_a_callback(tried: Tried, code: str, answer: object) -> None:
    found = tried(NODE, f"exports.handler = {code}")
    assert (found.error, found.payload) == (None, answer)


def test_an_answer_waits_for_what_the_function_has_left_to_do(tried: Tried) -> None:
    request_id = tried(NODE, f"exports.handler = {LATER}").request_id
    lines = tried.log()
    after = next(index for index, line in enumerate(lines) if line.endswith("\tINFO\tafter\n"))
    assert after < lines.index(f"END RequestId: {request_id}\n")


def test_from_node_24_on_a_handler_with_a_callback_is_refused(tried: Tried) -> None:
    answer = tried(NODE_24, "exports.handler = (event, context, callback) => callback(null, 1)")
    assert answer.payload["errorType"] == "Runtime.CallbackHandlerDeprecated"
    assert (
        "removed support for callback-based function handlers starting with Node.js 24"
        in answer.payload["errorMessage"]
    )


@BOTH
@pytest.mark.parametrize(
    ("files", "handler", "error_type", "words"),
    [
        ("exports.other = 1", "app.handler", "Runtime.HandlerNotFound", "app.handler is undefined or not exported"),
        ("exports.handler = 1", "app.handler", "Runtime.HandlerNotFound", "app.handler is not a function"),
        ("exports.handler = {", "app.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
        ("require('nowhere')", "app.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nowhere'"),
        ("", "nowhere.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nowhere'"),
        ("", "app", "Runtime.MalformedHandlerName", "Bad handler"),
        ("throw new RangeError('no init')", "app.handler", "RangeError", "no init"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_aws_words(
    tried: Tried, kind: Kind, files: str, handler: str, error_type: str, words: str
) -> None:
    answer = tried(kind, files, handler)
    assert (answer.error, answer.payload["errorType"]) == ("Unhandled", error_type)
    assert answer.payload["errorMessage"].startswith(words)
    assert isinstance(answer.payload["trace"], list)


REJECTED = (
    "exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise(go => setTimeout(go, 5000)) }"
)
THROWN = "exports.handler = (event, context, callback) => { setTimeout(() => { throw new RangeError('late') }, 5) }"


def test_a_rejection_that_nobody_handles_and_what_nobody_catches_is_the_callers_error(tried: Tried) -> None:
    rejected = tried(NODE, REJECTED).payload
    assert (rejected["errorType"], rejected["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "Error: lost")
    thrown = tried(NODE, THROWN).payload
    assert (thrown["errorType"], thrown["errorMessage"]) == ("RangeError", "late")


def test_from_node_24_on_a_rejection_that_nobody_handles_ends_the_runtime(tried: Tried) -> None:
    assert tried(NODE_24, REJECTED).payload["errorType"] == "Runtime.ExitError"


LOGS = """exports.handler = async () => {
  console.log('one\\ntwo'); console.error('three %d', 4); console.debug('five'); console.warn({ six: 7 })
}"""


@BOTH
def test_what_is_logged_as_text_has_time_id_and_level_and_stays_together(tried: Tried, kind: Kind) -> None:
    request_id = tried(kind, LOGS).request_id
    said = [line.split("\t", 1)[1] for line in tried.log() if line[:2] == "20" and "Z\t" in line]
    assert said == [
        f"{request_id}\tINFO\tone\ntwo\n",
        f"{request_id}\tERROR\tthree 4\n",
        f"{request_id}\tDEBUG\tfive\n",
        f"{request_id}\tWARN\t{{ six: 7 }}\n",
    ]


@BOTH
def test_what_is_logged_as_json_is_filtered_by_its_level(tried: Tried, kind: Kind) -> None:
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN"}
    request_id = tried(kind, LOGS, LoggingConfig=logging).request_id
    found = [json.loads(line) for line in tried.log()]
    said = [line for line in found if "level" in line]
    assert [(line["level"], line["message"], line["requestId"]) for line in said] == [
        ("ERROR", "three 4", request_id),
        ("WARN", {"six": 7}, request_id),
    ]


STREAMED = """exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { cow: event.name } })
  stream.write('moo '); stream.write('moo'); stream.end()
})"""


@BOTH
def test_a_response_is_streamed_with_its_prelude(server: Server, tried: Tried, kind: Kind) -> None:
    tried(kind, STREAMED)
    answer = server.functions.invoke_with_response_stream(FunctionName=tried.name, Payload=b'{"name": "berta"}')
    parts = [event["PayloadChunk"]["Payload"] for event in answer["EventStream"] if "PayloadChunk" in event]
    assert b"".join(parts) == b'{"statusCode":201,"headers":{"cow":"berta"}}' + bytes(8) + b"moo moo"


def test_a_wrapper_gets_the_command_with_the_script_as_its_last_word(server: Server) -> None:
    wrapper = b'#!/bin/sh\nfor last; do :; done\nexport LAST="$last" FLAGS="$*"\nexec "$@"\n'
    files = {"app.js": b"exports.handler = async () => [process.env.LAST, process.env.FLAGS]", "wrap": wrapper}
    runtime: Any = NODE.runtime().identifier
    server.functions.create_function(
        FunctionName="node-wrapped", Runtime=runtime, Handler="app.handler", Role=ROLE, MemorySize=200,
        Code={"ZipFile": zipped(files)}, Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}},
    )  # fmt: skip
    waiter = server.functions.get_waiter("function_active_v2")
    waiter.wait(FunctionName="node-wrapped", WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    last, command = server.invoke("node-wrapped").payload
    assert last == "/var/runtime/index.mjs"
    assert "--max-semi-space-size=10 --max-old-space-size=180" in command


def test_an_exit_right_behind_a_callback_does_not_lose_the_answer(tried: Tried) -> None:
    code = "exports.handler = (event, context, callback) => {\n"
    code += "  context.callbackWaitsForEmptyEventLoop = false; callback(null, 'said'); setImmediate(() => process.exit(0)) }"
    assert tried(NODE, code).payload == "said"
