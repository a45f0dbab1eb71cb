"""The commands that talk to a server, against a small real one that answers from a table."""

import asyncio
import base64
import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result

from pasture.api.auth.keys import KeyRing
from pasture.cli.main import main
from pasture.http.message import Request, Response
from pasture.http.server import HttpServer

Answer = Callable[[Request], Response]

HELLO = {
    "FunctionName": "hello",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:hello",
    "Runtime": "python3.12",
    "MemorySize": 128,
    "Timeout": 3,
    "CodeSize": 4200,
    "LastModified": "2024-03-04T10:11:12.000+0000",
    "State": "Active",
    "LastUpdateStatus": "Successful",
}
FUNCTIONS = "/2015-03-31/functions"
GROUP_MISSING = {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Response(status, {"Content-Type": "application/json", **(headers or {})}, content)


def refusal(code: str, message: str, status: int) -> Answer:
    return answer({"Type": "User", "Message": message}, status, {"x-amzn-ErrorType": code})


def in_turn(*answers: Answer) -> Answer:
    """One after the other, and the last for ever."""
    left = list(answers)

    def next_one(request: Request) -> Response:
        current = left.pop(0) if len(left) > 1 else left[0]
        return current(request)

    return next_one


class Endpoint:
    """`answers` maps "METHOD /path", or the operation of a JSON protocol, to what is answered."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Request] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = HttpServer(self._answer)
        host, port = asyncio.run_coroutine_threadsafe(self._server.listen("127.0.0.1", 0), self._loop).result()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _answer(self, request: Request) -> Response:
        self.asked.append(request)
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
        return self.answers[operation or f"{request.method} {request.path}"](request)

    def calls(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.asked]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "PASTURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PASTURE_DATA_DIR", str(tmp_path))
    with Endpoint() as endpoint:
        (tmp_path / "endpoint.json").write_text(json.dumps({"url": endpoint.url}))
        yield endpoint


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("def handler(event, context): return event")
    return tmp_path / "code"


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def invocation(payload: bytes, headers: dict[str, str] | None = None) -> dict[str, Answer]:
    return {f"POST {FUNCTIONS}/hello/invocations": answer(payload, headers=headers)}


# Invoke...


def test_an_answer_is_printed_byte_for_byte_into_a_pipe(endpoint: Endpoint) -> None:
    endpoint.answers = invocation(b'{"hi":  "you"}')
    result = run("invoke", "hello", "--payload", '{"a": 1}')
    assert (result.exit_code, result.stdout_bytes, endpoint.asked[0].body) == (0, b'{"hi":  "you"}', b'{"a": 1}')


@pytest.mark.parametrize("how", ["file", "standard input"])
def test_the_event_may_come_from_a_file_or_from_standard_input(endpoint: Endpoint, tmp_path: Path, how: str) -> None:
    endpoint.answers = invocation(b"null")
    (tmp_path / "event.json").write_bytes(b"[1]")
    run("invoke", "hello", "--payload", f"@{tmp_path / 'event.json'}" if how == "file" else "-", stdin=b"[1]")
    assert endpoint.asked[0].body == b"[1]"


def test_qualifier_and_client_context_are_sent_along(endpoint: Endpoint) -> None:
    endpoint.answers = invocation(b"null")
    run("invoke", "hello", "--qualifier", "live", "--client-context", '{"custom": {}}')
    context = base64.b64decode(endpoint.asked[0].headers["x-amz-client-context"])
    assert (endpoint.asked[0].query, context) == ([("Qualifier", "live")], b'{"custom": {}}')


def test_the_tail_of_the_log_goes_to_standard_error(endpoint: Endpoint) -> None:
    endpoint.answers = invocation(b"1", {"X-Amz-Log-Result": base64.b64encode(b"START\nEND").decode()})
    result = run("invoke", "hello", "--tail")
    assert (result.stdout, result.stderr, endpoint.asked[0].headers["x-amz-log-type"]) == ("1", "START\nEND\n", "Tail")


def test_a_function_error_is_readable_and_exits_with_3(endpoint: Endpoint) -> None:
    error = {"errorType": "ValueError", "errorMessage": "boom", "stackTrace": ['  File "app.py", line 2\n', "    x\n"]}
    endpoint.answers = invocation(json.dumps(error).encode(), {"X-Amz-Function-Error": "Unhandled"})
    result = run("invoke", "hello")
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (
        3,
        error,
        'The function failed (Unhandled). ValueError: boom\n  File "app.py", line 2\n    x\n',
    )


def test_an_error_of_no_known_form_is_shown_as_it_is(endpoint: Endpoint) -> None:
    endpoint.answers = invocation(b'"no"', {"X-Amz-Function-Error": "Handled"})
    assert run("invoke", "hello").stderr == 'The function failed (Handled). "no"\n'


def test_the_answer_can_be_written_to_a_file(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answers = invocation(b"\xff")
    result = run("invoke", "hello", "--output-file", str(tmp_path / "answer"))
    assert (result.stdout, (tmp_path / "answer").read_bytes()) == ("", b"\xff")


def test_on_a_terminal_the_answer_is_laid_out(endpoint: Endpoint) -> None:
    endpoint.answers = invocation(b'{"hi":"you"}')
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pasture", "invoke", "hello"]
    subprocess.run(command, stdout=theirs, check=True, env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"})
    os.close(theirs)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert shown.replace(b"\r\n", b"\n") == b'{\n  "hi": "you"\n}\n'


# Errors...


def test_a_refused_call_shows_code_and_message_and_exits_with_1(endpoint: Endpoint) -> None:
    endpoint.answers = {f"POST {FUNCTIONS}/hello/invocations": refusal("TooManyRequestsException", "Slow down", 429)}
    result = run("invoke", "hello")
    assert (result.exit_code, result.stderr, len(endpoint.asked)) == (1, "TooManyRequestsException: Slow down\n", 1)


def test_when_nobody_answers_the_person_is_told_how_to_start_a_server(endpoint: Endpoint) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    KeyRing(Path(os.environ["PASTURE_DATA_DIR"]) / "keys.json").create()
    result = run("functions", "list", "--endpoint-url", url)
    assert (result.exit_code, result.stderr) == (
        1,
        f"No Pasture answers at {url}. Start one with `pasture serve`.\n",
    )


def test_an_answer_that_no_lambda_gives_is_an_error_all_the_same(endpoint: Endpoint) -> None:
    endpoint.answers = {f"GET {FUNCTIONS}": answer(b"<html>Welcome</html>", 404)}
    result = run("functions", "list")
    assert (result.exit_code, result.stderr) == (1, "404: <html>Welcome</html>\n")


def test_a_payload_file_that_is_not_there_is_named(endpoint: Endpoint) -> None:
    result = run("invoke", "hello", "--payload", "@nowhere.json")
    assert (result.exit_code, result.stderr) == (1, "nowhere.json: No such file or directory.\n")


def test_the_call_is_signed_with_the_first_key_of_the_ring_whatever_the_shell_has(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALAWS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    key = KeyRing(tmp_path / "keys.json").create()
    endpoint.answers = {f"GET {FUNCTIONS}": answer({"Functions": []})}
    assert run("functions", "list", "--region", "eu-west-1").exit_code == 0
    headers = endpoint.asked[0].headers
    assert f"Credential={key.id}/" in headers["authorization"]
    assert "/eu-west-1/lambda/" in headers["authorization"]
    assert "x-amz-security-token" not in headers


# Functions...


def test_functions_are_listed_page_by_page_in_a_table(endpoint: Endpoint) -> None:
    other = {**HELLO, "FunctionName": "a-longer-name", "CodeSize": 12}
    del other["State"]
    endpoint.answers = {
        f"GET {FUNCTIONS}": in_turn(
            answer({"Functions": [HELLO], "NextMarker": "more"}), answer({"Functions": [other]})
        ),
        f"GET {FUNCTIONS}/a-longer-name/configuration": answer({**other, "State": "Pending"}),
    }
    assert run("functions", "list").stdout.splitlines() == [
        "NAME           RUNTIME     MEMORY  TIMEOUT  CODE SIZE  MODIFIED                      STATE",
        "hello          python3.12  128 MB  3 s      4.1 KiB    2024-03-04T10:11:12.000+0000  Active",
        "a-longer-name  python3.12  128 MB  3 s      12 B       2024-03-04T10:11:12.000+0000  Pending",
    ]


def test_functions_are_listed_as_json_as_the_server_gives_them(endpoint: Endpoint) -> None:
    endpoint.answers = {f"GET {FUNCTIONS}": answer({"Functions": [HELLO]})}
    assert json.loads(run("functions", "list", "--output", "json").stdout) == [HELLO]


def test_a_function_is_created_with_what_the_options_say_and_waited_for(endpoint: Endpoint, code: Path) -> None:
    endpoint.answers = {
        f"POST {FUNCTIONS}": answer({**HELLO, "State": "Pending"}, 201),
        f"GET {FUNCTIONS}/hello/configuration": in_turn(answer({**HELLO, "State": "Pending"}), answer(HELLO)),
    }
    result = run(
        *("functions", "create", "hello", "--runtime", "python3.12", "--handler", "app.handler", "--code", str(code)),
        *("--env", "STAGE=dev", "--env", "URL=a=b"),
    )
    sent = json.loads(endpoint.asked[0].body)
    package = base64.b64decode(sent.pop("Code")["ZipFile"])
    assert (result.exit_code, result.stdout, len(endpoint.asked)) == (0, f"Created {HELLO['FunctionArn']}.\n", 3)
    assert zipfile.ZipFile(io.BytesIO(package)).namelist() == ["app.py"]
    assert sent == {
        "FunctionName": "hello",
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "MemorySize": 128,
        "Timeout": 3,
        "Environment": {"Variables": {"STAGE": "dev", "URL": "a=b"}},
        "Role": "arn:aws:iam::000000000000:role/pasture",
    }


def test_a_function_that_cannot_be_made_ready_fails_with_its_reason(endpoint: Endpoint, code: Path) -> None:
    endpoint.answers = {
        f"POST {FUNCTIONS}": answer({**HELLO, "State": "Pending"}, 201),
        f"GET {FUNCTIONS}/hello/configuration": answer({**HELLO, "State": "Failed", "StateReason": "No space left."}),
    }
    result = run(
        *("functions", "create", "hello", "--runtime", "python3.12", "--handler", "app.handler", "--code", str(code)),
    )
    assert (result.exit_code, result.stderr) == (1, "hello was taken and cannot be made ready: No space left.\n")


def test_an_update_of_code_and_configuration_lets_the_first_settle_before_the_second(
    endpoint: Endpoint, code: Path
) -> None:
    endpoint.answers = {
        f"PUT {FUNCTIONS}/hello/configuration": answer({**HELLO, "LastUpdateStatus": "InProgress"}),
        f"GET {FUNCTIONS}/hello/configuration": answer(HELLO),
        f"PUT {FUNCTIONS}/hello/code": answer({**HELLO, "LastUpdateStatus": "InProgress"}),
    }
    result = run("functions", "update", "hello", "--code", str(code), "--memory", "256", "--no-wait")
    assert (
        result.exit_code,
        json.loads(endpoint.asked[0].body),
        [call.rpartition("/")[2] for call in endpoint.calls()],
    ) == (
        0,
        {"MemorySize": 256},
        ["configuration", "configuration", "code"],
    )


def test_an_update_of_nothing_is_a_usage_error(endpoint: Endpoint) -> None:
    assert (run("functions", "update", "hello").exit_code, endpoint.asked) == (2, [])


def test_a_variable_without_a_value_is_a_usage_error(endpoint: Endpoint) -> None:
    assert (run("functions", "update", "hello", "--env", "STAGE").exit_code, endpoint.asked) == (2, [])


def test_a_function_is_shown_setting_by_setting(endpoint: Endpoint) -> None:
    endpoint.answers = {f"GET {FUNCTIONS}/hello": answer({"Configuration": HELLO, "Tags": {"team": "a"}})}
    lines = run("functions", "get", "hello").stdout.splitlines()
    assert (lines[0].split(), lines[1].split(), lines[-1].split(maxsplit=1)) == (
        ["SETTING", "VALUE"],
        ["FunctionName", "hello"],
        ["Tags", '{"team": "a"}'],
    )


def test_a_function_is_deleted(endpoint: Endpoint) -> None:
    endpoint.answers = {f"DELETE {FUNCTIONS}/hello": answer(b"", 204)}
    assert (run("functions", "delete", "hello").stdout, endpoint.calls()) == (
        "Deleted hello.\n",
        [f"DELETE {FUNCTIONS}/hello"],
    )


# Logs...


def logged(*messages: str) -> Answer:
    found = [
        {"eventId": f"{message}-{n}", "timestamp": 1_700_000_000_123, "message": f"{message}\n", "logStreamName": "s"}
        for n, message in enumerate(messages)
    ]
    return answer({"events": found})


@pytest.fixture
def log(endpoint: Endpoint) -> Endpoint:
    endpoint.answers = {f"GET {FUNCTIONS}/hello/configuration": answer(HELLO)}
    return endpoint


def test_a_log_is_printed_with_its_times(log: Endpoint) -> None:
    log.answers["FilterLogEvents"] = logged("one", "two")
    assert run("logs", "hello").stdout == "2023-11-14T22:13:20.123Z one\n2023-11-14T22:13:20.123Z two\n"


def test_a_log_is_asked_for_by_group_pattern_and_start(log: Endpoint) -> None:
    log.answers["FilterLogEvents"] = logged()
    before = time.time()
    result = run("logs", "hello", "--since", "2h", "--filter", "ERROR")
    sent = json.loads(log.asked[-1].body)
    start = sent.pop("startTime") / 1000
    assert (sent, before - 7200.01 <= start <= time.time() - 7200) == (
        {"logGroupName": "/aws/lambda/hello", "filterPattern": "ERROR"},
        True,
    )
    assert result.stderr == "Nothing was logged in that time; --since looks further back.\n"


def test_a_function_that_logs_elsewhere_is_read_there(log: Endpoint) -> None:
    log.answers[f"GET {FUNCTIONS}/hello/configuration"] = answer({**HELLO, "LoggingConfig": {"LogGroup": "/all"}})
    log.answers["FilterLogEvents"] = logged("one")
    run("logs", "hello")
    assert json.loads(log.asked[-1].body)["logGroupName"] == "/all"


def test_the_log_of_a_deleted_function_can_still_be_read(log: Endpoint) -> None:
    log.answers[f"GET {FUNCTIONS}/hello/configuration"] = refusal(
        "ResourceNotFoundException", "Function not found", 404
    )
    log.answers["FilterLogEvents"] = logged("one")
    assert (run("logs", "hello").exit_code, json.loads(log.asked[-1].body)["logGroupName"]) == (0, "/aws/lambda/hello")


def test_a_log_that_is_not_there_yet_is_a_clear_word(log: Endpoint) -> None:
    log.answers["FilterLogEvents"] = answer(GROUP_MISSING, 400)
    result = run("logs", "hello")
    assert (result.exit_code, result.stderr) == (
        1,
        "hello has no log yet: /aws/lambda/hello comes into being when it is first invoked.\n",
    )


def test_a_length_of_time_that_is_none_is_a_usage_error(log: Endpoint) -> None:
    assert (run("logs", "hello", "--since", "yesterday").exit_code, log.asked) == (2, [])


def test_following_waits_for_the_log_shows_what_comes_and_ends_well_on_an_interrupt(log: Endpoint) -> None:
    log.answers["FilterLogEvents"] = in_turn(answer(GROUP_MISSING, 400), logged("one"))
    command = [sys.executable, "-m", "pasture", "logs", "hello", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        line = following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, remarks = following.communicate()
    assert (line, remarks, following.returncode) == (
        "2023-11-14T22:13:20.123Z one\n",
        "hello has no log yet; waiting for its first invocation.\n",
        0,
    )


def test_a_reader_that_goes_away_is_no_error_worth_a_word(log: Endpoint) -> None:
    log.answers["FilterLogEvents"] = logged(*["long" * 100] * 2_000)
    command = [sys.executable, "-m", "pasture", "logs", "hello"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        reading.stdout.readline()
        reading.stdout.close()
        said = reading.stderr.read()
    assert said == b""
