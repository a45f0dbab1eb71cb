"""What a caller gets back: answers, errors, time-outs, crashes, limits (aws-lambda reference 2.5, 3.3, 4.1)."""

import base64
import json
import re
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, until

ECHO = "def handler(event, context):\n    return event\n"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def refused(call: Any, **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def test_the_handlers_result_is_the_payload(server: Server) -> None:
    name = server.deploy("echo", ECHO)
    event = {"text": "grün 🐄", "number": 1.5, "nested": [None, True, {"a": "b"}]}
    answer = server.invoke(name, event)
    assert (answer.status, answer.error, answer.payload) == (200, None, event)
    assert answer.raw["ExecutedVersion"] == "$LATEST"
    assert re.fullmatch(UUID, answer.request_id)


def test_the_context_says_which_invocation_this_is(server: Server) -> None:
    code = """
def handler(event, context):
    return {
        "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
        "version": context.function_version, "memory": context.memory_limit_in_mb, "group": context.log_group_name,
        "left": context.get_remaining_time_in_millis(), "client": context.client_context and context.client_context.custom,
    }
"""
    name = server.deploy("context", code, Timeout=7, MemorySize=256)
    context = base64.b64encode(json.dumps({"custom": {"who": "me"}, "env": {}, "client": {}}).encode()).decode()
    answer = server.invoke(name, ClientContext=context)
    told = answer.payload
    left = told.pop("left")
    arn = "arn:aws:lambda:us-east-1:000000000000:function:context"
    assert told == {
        "id": answer.request_id, "arn": arn, "name": "context", "version": "$LATEST", "memory": "256",
        "group": "/aws/lambda/context", "client": {"who": "me"},
    }  # fmt: skip
    assert 5_000 < left <= 7_000
    assert server.invoke(name, Qualifier="$LATEST").payload["arn"] == f"{arn}:$LATEST"


def test_an_environment_is_used_again_and_keeps_its_state(server: Server) -> None:
    name = server.deploy("counter", "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n")
    assert [server.invoke(name).payload for _ in range(3)] == [1, 2, 3]


def test_one_environment_serves_one_invocation_at_a_time(server: Server) -> None:
    code = (
        "import time, uuid\nme = str(uuid.uuid4())\ndef handler(event, context):\n    time.sleep(0.5)\n    return me\n"
    )
    name = server.deploy("one-at-a-time", code)
    answers: list[str] = []
    callers = [threading.Thread(target=lambda: answers.append(server.invoke(name).payload)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(set(answers)) == 4


def test_an_exception_is_told_with_its_type_message_and_stack(server: Server) -> None:
    name = server.deploy("raises", 'def handler(event, context):\n    raise ValueError("no such cow")\n')
    answer = server.invoke(name)
    assert answer.error == "Unhandled"
    assert answer.payload == {
        "errorMessage": "no such cow",
        "errorType": "ValueError",
        "requestId": answer.request_id,
        "stackTrace": ['  File "/var/task/app.py", line 2, in handler\n    raise ValueError("no such cow")\n'],
    }
    assert server.invoke(name).error == "Unhandled"


def test_a_module_that_cannot_be_imported_is_told_by_the_first_invocation(server: Server) -> None:
    name = server.deploy("bad-import", "import nothing_like_this\n")
    assert server.invoke(name).payload == {
        "errorMessage": "Unable to import module 'app': No module named 'nothing_like_this'",
        "errorType": "Runtime.ImportModuleError",
        "requestId": "",
        "stackTrace": [],
    }


def test_a_handler_that_is_not_there_is_told(server: Server) -> None:
    name = server.deploy("no-handler", ECHO, Handler="app.nobody")
    answer = server.invoke(name).payload
    assert (answer["errorType"], answer["errorMessage"]) == (
        "Runtime.HandlerNotFound",
        "Handler 'nobody' missing on module 'app'",
    )


def test_a_handler_without_a_dot_is_told(server: Server) -> None:
    name = server.deploy("malformed", ECHO, Handler="app")
    assert server.invoke(name).payload["errorType"] == "Runtime.MalformedHandlerName"


def test_a_syntax_error_is_told(server: Server) -> None:
    name = server.deploy("syntax", "def handler(event, context)\n    return 1\n")
    assert server.invoke(name).payload["errorType"] == "Runtime.UserCodeSyntaxError"


def test_a_result_that_is_no_json_is_told(server: Server) -> None:
    name = server.deploy("unserialisable", "def handler(event, context):\n    return object()\n")
    assert server.invoke(name).payload["errorType"] == "Runtime.MarshalError"


def test_a_time_out_resets_the_environment_but_keeps_tmp(server: Server) -> None:
    code = """
import os, time
born = time.time_ns()
def handler(event, context):
    if event == "hang":
        open("/tmp/kept", "w").write("still here")
        time.sleep(60)
    return [born, os.path.exists("/tmp/kept") and open("/tmp/kept").read()]
"""
    name = server.deploy("times-out", code, Timeout=1)
    born, nothing = server.invoke(name).payload
    answer = server.invoke(name, "hang")
    assert (nothing, answer.error) == (False, "Unhandled")
    assert answer.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {answer.request_id} Error: Task timed out after 1.00 seconds",
    }
    reborn, kept = server.invoke(name).payload
    assert (reborn != born, kept) == (True, "still here")
    lines = "".join(server.log_lines("/aws/lambda/times-out"))
    assert re.search(rf"Z {answer.request_id} Task timed out after 1\.00 seconds\n", lines)
    assert re.search(rf"REPORT RequestId: {answer.request_id}\tDuration: 1000\.00 ms\t.*Status: timeout", lines)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
        ("ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_runtime_that_dies_is_told_and_the_next_invocation_works(server: Server, statement: str, words: str) -> None:
    code = f"import ctypes, os\ndef handler(event, context):\n    if event: {statement}\n    return 'fine'\n"
    name = server.deploy("dies-" + re.sub(r"\W+", "-", statement).strip("-"), code)
    answer = server.invoke(name, True)
    assert (answer.error, answer.payload) == (
        "Unhandled",
        {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {answer.request_id} Error: {words}"},
    )
    assert server.invoke(name, False).payload == "fine"


def test_an_init_that_takes_longer_than_ten_seconds_goes_on_in_the_invocation(server: Server) -> None:
    code = "import time\ntime.sleep(10.5)\ndef handler(event, context):\n    return 'at last'\n"
    name = server.deploy("slow-init", code, Timeout=30)
    assert server.invoke(name).payload == "at last"
    assert any("Phase: init\tStatus: timeout" in line for line in server.log_lines("/aws/lambda/slow-init"))


def test_the_tail_holds_what_the_invocation_logged(server: Server) -> None:
    code = """
import logging, sys
def handler(event, context):
    print("to standard output")
    print("to standard error", file=sys.stderr)
    logging.getLogger().warning("through logging")
"""
    name = server.deploy("tail", code)
    answer = server.invoke(name, LogType="Tail")
    tail = base64.b64decode(answer.raw["LogResult"]).decode()
    lines = tail.splitlines()
    assert lines[0] == f"START RequestId: {answer.request_id} Version: $LATEST"
    assert {"to standard output", "to standard error"} <= set(lines)
    assert re.search(rf"^\[WARNING\]\t\S+Z\t{answer.request_id}\tthrough logging$", tail, re.MULTILINE)
    assert lines[-2] == f"END RequestId: {answer.request_id}"
    assert re.fullmatch(
        rf"REPORT RequestId: {answer.request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: [\d.]+ ms\t",
        lines[-1],
    )


def test_the_tail_is_the_last_four_kilobytes(server: Server) -> None:
    name = server.deploy("long-tail", "def handler(event, context):\n    print('x' * 10_000)\n")
    tail = base64.b64decode(server.invoke(name, LogType="Tail").raw["LogResult"])
    assert len(tail) == 4096
    assert tail.rstrip(b"\n\t").rpartition(b"\n")[2].startswith(b"REPORT")


def test_the_log_stream_is_the_environments(server: Server) -> None:
    name = server.deploy(
        "streams", "def handler(event, context):\n    print('one\\ntwo')\n    return context.log_stream_name\n"
    )
    stream = server.invoke(name).payload
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream)
    events = server.logs.get_log_events(logGroupName="/aws/lambda/streams", logStreamName=stream)["events"]
    words = [event["message"].split()[0] for event in events]
    assert words == ["INIT_START", "START", "one", "two", "END", "REPORT"]


def test_a_dry_run_runs_nothing(server: Server) -> None:
    name = server.deploy("dry", "raise SystemExit('ran')\n")
    answer = server.invoke(name, InvocationType="DryRun")
    assert (answer.status, answer.body) == (204, b"")


def test_no_payload_is_an_empty_object(server: Server) -> None:
    name = server.deploy("no-payload", ECHO)
    assert json.loads(server.functions.invoke(FunctionName=name)["Payload"].read()) == {}


def test_a_payload_that_is_no_json_is_refused_in_awss_words(server: Server) -> None:
    name = server.deploy("not-json", ECHO)
    assert refused(server.functions.invoke, FunctionName=name, Payload=b"\x99") == (
        400,
        "InvalidRequestContentException",
        (
            "Could not parse request body into json: Could not parse payload into json: Unexpected character "
            "((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' "
            "or 'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]"
        ),
    )


def test_payloads_up_to_the_limit_pass_both_ways_and_larger_ones_do_not(server: Server) -> None:
    name = server.deploy(
        "six-megabytes",
        "def handler(event, context):\n    return 'x' * event if isinstance(event, int) else len(event)\n",
    )
    limit = 6_291_556
    assert server.invoke(name, "y" * (limit - 2)).payload == limit - 2
    assert len(server.invoke(name, limit - 2).body) == limit
    status, code, _ = refused(server.functions.invoke, FunctionName=name, Payload=json.dumps("y" * (limit - 1)))
    assert (status, code) == (413, "RequestTooLargeException")
    answer = server.invoke(name, limit - 1)
    assert (answer.error, answer.payload) == (
        "Unhandled",
        {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        },
    )
    assert server.invoke(name, 3).payload == "xxx"


def test_an_unknown_function_is_not_found(server: Server) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:nobody"
    assert refused(server.functions.invoke, FunctionName="nobody") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {arn}",
    )
    assert refused(server.functions.invoke, FunctionName="nobody", Qualifier="7")[2] == f"Function not found: {arn}:7"


def test_a_client_that_goes_away_does_not_stop_the_function(server: Server) -> None:
    import http.client

    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    name = server.deploy(
        "left-alone", "import time\ndef handler(event, context):\n    time.sleep(1)\n    print('went on')\n"
    )
    path = f"/2015-03-31/functions/{name}/invocations"
    key = server.key()
    request = AWSRequest("POST", server.url + path, data=b"{}")
    SigV4Auth(Credentials(key["aws_access_key_id"], key["aws_secret_access_key"]), "lambda", "us-east-1").add_auth(
        request
    )
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request("POST", path, b"{}", dict(request.headers.items()))
    until(lambda: _group_exists(server, name))
    connection.close()
    until(lambda: any("went on" in line for line in server.log_lines(f"/aws/lambda/{name}")))
    until(lambda: any("REPORT" in line for line in server.log_lines(f"/aws/lambda/{name}")))


def _group_exists(server: Server, name: str) -> bool:
    groups = server.logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    return bool(groups)


def test_many_callers_at_once_each_get_their_own_answer(server: Server) -> None:
    name = server.deploy("crowd", ECHO)
    wrong: list[Any] = []

    def caller(number: int) -> None:
        client = server.functions
        for i in range(20):
            answer = json.loads(client.invoke(FunctionName=name, Payload=json.dumps([number, i]))["Payload"].read())
            if answer != [number, i]:
                wrong.append(answer)

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert wrong == []


def test_a_thread_is_frozen_between_invocations_and_goes_on_in_the_next(server: Server) -> None:
    code = """
import threading, time
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.01)
def handler(event, context):
    if not ticks:
        threading.Thread(target=tick, daemon=True).start()
    time.sleep(0.05)
    return max((later - sooner for sooner, later in zip(ticks, ticks[1:])), default=0)
"""
    name = server.deploy("ticks", code)
    server.invoke(name)
    time.sleep(1)  # what is tested is that time passes unseen
    assert server.invoke(name).payload > 0.5
