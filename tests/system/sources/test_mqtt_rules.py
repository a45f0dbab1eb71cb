"""Messages of a real broker (Mosquitto) that make functions run, whatever is away meanwhile."""

import json
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish

from system.node import Server, until
from system.sources.servers import mosquitto
from system.sources.servers.mosquitto import PASSWORD, USER, Mosquitto

SAYS = "import json\n\ndef handler(event, context):\n    print('got', json.dumps(event))\n"
ALARM = "SELECT celsius, topic(2) AS room FROM 'sensors/+/temperature' WHERE celsius > 30"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    running = mosquitto.start(tmp_path_factory.mktemp("mosquitto"))
    yield running
    running.process.stop()


@pytest.fixture
def server(broker: Mosquitto, tmp_path: Path) -> Iterator[Server]:
    config = tmp_path / "pasture.toml"
    url = f"mqtt://{USER}:{urllib.parse.quote(PASSWORD)}@127.0.0.1:{broker.port}"
    rules = f'[mqtt_rules]\nalarm = "{ALARM}"\nall = "SELECT * FROM \'sensors/#\'"\n'
    config.write_text(f'mqtt = "{url}"\n{rules}')
    server = Server(tmp_path / "data", "--config", str(config)).start()
    for name in ("alarm", "all"):
        server.deploy(name, SAYS)
    yield server
    assert server.stop() == 0
    assert "message failed" not in server.log.read_text()


def say(broker: Mosquitto, topic: str, *contents: object) -> None:
    """Returns when the broker has them."""
    messages: Any = [{"topic": topic, "payload": json.dumps(content), "qos": 1} for content in contents]
    publish.multiple(
        messages,
        hostname="127.0.0.1",
        port=broker.port,
        client_id="sensor",
        auth={"username": USER, "password": PASSWORD},
    )


def got(server: Server, function: str) -> list[Any]:
    try:
        lines = server.log_lines(f"/aws/lambda/{function}")
    except server.logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(line.removeprefix("got ")) for line in lines if line.startswith("got ")]


def has_subscribed(broker: Mosquitto, server: Server) -> None:
    """Until messages come: sessions begin when the server has connected."""

    def comes() -> bool:
        say(broker, "sensors/attic/temperature", {"celsius": 99})
        return {"celsius": 99, "room": "attic"} in got(server, "alarm") and {"celsius": 99} in got(server, "all")

    until(comes, seconds=60)


def redrive(server: Server) -> None:
    """Events of `alarm` that were given up run again."""
    command = [sys.executable, "-m", "pasture", "events", "redrive", "alarm", "--data-dir", str(server.data)]
    subprocess.run(command, check=True, capture_output=True)


def celsius(server: Server, function: str) -> set[float]:
    return {event["celsius"] for event in got(server, function)} - {99}


def test_each_rule_hands_its_function_what_it_selects(broker: Mosquitto, server: Server) -> None:
    has_subscribed(broker, server)
    say(broker, "sensors/kitchen/temperature", {"celsius": 20}, {"celsius": 31.5, "unit": "C"})
    say(broker, "sensors/kitchen/humidity", {"celsius": 40})
    until(lambda: celsius(server, "all") == {20, 31.5, 40}, seconds=60)
    until(lambda: celsius(server, "alarm") == {31.5}, seconds=60)
    assert {"celsius": 31.5, "room": "kitchen"} in got(server, "alarm")
    assert {"celsius": 31.5, "unit": "C"} in got(server, "all")


def test_nothing_is_lost_when_the_server_is_killed_and_away(broker: Mosquitto, server: Server) -> None:
    has_subscribed(broker, server)
    # Nothing runs until the end: what a function prints at the moment of a kill may be lost, and would tell nothing.
    # Events of a function without concurrency are given up at once, and kept.
    server.functions.put_function_concurrency(FunctionName="alarm", ReservedConcurrentExecutions=0)
    say(broker, "sensors/kitchen/temperature", *({"celsius": number} for number in range(100, 150)))
    server.stop(signal.SIGKILL)
    say(broker, "sensors/kitchen/temperature", *({"celsius": number} for number in range(150, 200)))
    server.start()
    server.functions.delete_function_concurrency(FunctionName="alarm")

    def all_came() -> bool:
        redrive(server)
        return celsius(server, "alarm") == set(range(100, 200))

    until(all_came, seconds=120)


def test_a_broker_that_was_away_is_found_again(broker: Mosquitto, server: Server) -> None:
    has_subscribed(broker, server)
    broker.process.stop(signal.SIGTERM)
    until(lambda: "is away for the rule of alarm" in server.log.read_text(), seconds=60)
    broker.process.start()
    say(broker, "sensors/kitchen/temperature", {"celsius": 55})
    until(lambda: 55 in celsius(server, "alarm"), seconds=90)


def test_a_rule_that_cannot_be_is_said_at_the_start(tmp_path: Path) -> None:
    config = tmp_path / "pasture.toml"
    config.write_text('mqtt = "mqtt://127.0.0.1"\n[mqtt_rules]\nalarm = "SELECT FROM"\n')
    with pytest.raises(AssertionError, match=r"mqtt_rules: the rule of alarm cannot be"):
        Server(tmp_path / "data", "--config", str(config)).start()
