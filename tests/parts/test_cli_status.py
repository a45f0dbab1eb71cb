"""`pasture status`, against a small server that answers from a table."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from parts.cli_endpoint import Endpoint, answer, refusal, run, serving

PATH = "GET /_pasture/status"
TOLD = {
    "environments": {"starting": 1, "idle": 2, "busy": 3, "stopping": 0},
    "snapshots": {"initialising": 0, "resting": 2},
    "memory": {"promised_mb": 1536, "snapshots_mb": 256, "total_mb": 4096},
    "starts_at_once": 8,
    "waiting": {"invocations": 5, "without_room": 4},
    "stock": 2,
    "functions": {
        "hello": {
            "invocations": 3,
            "environments": {"starting": 0, "idle": 1, "busy": 3, "stopping": 0},
            "snapshots": {"initialising": 0, "resting": 2},
            "memory_mb": 512,
            "without_room": 4,
        },
        "gone": {
            "invocations": 1,
            "environments": {"starting": 0, "idle": 0, "busy": 0, "stopping": 0},
            "snapshots": {"initialising": 0, "resting": 0},
            "memory_mb": 0,
            "without_room": 0,
        },
    },
}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    with serving(monkeypatch, tmp_path) as endpoint:
        yield endpoint


def test_people_are_shown_the_machine_and_a_line_for_each_function(endpoint: Endpoint) -> None:
    endpoint.answers = {PATH: answer(TOLD)}
    result = run("status")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:5] == [
        "Memory: 1,536 of 4,096 MB are promised, 256 of them to snapshots.",
        "Environments: 1 starting, 2 idle, 3 busy, 0 stopping.",
        "Snapshots: 0 initialising, 2 resting.",
        "Waiting: 5, of which 4 have no room.",
        "Sandboxes in stock: 2.",
    ]
    assert [line.split() for line in result.stdout.splitlines()[7:]] == [
        ["hello", "3", "0", "1", "3", "0", "2", "512", "MB", "4"],
        ["gone", "1", "0", "0", "0", "0", "0", "0", "MB", "0"],
    ]


def test_programs_are_told_all_of_it_and_the_call_is_signed(endpoint: Endpoint) -> None:
    endpoint.answers = {PATH: answer(TOLD)}
    assert json.loads(run("status", "--output", "json").stdout) == TOLD
    assert "/lambda/aws4_request" in endpoint.asked[0].headers["authorization"]


def test_who_may_not_ask_is_told_so(endpoint: Endpoint) -> None:
    endpoint.answers = {PATH: refusal("AccessDeniedException", "You may not.", 403)}
    result = run("status")
    assert (result.exit_code, result.stderr) == (1, "You may not.\n")


def test_what_is_no_pasture_is_told_so(endpoint: Endpoint) -> None:
    endpoint.answers = {PATH: answer(b"<html>")}
    assert "is not Pasture" in run("status").stderr


def test_where_nobody_answers_that_is_said(tmp_path: Path) -> None:
    result = run("status", "--data-dir", str(tmp_path), "--endpoint-url", "http://127.0.0.1:1")
    assert (result.exit_code, "No Pasture answers at http://127.0.0.1:1" in result.stderr) == (1, True)
