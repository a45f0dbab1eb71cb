"""Accepted means kept: servers are killed while events come in and run, and disks are full; each one runs at least once.

`PASTURE_EVENTS=20000` for the whole of it: with 20 clients and 20 kills.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from system.moto_beside import Moto
from system.node import Server, a_role, until

EVENTS = int(os.environ.get("PASTURE_EVENTS", "500"))
WHOLE = EVENTS >= 5_000
CLIENTS = 20 if WHOLE else 6
KILLS = 20 if WHOLE else 4
# At most: so that the kills are among the events.
LIFE_SECONDS = 6.0 if WHOLE else 0.5

# What it writes is with the kernel at once, whatever is killed then. Without namespaces it reaches the host's files.
WITNESS = """
import os

def handler(event, context):
    file = os.open(event["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, f"{event['n']} {context.aws_request_id}\\n".encode())
    os.close(file)
    if event["n"] % 50 == 0:
        raise ValueError("every fiftieth")
"""


class Senders:
    """Clients that send events, each with a number, through whatever happens to the server."""

    def __init__(self, server: Server, file: Path) -> None:
        self._server = server
        self._file = file
        self._numbers = iter(range(1, EVENTS + 1))
        self._taking = threading.Lock()
        self.accepted: dict[int, str] = {}
        self.unheard = 0
        self.faults: list[Exception] = []
        self._threads = [threading.Thread(target=self._send_all) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    @property
    def are_sending(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _send_all(self) -> None:
        client = self._server.functions
        while (number := self._next()) is not None:
            try:
                self._send(client, number)
            except Exception as error:  # noqa: BLE001 - told by the test
                self.faults.append(error)
                return

    def _send(self, client: Any, number: int) -> None:
        payload = json.dumps({"n": number, "file": str(self._file)})
        while number not in self.accepted:
            try:
                answer = client.invoke(FunctionName="witness", InvocationType="Event", Payload=payload)
            except BotoCoreError:  # it was killed: whether the event was accepted is not known
                self.unheard += 1
                time.sleep(0.05)
            else:
                self.accepted[number] = answer["ResponseMetadata"]["RequestId"]

    def _next(self) -> int | None:
        with self._taking:
            return next(self._numbers, None)


def told_of(server: Server, name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "pasture", "events", name, "--output", "json", "--data-dir", str(server.data)]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


def is_drained(server: Server, name: str) -> bool:
    told = told_of(server, name)
    return not told["Queued"] + told["Waiting"] + told["Running"]


class Records:
    """What a topic tells its subscriber, which is this: nothing waits in a queue that would be slow to read when long."""

    def __init__(self, moto: Moto, name: str) -> None:
        self.came: Counter[str] = Counter()
        """How often each request id."""
        taking, came = threading.Lock(), self.came

        class Subscriber(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with taking:
                    came[json.loads(told["Message"])["requestContext"]["requestId"]] += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Subscriber)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        sns = moto.client("sns")
        self.topic: str = sns.create_topic(Name=name)["TopicArn"]
        sns.subscribe(TopicArn=self.topic, Protocol="http", Endpoint=f"http://127.0.0.1:{self._http.server_port}/")

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def wait_for(self, ids: set[str], seconds: float) -> None:
        try:
            until(lambda: ids <= self.came.keys(), seconds)
        except AssertionError:
            lacking = sorted(ids - self.came.keys())
            raise AssertionError(f"{len(lacking)} of {len(ids)} records never came, as {lacking[:5]}") from None


@pytest.fixture
def moto() -> Iterator[Moto]:
    beside = Moto().start()
    yield beside
    beside.stop()


@pytest.mark.timeout(3600 if WHOLE else 600)
def test_every_event_that_was_accepted_runs_and_is_told_of_however_often_the_server_is_killed(
    tmp_path: Path, moto: Moto
) -> None:
    # What ages with the events are also the deliveries: the whole of it takes minutes, and they may too.
    (tmp_path / "pasture.toml").write_text(f"event_time_scale = {0.05 if WHOLE else 0.01}\n")
    more = ("--isolation", "process", "--neighbour", moto.url, "--config", str(tmp_path / "pasture.toml"))
    log = tmp_path / "server.log"
    server = Server(tmp_path / "data", *more, log=log)
    role = a_role(server, "teller", "sns:Publish", "*")
    server.start()
    # The same address every time, for clients that know but one.
    server.command[server.command.index("--port") + 1] = server.url.rpartition(":")[2]
    file, draw = tmp_path / "witnessed", random.Random()
    well, ill = Records(moto, "well"), Records(moto, "ill")
    try:
        server.deploy("witness", WITNESS, Role=role)
        server.functions.put_function_event_invoke_config(
            FunctionName="witness",
            DestinationConfig={"OnSuccess": {"Destination": well.topic}, "OnFailure": {"Destination": ill.topic}},
        )
        senders = Senders(server, file)
        senders.start()
        kills = 0
        while kills < KILLS and senders.are_sending:
            time.sleep(draw.uniform(0.05, LIFE_SECONDS))
            server.stop(signal.SIGKILL)
            server.start()
            kills += 1
        senders.join()
        server.stop(signal.SIGKILL)
        server.start()
        assert senders.faults == []
        ids = {number: senders.accepted[number] for number in range(1, EVENTS + 1)}
        until(lambda: is_drained(server, "witness"), 900)
        ran = Counter(tuple(line.split()) for line in file.read_text().splitlines())
        lost = [pair for pair in ids.items() if (str(pair[0]), pair[1]) not in ran]
        repeated = sum(count - 1 for (number, _), count in ran.items() if int(number) % 50)
        well.wait_for({id_ for number, id_ in ids.items() if number % 50}, 600)
        ill.wait_for({id_ for number, id_ in ids.items() if not number % 50}, 600)
        came = well.came + ill.came
        print(  # noqa: T201 - figures for whoever runs it whole
            f"\n{len(ids)} events accepted, {kills + 1} kills, {senders.unheard} sent without an answer; {len(lost)} lost, "
            f"{repeated} ran again without having failed, {came.total() - len(came)} records came again"
        )
        assert lost == []
        assert [line for line in log.read_text().splitlines() if "gave up" in line] == []
    finally:
        well.stop()
        ill.stop()
        server.stop()


# A full disk...


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """96 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)], check=False, capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a file system cannot be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


SLOW = """
import os, time

def handler(event, context):
    file = os.open(event["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, f"{event['n']}\\n".encode())
    os.close(file)
    while os.path.exists(event["gate"]):
        time.sleep(0.01)
"""


def fill(path: Path) -> None:
    """Until not a block is left."""
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        pass


class Full:
    """A function on a small disk that writes elsewhere what it has seen, and waits while there is a gate."""

    def __init__(self, server: Server, elsewhere: Path) -> None:
        self._client = server.functions
        self._seen = elsewhere / "seen"
        self.gate = elsewhere / "gate"
        self.accepted: set[str] = set()

    def send(self, padding: int) -> bool:
        """Whether it was accepted."""
        number = str(len(self.accepted))
        payload = {"n": number, "file": str(self._seen), "gate": str(self.gate), "padding": "x" * padding}
        try:
            self._client.invoke(FunctionName="slow", InvocationType="Event", Payload=json.dumps(payload))
        except ClientError as error:
            told = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
            assert told == ("ServiceException", 500)
            return False
        self.accepted.add(number)
        return True

    @property
    def seen(self) -> set[str]:
        return set(self._seen.read_text().split()) if self._seen.exists() else set()


@pytest.mark.timeout(600)
def test_on_a_full_disk_events_are_refused_and_those_that_were_accepted_run(small_disk: Path, tmp_path: Path) -> None:
    ballast, brim = small_disk / "ballast", small_disk / "brim"
    ballast.write_bytes(b"x" * 16 * 1024 * 1024)
    log = tmp_path / "server.log"
    server = Server(small_disk / "data", "--isolation", "process", log=log).start()
    try:
        server.deploy("slow", SLOW, Timeout=300)
        server.functions.put_function_concurrency(FunctionName="slow", ReservedConcurrentExecutions=1)
        full = Full(server, tmp_path)
        full.gate.touch()
        assert full.send(900_000)
        until(lambda: full.seen == {"0"})
        while full.send(900_000):
            assert len(full.accepted) < 200
        assert len(full.accepted) > 10
        # To the brim: now nothing at all can be written, and what runs comes to its end all the same.
        fill(brim)
        assert not full.send(10)
        assert server.functions.get_function(FunctionName="slow")["Configuration"]["State"] == "Active"
        full.gate.unlink()
        until(lambda: len(full.seen) > 1 or "No space left" in log.read_text() or "disk is full" in log.read_text(), 60)
        brim.unlink()
        ballast.unlink()
        until(lambda: full.send(900_000), 60)
        until(lambda: is_drained(server, "slow"), 300)
        assert full.accepted <= full.seen
    finally:
        server.stop()
