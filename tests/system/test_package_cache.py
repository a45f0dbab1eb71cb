"""A server with less room for unpacked packages than its functions need: they run all the same, also after a kill."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from system.node import Server, package, until

NAMES = ("one", "two", "three")
CODE = (
    "import os\ndef handler(event, context):\n    return [NAME, os.path.getsize('data'), open('/opt/layer').read()]\n"
)
SIZE = 700_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """There is room for one of three trees; environments go at once when they have nothing to do."""
    config = tmp_path / "pasture.toml"
    config.write_text("package_cache_mb = 1\n")
    server = Server(tmp_path / "data", "--config", str(config), "--idle-seconds", "0.05").start()
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0


def trees(server: Server) -> set[str]:
    return {path.name for path in (server.data / "packages").iterdir() if not path.name.startswith(".")} - {"merged"}


def deploy(server: Server) -> None:
    layer = server.functions.publish_layer_version(LayerName="layer", Content={"ZipFile": layer_package()})
    for name in NAMES:
        code: dict[str, str | bytes] = {"app.py": f"NAME = {name!r}\n{CODE}", "data": os.urandom(SIZE)}
        server.deploy(name, code, Layers=[layer["LayerVersionArn"]], Timeout=30)


def layer_package() -> bytes:
    return package({"layer": "of all"})


def is_right(server: Server, name: str) -> bool:
    return bool(server.invoke(name).payload == [name, SIZE, "of all"])


def has_evicted(server: Server) -> bool:
    return len(trees(server)) <= 2


@pytest.mark.timeout(240)
def test_functions_run_while_their_trees_are_evicted_and_after_a_kill_in_the_middle(server: Server) -> None:
    deploy(server)
    until(lambda: has_evicted(server))
    with ThreadPoolExecutor(3) as threads:
        assert all(threads.map(lambda turn: is_right(server, NAMES[turn % 3]), range(24)))
    until(lambda: has_evicted(server))

    stopped = threading.Event()

    def call_until_it_is_killed(name: str) -> None:
        while not stopped.is_set():
            try:
                assert is_right(server, name)
            except (ClientError, BotoCoreError):
                assert stopped.is_set()

    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(call_until_it_is_killed, name) for name in NAMES]
        seen: set[frozenset[str]] = set()

        def has_changed_often() -> bool:
            seen.add(frozenset(trees(server)))
            return len(seen) >= 4

        until(has_changed_often, 60)
        stopped.set()
        server.stop(signal.SIGKILL)
        for call in calls:
            call.result(60)

    # Half of a tree, as a disk may leave it.
    for tree in trees(server):
        for data in (server.data / "packages" / tree).glob("data"):
            os.truncate(data, 10)
    server.start()
    assert not list((server.data / "packages").glob(".making-*"))
    assert [is_right(server, name) for name in NAMES] == [True] * 3
    until(lambda: has_evicted(server))
