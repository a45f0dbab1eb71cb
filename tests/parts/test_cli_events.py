"""`pasture events`, against a small server that answers from a table."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parts.cli_endpoint import Endpoint, answer, refusal, run, serving

PAGE = "/_pasture/events/hello"
EVENT: dict[str, Any] = {
    "Id": "id-1",
    "State": "queued",
    "Qualifier": "",
    "Accepted": 1.0,
    "AgeSeconds": 61.0,
    "Attempts": 1,
    "Throttles": 2,
    "PayloadBytes": 1024,
    "LastError": "ValueError: boom",
}
TOLD = {
    "FunctionName": "hello",
    "Queued": 1_000_000,
    "Waiting": 1,
    "Running": 0,
    "Failed": 1,
    "Events": [EVENT, {**EVENT, "Id": "id-2", "State": "waiting", "NextAttempt": 9e9}],
    "FailedEvents": [
        {**EVENT, "Id": "id-3", "State": "failed", "Condition": "RetriesExhausted", "GivenUp": time.time() - 3600}
    ],
    "WaitingDeliveries": 0,
    "FailedDeliveries": 1,
    "Deliveries": [
        {
            "Id": "id-4", "State": "failed", "Kind": "destination", "Target": "arn:aws:sqs:us-east-1:000000000000:gone",
            "Qualifier": "$LATEST", "Condition": "Success", "Created": 1.0, "Attempts": 7, "BodyBytes": 512,
            "LastError": "no such queue", "GivenUp": time.time() - 60,
        }
    ],
}  # fmt: skip


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    with serving(monkeypatch, tmp_path) as endpoint:
        yield endpoint


def test_people_are_shown_counts_and_a_line_for_each_of_the_first(endpoint: Endpoint) -> None:
    endpoint.answers = {f"GET {PAGE}": answer(TOLD)}
    result = run("events", "hello")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "Events of hello: 1,000,000 queued, 1 waiting, 0 running, 1 failed."
    assert lines[3].split() == ["id-1", "queued", "0:01:01", "1", "2", "1.0", "KiB", "ValueError:", "boom"]
    assert lines[4].split()[:4] == ["id-2", "waiting", "0:01:01", "in"]
    assert lines[7].split()[0] == "id-3"
    assert lines[7].split()[2:5] == ["ago", "RetriesExhausted", "1"]
    assert re.fullmatch(r"1:\d\d:\d\d", lines[7].split()[1])
    assert lines[9] == "Deliveries to destinations: 1 given up, 0 tried again."
    assert lines[12].split()[:2] == ["id-4", "failed"]
    assert lines[12].split()[3:] == [
        "ago", "arn:aws:sqs:us-east-1:000000000000:gone", "Success", "7", "no", "such", "queue",
    ]  # fmt: skip


def test_programs_are_told_all_of_it_and_the_call_is_signed(endpoint: Endpoint) -> None:
    endpoint.answers = {f"GET {PAGE}": answer(TOLD)}
    assert json.loads(run("events", "hello", "--output", "json", "--limit", "5").stdout) == TOLD
    assert endpoint.asked[0].raw_query == "limit=5"
    assert "/lambda/aws4_request" in endpoint.asked[0].headers["authorization"]


def test_what_is_queued_or_has_failed_is_purged(endpoint: Endpoint) -> None:
    endpoint.answers = {f"POST {PAGE}/purge": answer({"Purged": 1_234})}
    assert run("events", "purge", "hello").stdout == "1,234 events are purged.\n"
    assert run("events", "purge", "hello", "--failed").exit_code == 0
    assert [request.raw_query for request in endpoint.asked] == ["", "failed=true"]


def test_what_has_failed_is_redriven(endpoint: Endpoint) -> None:
    endpoint.answers = {f"POST {PAGE}/redrive": answer({"Redriven": 2})}
    assert run("events", "redrive", "hello").stdout == "2 events are queued again.\n"


def test_what_was_given_up_of_deliveries_is_redriven_and_purged_by_itself(endpoint: Endpoint) -> None:
    endpoint.answers = {
        f"POST {PAGE}/redrive": answer({"Redriven": 1}),
        f"POST {PAGE}/purge": answer({"Purged": 2}),
    }
    said = run("events", "redrive", "hello", "--deliveries", "--id", "id/4").stdout
    assert said == "1 deliveries are queued again.\n"
    assert run("events", "purge", "hello", "--deliveries").stdout == "2 deliveries are purged.\n"
    assert [request.raw_query for request in endpoint.asked] == ["deliveries=true&id=id%2F4", "deliveries=true"]


def test_options_that_do_not_go_together_are_said(endpoint: Endpoint) -> None:
    for words in (("redrive", "hello", "--id", "x"), ("purge", "hello", "--failed", "--deliveries")):
        result = run("events", *words)
        assert (result.exit_code, "deliver" in result.output) == (2, True)
    assert endpoint.asked == []


def test_a_function_with_the_name_of_a_command_is_shown_by_show(endpoint: Endpoint) -> None:
    endpoint.answers = {"GET /_pasture/events/purge": answer({**TOLD, "FunctionName": "purge"})}
    assert "Events of purge" in run("events", "show", "purge").stdout


def test_who_may_not_ask_is_told_so(endpoint: Endpoint) -> None:
    endpoint.answers = {f"GET {PAGE}": refusal("AccessDeniedException", "You may not.", 403)}
    result = run("events", "hello")
    assert (result.exit_code, result.stderr) == (1, "You may not.\n")
