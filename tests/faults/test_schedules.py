"""Schedules while the server is killed: every occurrence runs, under one id."""

import json
import signal
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from system.node import Server, a_role, until

COUNT = 60
# What it writes is with the kernel at once, whatever is killed then. Without namespaces it reaches the host's files.
WITNESS = """
import os

def handler(event, context):
    file = os.open(event["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, f"{event['key']} {context.aws_request_id}\\n".encode())
    os.close(file)
"""


def test_whatever_kills_the_server_every_occurrence_runs_under_one_id(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    witness.touch(0o666)
    server = Server(tmp_path / "data", "--isolation", "process").start()
    arn = server.functions.get_function(FunctionName=server.deploy("killed", WITNESS))["Configuration"]["FunctionArn"]
    role = a_role(server, "runs", "lambda:InvokeFunction", "*")
    scheduler = server.client("scheduler")
    begin = datetime.now(UTC) + timedelta(seconds=3)
    for number in range(COUNT):
        scheduler.create_schedule(
            Name=f"n{number}",
            ScheduleExpression=f"at({(begin + timedelta(seconds=number % 6)).strftime('%Y-%m-%dT%H:%M:%S')})",
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion="DELETE",
            Target={"Arn": arn, "RoleArn": role, "Input": json.dumps({"key": f"n{number}", "file": str(witness)})},
        )
    for least in (COUNT // 6, COUNT // 3, COUNT // 2):
        until(lambda least=least: len(ran(witness)) >= least, seconds=60)  # type: ignore[misc]
        server.stop(signal.SIGKILL)
        server.start()
    until(lambda: len(ran(witness)) == COUNT, seconds=90)
    assert {key: len(ids) for key, ids in ran(witness).items()} == {f"n{number}": 1 for number in range(COUNT)}
    until(lambda: not server.client("scheduler").list_schedules()["Schedules"])
    assert server.stop() == 0


def ran(witness: Path) -> dict[str, set[str]]:
    """The request ids of each schedule's runs."""
    found = defaultdict(set)
    for line in witness.read_text().splitlines():
        key, request_id = line.split()
        found[key].add(request_id)
    return found
