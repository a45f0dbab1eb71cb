from collections.abc import Iterator
from pathlib import Path

import pytest

from system.node import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that many tests share; each uses functions of its own."""
    running = Server(tmp_path_factory.mktemp("shared") / "data").start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server that is this test's alone: not started, and ended at the end whatever happened."""
    own = Server(tmp_path / "data", "--idle-seconds", "300")
    yield own
    if getattr(own, "process", None) is not None and own.process.poll() is None:
        own.stop()
