from collections.abc import Iterator

import pytest

from security.prison import PRISONER, Prison
from system.conftest import server
from system.node import Server

__all__ = ["neighbour", "prison", "server"]


@pytest.fixture(scope="session")
def neighbour(server: Server) -> str:
    """A function that has nothing to do with what the others try."""
    return server.deploy("neighbour", "def handler(event, context):\n    return ['neighbour', event]\n")


@pytest.fixture(scope="session")
def shared_prison(server: Server) -> Prison:
    return Prison(server, server.deploy("prisoner", PRISONER, Timeout=20, MemorySize=256))


@pytest.fixture
def prison(shared_prison: Prison, neighbour: str) -> Iterator[Prison]:
    """What is tried in it must leave the server and a neighbour serving."""
    yield shared_prison
    server = shared_prison.server
    assert server.process.poll() is None
    assert server.invoke(neighbour, "still").payload == ["neighbour", "still"]
    assert "Traceback" not in server.log.read_text()
