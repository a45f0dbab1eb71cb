"""Extensions, internal and external, as the Extensions API has them (aws-lambda reference 2.1, 2.2, 3.4)."""

import json
import re
import stat
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest

from system.node import Server, until

# An external extension that says in the log what it is told. Its behaviour is set by the environment.
EXTENSION = r"""#!/usr/bin/env python3
import http.client, json, os, signal, sys, time

def call(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read() or b"null")

name = os.path.basename(__file__)
mode = os.environ.get("EXTENSION_MODE", "")
if mode == "dies before registering":
    sys.exit(7)
events = json.loads(os.environ.get("EXTENSION_EVENTS", '["INVOKE", "SHUTDOWN"]'))
status, headers, told = call(
    "POST", "/2020-01-01/extension/register", json.dumps({"events": events}),
    Lambda_Extension_Name=name, Lambda_Extension_Accept_Feature="accountId",
)
print(f"{name} registered", status, json.dumps(told), flush=True)
me = headers["Lambda-Extension-Identifier"]
if mode == "init error":
    call("POST", "/2020-01-01/extension/init/error", "{}", Lambda_Extension_Identifier=me,
         Lambda_Extension_Function_Error_Type="Extension.NoConfiguration")
    sys.exit(1)
if mode == "sees":
    print("sees", json.dumps(sorted(os.environ)), flush=True)
while True:
    _, _, event = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)
    print(f"{name} got", json.dumps(event), flush=True)
    if event["eventType"] == "SHUTDOWN":
        break
    if mode == "slow":
        time.sleep(0.5)
    if mode == "dies in invoke":
        os._exit(9)
    if mode == "never ready":
        time.sleep(60)
"""

ECHO = "def handler(event, context):\n    return event\n"


def layer(server: Server, name: str, files: Mapping[str, str]) -> str:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            zipped.writestr(entry, text)
    answer = server.functions.publish_layer_version(LayerName=name, Content={"ZipFile": out.getvalue()})
    return answer["LayerVersionArn"]


@pytest.fixture(scope="module")
def witness(server: Server) -> str:
    return layer(server, "witness", {"extensions/witness": EXTENSION})


def deploy(server: Server, name: str, layers: list[str], code: str = ECHO, **more: Any) -> str:
    variables = more.pop("variables", {})
    return server.deploy(name, code, Layers=layers, Environment={"Variables": variables}, **more)


def said(server: Server, name: str, start: str) -> list[Any]:
    """What lines of the log with this start go on with, as JSON."""
    lines = server.log_lines(f"/aws/lambda/{name}")
    return [json.loads(line[len(start) :]) for line in lines if line.startswith(start)]


def test_an_external_extension_is_told_of_each_invocation(server: Server, witness: str) -> None:
    name = deploy(server, "told", [witness])
    answer = server.invoke(name, {"a": 1}, Qualifier="$LATEST")
    assert answer.payload == {"a": 1}
    (told,) = until(lambda: said(server, name, "witness got "))
    assert told.pop("deadlineMs") > 0
    assert told.pop("tracing")["type"] == "X-Amzn-Trace-Id"
    assert told == {
        "eventType": "INVOKE",
        "requestId": answer.request_id,
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:told:$LATEST",
    }


def test_registration_tells_the_extension_what_the_function_is(server: Server, witness: str) -> None:
    name = deploy(server, "facts", [witness])
    server.invoke(name)
    assert said(server, name, "witness registered 200 ") == [
        {"functionName": "facts", "functionVersion": "$LATEST", "handler": "app.handler", "accountId": "000000000000"}
    ]
    lines = server.log_lines("/aws/lambda/facts")
    assert "EXTENSION\tName: witness\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in lines


def test_extensions_do_not_see_what_is_the_runtimes(server: Server, witness: str) -> None:
    name = deploy(server, "sees", [witness], variables={"EXTENSION_MODE": "sees", "MINE": "yes"})
    server.invoke(name)
    (seen,) = said(server, name, "sees ")
    hidden = {"_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME"}
    assert not hidden & set(seen)
    assert {"MINE", "AWS_REGION", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME"} <= set(seen)


def test_the_caller_does_not_wait_for_a_slow_extension_but_the_report_does(server: Server, witness: str) -> None:
    name = deploy(server, "slow-extension", [witness], variables={"EXTENSION_MODE": "slow"})
    server.invoke(name)
    report = until(lambda: [line for line in server.log_lines(f"/aws/lambda/{name}") if line.startswith("REPORT")])
    duration = re.search(r"\tDuration: ([\d.]+) ms", report[0])
    assert duration is not None
    assert float(duration[1]) > 450


def test_an_extension_that_never_is_ready_makes_the_invocation_time_out_after_its_answer(
    server: Server, witness: str
) -> None:
    name = deploy(server, "never-ready", [witness], variables={"EXTENSION_MODE": "never ready"}, Timeout=1)
    assert server.invoke(name, "fine").payload == "fine"
    until(lambda: any("Status: timeout" in line for line in server.log_lines(f"/aws/lambda/{name}")))


def test_an_extension_that_dies_in_an_invocation_fails_it(server: Server, witness: str) -> None:
    code = "import time\ndef handler(event, context):\n    time.sleep(2)\n"
    name = deploy(server, "dying", [witness], code, variables={"EXTENSION_MODE": "dies in invoke"})
    answer = server.invoke(name)
    assert answer.payload == {
        "errorType": "Extension.Crash",
        "errorMessage": f"RequestId: {answer.request_id} Error: exit status 9",
    }


def test_an_extension_that_dies_before_it_registers_fails_the_init(server: Server, witness: str) -> None:
    name = deploy(server, "unregistered", [witness], variables={"EXTENSION_MODE": "dies before registering"})
    assert server.invoke(name).payload["errorType"] == "Extension.Crash"


def test_an_extension_that_reports_an_init_error_fails_the_init_by_its_word(server: Server, witness: str) -> None:
    name = deploy(server, "init-error", [witness], variables={"EXTENSION_MODE": "init error"})
    answer = server.invoke(name)
    assert answer.payload == {
        "errorType": "Extension.InitError",
        "errorMessage": f"RequestId: {answer.request_id} Error: Extension.NoConfiguration",
    }


def test_a_time_out_tells_extensions_why_they_are_shut_down(server: Server, witness: str) -> None:
    code = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'ok'\n"
    name = deploy(server, "shut-by-timeout", [witness], code, Timeout=1)
    assert server.invoke(name, 30).payload["errorType"] == "Sandbox.Timedout"
    told = until(lambda: [e for e in said(server, name, "witness got ") if e["eventType"] == "SHUTDOWN"])
    assert [event["shutdownReason"] for event in told] == ["timeout"]
    assert server.invoke(name, 0).payload == "ok"


def test_the_end_of_an_environment_tells_extensions_and_lets_the_runtime_clean_up(server: Server, witness: str) -> None:
    code = """
import signal, sys
def on_term(number, frame):
    print("cleaning up", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, on_term)
def handler(event, context):
    return 1
"""
    name = deploy(server, "spun-down", [witness], code)
    server.invoke(name)
    server.functions.delete_function(FunctionName=name)
    told = until(lambda: [e for e in said(server, name, "witness got ") if e["eventType"] == "SHUTDOWN"])
    assert [event["shutdownReason"] for event in told] == ["spindown"]


def test_an_extension_in_another_language_works_too(server: Server) -> None:
    perl = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET; $| = 1;
sub call {
    my ($method, $path, $body, @headers) = @_;
    my $socket = IO::Socket::INET->new($ENV{AWS_LAMBDA_RUNTIME_API}) or die;
    print $socket join("\r\n", "$method $path HTTP/1.1", "Host: x", "Connection: close",
        "Content-Length: " . length($body), @headers, "", $body);
    local $/; return <$socket>;
}
my $answer = call("POST", "/2020-01-01/extension/register", '{"events":["INVOKE"]}', "Lambda-Extension-Name: inperl");
my ($id) = $answer =~ /Lambda-Extension-Identifier: (\S+)/;
while (1) {
    my $event = call("GET", "/2020-01-01/extension/event/next", "", "Lambda-Extension-Identifier: $id");
    print "perl was told\n" if $event =~ /INVOKE/;
}
"""
    arn = layer(server, "perl", {"extensions/inperl": perl})
    name = deploy(server, "in-perl", [arn])
    assert server.invoke(name, 5).payload == 5
    until(lambda: "perl was told\n" in server.log_lines("/aws/lambda/in-perl"))


INTERNAL = r"""
import http.client, json, os, threading
def call(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read() or b"null")
refused = call("POST", "/2020-01-01/extension/register", '{"events":["SHUTDOWN"]}', Lambda_Extension_Name="inside")
_, headers, _ = call("POST", "/2020-01-01/extension/register", '{"events":["INVOKE"]}', Lambda_Extension_Name="inside")
seen = []
def listen():
    while True:
        _, _, event = call("GET", "/2020-01-01/extension/event/next",
                           Lambda_Extension_Identifier=headers["Lambda-Extension-Identifier"])
        seen.append(event["requestId"])
threading.Thread(target=listen, daemon=True).start()
def handler(event, context):
    late = call("POST", "/2020-01-01/extension/register", '{"events":[]}', Lambda_Extension_Name="late")
    return {"refused": [refused[0], refused[2]["errorType"]], "late": [late[0], late[2]["errorType"]], "seen": seen}
"""


def test_an_internal_extension_is_told_of_invocations_and_may_not_ask_for_shutdown(server: Server) -> None:
    name = deploy(server, "internal", [], INTERNAL)
    first = server.invoke(name)
    second = server.invoke(name).payload
    assert second["refused"] == [403, "Extension.InvalidEventType"]
    assert second["late"] == [403, "Extension.RegistrationClosed"]
    assert first.request_id in second["seen"]


def test_a_wrapper_script_starts_the_runtime(server: Server) -> None:
    wrapper = '#!/bin/bash\necho "wrapped: $# words"\nexport WRAPPED=yes\nexec "$@"\n'
    arn = layer(server, "wrapper", {"wrap": wrapper})
    code = "import os\ndef handler(event, context):\n    return os.environ['WRAPPED']\n"
    name = deploy(server, "wrapped", [arn], code, variables={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"})
    assert server.invoke(name).payload == "yes"
    missing = deploy(server, "unwrapped", [], code, variables={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/nothing"})
    assert server.invoke(missing).payload["errorMessage"].endswith("Runtime exited with error: exit status 127")
    assert "/opt/nothing: does not exist\n" in server.log_lines("/aws/lambda/unwrapped")


SUBSCRIBER = r"""#!/usr/bin/env python3
import http.client, http.server, json, os, threading

def call(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("/tmp/telemetry", "a") as file:
            for event in batch:
                file.write(json.dumps(event) + "\n")
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *args): pass

receiver = http.server.ThreadingHTTPServer(("0.0.0.0", 8099), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
_, headers, _ = call("POST", "/2020-01-01/extension/register", '{"events":["INVOKE","SHUTDOWN"]}',
                     Lambda_Extension_Name=os.path.basename(__file__))
me = headers["Lambda-Extension-Identifier"]
subscription = {
    "schemaVersion": "2022-12-13", "types": ["platform", "function"],
    "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8099"},
}
print("subscribed", *call("PUT", "/2022-07-01/telemetry", json.dumps(subscription), Lambda_Extension_Identifier=me)[::2], flush=True)
while True:
    call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)
"""

READS_BACK = r"""
import json, os, time
def handler(event, context):
    print("a line of the function")
    deadline = time.monotonic() + 5
    while event and time.monotonic() < deadline:
        if os.path.exists("/tmp/telemetry"):
            seen = [json.loads(line) for line in open("/tmp/telemetry")]
            if any(e["type"] == "platform.report" for e in seen):
                return seen
        time.sleep(0.02)
"""


def test_a_telemetry_subscriber_gets_the_events_of_init_and_invocations_in_order(server: Server) -> None:
    arn = layer(server, "subscriber", {"extensions/subscriber": SUBSCRIBER})
    name = deploy(server, "telemetry", [arn], READS_BACK)
    first = server.invoke(name, False)
    seen = server.invoke(name, True).payload
    types = [event["type"] for event in seen]
    expected = [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "function",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert [type_ for type_ in types if type_ in expected][: len(expected)] == expected
    by_type = {event["type"]: event["record"] for event in reversed(seen)}
    assert by_type["function"] == "a line of the function"
    assert by_type["platform.runtimeDone"]["requestId"] == first.request_id
    assert by_type["platform.report"]["metrics"]["memorySizeMB"] == 128
    assert set(by_type["platform.initStart"]) >= {"initializationType", "phase", "functionName", "functionVersion"}
    lines = server.log_lines("/aws/lambda/telemetry")
    assert "TELEMETRY\tName: subscriber\tState: Subscribed\tTypes: [Platform, Function]\n" in lines
    assert [line for line in lines if line.startswith("subscribed")] == ["subscribed 200 b'\"OK\"'\n"]


def test_json_logs_are_json_from_the_platform_and_from_the_function(server: Server) -> None:
    code = """
import logging
def handler(event, context):
    logging.getLogger().setLevel("DEBUG")
    logging.getLogger("cows").info("grazing")
    logging.getLogger("cows").debug("chewing")
"""
    name = server.deploy(
        "json-logs", code, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "DEBUG"}
    )
    answer = server.invoke(name)
    lines = [json.loads(line) for line in until(lambda: server.log_lines("/aws/lambda/json-logs"))]
    system = [line for line in lines if "type" in line]
    assert [line["type"] for line in system] == [
        "platform.initStart",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert system[3]["record"]["requestId"] == answer.request_id
    (message,) = [line for line in lines if "type" not in line]
    assert (message["level"], message["message"], message["logger"]) == ("INFO", "grazing", "cows")
    assert message["requestId"] == answer.request_id


def test_the_log_group_may_be_another(server: Server) -> None:
    name = server.deploy("elsewhere", ECHO, LoggingConfig={"LogGroup": "/my/own-group"})
    server.invoke(name)
    assert any(line.startswith("REPORT") for line in server.log_lines("/my/own-group"))


def test_the_layer_is_where_python_looks(server: Server) -> None:
    arn = layer(server, "pylib", {"python/from_a_layer.py": "word = 'moo'\n"})
    name = deploy(
        server, "uses-layer", [arn], "import from_a_layer\ndef handler(e, c):\n    return from_a_layer.word\n"
    )
    assert server.invoke(name).payload == "moo"


def test_an_environment_can_ask_for_its_zone_and_has_credentials_of_its_role(server: Server) -> None:
    code = """
import os, urllib.request
def handler(event, context):
    url = f"http://{os.environ['AWS_LAMBDA_METADATA_API']}/2026-01-15/metadata/execution-environment"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {os.environ['AWS_LAMBDA_METADATA_TOKEN']}"})
    zone = urllib.request.urlopen(request).read().decode()
    return [zone, {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}]
"""
    name = server.deploy("who-am-i", code)
    zone, given = server.invoke(name).payload
    assert json.loads(zone) == {"AvailabilityZoneID": "use1-az1"}
    sts = server.client("sts", **{key.lower(): value for key, value in given.items()})
    assert sts.get_caller_identity()["Arn"] == "arn:aws:sts::000000000000:assumed-role/test/who-am-i"


PERL_SUBSCRIBER = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET; $| = 1;
sub call {
    my ($method, $path, $body, @headers) = @_;
    my $socket = IO::Socket::INET->new($ENV{AWS_LAMBDA_RUNTIME_API}) or die;
    print $socket join("\r\n", "$method $path HTTP/1.1", "Host: x", "Connection: close",
        "Content-Length: " . length($body), @headers, "", $body);
    local $/; return <$socket>;
}
my $listener = IO::Socket::INET->new(LocalAddr => "0.0.0.0:8098", Listen => 5, ReuseAddr => 1) or die;
my $answer = call("POST", "/2020-01-01/extension/register", '{"events":["INVOKE","SHUTDOWN"]}', "Lambda-Extension-Name: tcp");
my ($id) = $answer =~ /Lambda-Extension-Identifier: (\S+)/;
call("PUT", "/2022-07-01/telemetry", '{"schemaVersion":"2022-07-01","types":["platform","function"],' .
    '"buffering":{"timeoutMs":25,"maxBytes":262144,"maxItems":1000},"destination":{"protocol":"TCP","port":8098}}',
    "Lambda-Extension-Identifier: $id");
if (!fork) {
    while (my $client = $listener->accept) {
        open(my $out, ">>", "/tmp/telemetry"); $out->autoflush(1);
        while (my $line = <$client>) { print $out $line }
    }
}
while (1) { call("GET", "/2020-01-01/extension/event/next", "", "Lambda-Extension-Identifier: $id") }
"""


def test_a_subscriber_in_another_language_takes_telemetry_by_tcp(server: Server) -> None:
    arn = layer(server, "tcp-subscriber", {"extensions/tcp": PERL_SUBSCRIBER})
    name = deploy(server, "telemetry-by-tcp", [arn], READS_BACK)
    first = server.invoke(name, False)
    seen = server.invoke(name, True).payload
    report = next(event for event in seen if event["type"] == "platform.report")
    assert report["record"]["requestId"] == first.request_id
    assert [event["record"] for event in seen if event["type"] == "function"][:1] == ["a line of the function"]
