"""`pasture logs`: where it reads, what it prints, how it ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parts.cli_endpoint import FUNCTIONS, HELLO, Answer, Endpoint, answer, in_turn, refusal, run, serving

GROUP_MISSING = {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    with serving(monkeypatch, tmp_path) as endpoint:
        yield endpoint


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
