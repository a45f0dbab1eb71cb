"""`pasture invoke`, and what every command shows of an error."""

import base64
import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parts.cli_endpoint import FUNCTIONS, Answer, Endpoint, answer, refusal, run, serving
from pasture.api.auth.keys import KeyRing


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    with serving(monkeypatch, tmp_path) as endpoint:
        yield endpoint


def invocation(payload: bytes, headers: dict[str, str] | None = None) -> dict[str, Answer]:
    return {f"POST {FUNCTIONS}/hello/invocations": answer(payload, headers=headers)}


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
