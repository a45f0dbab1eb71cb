"""A server that speaks MongoDB's protocol, in memory: the nearest to DocumentDB that is published as a package."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from system.sources.servers.maven import java
from system.sources.servers.process import ServerProcess, free_port, listens

PACKAGES = ("de.bwaldvogel:mongo-java-server:1.47.0",)
_MAIN = Path(__file__).parent / "java" / "Mongo.java"


@dataclass
class MongoDB:
    process: ServerProcess
    endpoint: str


def start(directory: Path) -> MongoDB:
    port = free_port()
    words = [*java(PACKAGES, heap_mb=128), str(_MAIN), str(port)]
    process = ServerProcess(words, directory, lambda: listens(port)).start()
    return MongoDB(process, f"mongodb://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoDB]:
    server = start(tmp_path_factory.mktemp("mongodb"))
    yield server
    server.process.stop()
