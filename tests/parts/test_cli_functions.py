"""`pasture functions`: what is sent to the server and what is shown of its answers."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parts.cli_endpoint import FUNCTIONS, HELLO, Endpoint, answer, in_turn, run, serving


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    with serving(monkeypatch, tmp_path) as endpoint:
        yield endpoint


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("def handler(event, context): return event")
    return tmp_path / "code"


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
