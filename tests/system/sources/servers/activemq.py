"""An ActiveMQ broker, in memory, reached by STOMP."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from system.sources.servers.maven import java
from system.sources.servers.process import ServerProcess, free_port, listens

PACKAGES = ("org.apache.activemq:activemq-stomp:5.18.6", "org.apache.activemq:activemq-jaas:5.18.6")
USER, PASSWORD = "pasture", "grass"
_MAIN = Path(__file__).parent / "java" / "ActiveMQ.java"


@dataclass
class ActiveMQ:
    process: ServerProcess
    endpoint: str
    port: int


def start(directory: Path) -> ActiveMQ:
    port = free_port()
    words = [*java(PACKAGES, heap_mb=128), str(_MAIN), str(port), USER, PASSWORD]
    process = ServerProcess(words, directory, lambda: listens(port)).start()
    return ActiveMQ(process, f"stomp://127.0.0.1:{port}", port)


@pytest.fixture(scope="session")
def activemq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActiveMQ]:
    broker = start(tmp_path_factory.mktemp("activemq"))
    yield broker
    broker.process.stop()
