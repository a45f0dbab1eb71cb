"""Functions with a way out, on a whole server, in a network that the test has made."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from linux import network_lab
from linux.network_lab import HOST, INTERNET, METADATA, PORT
from system.node import Server, until

CODE = """
import socket

def handler(event, context):
    try:
        with socket.create_connection(tuple(event), timeout=3) as s:
            return s.makefile().readline().strip()
    except OSError as error:
        return type(error).__name__
"""


@pytest.fixture(scope="module", autouse=True)
def _only_with_nat() -> None:
    network_lab.skip_without_nat()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Server]:
    with network_lab.lab():
        server = Server(tmp_path / "data", "--network", "nat", "--isolation", "namespaces").start()
        yield server
        if server.process.poll() is None:
            server.stop()


def reached(node: Server, name: str, host: str, port: int = PORT) -> object:
    return node.invoke(name, [host, port]).payload


def test_a_function_reaches_the_internet_and_neither_metadata_nor_the_server(node: Server) -> None:
    name = node.deploy("out", CODE)
    assert reached(node, name, INTERNET) == f"hello {HOST}"
    port = int(node.url.rpartition(":")[2])
    assert [reached(node, name, host, port) for host in (METADATA, HOST)] == ["OSError", "OSError"]
    assert reached(node, name, "127.0.0.1", port) == "ConnectionRefusedError"


def test_a_function_with_the_tag_none_reaches_nothing(node: Server) -> None:
    name = node.deploy("in", CODE, Tags={"pasture:network": "none"})
    assert reached(node, name, INTERNET) == "OSError"


def test_a_server_that_was_killed_gives_its_functions_a_way_out_again_and_leaves_nothing_in_the_end(
    node: Server,
) -> None:
    name = node.deploy("out", CODE)
    assert reached(node, name, INTERNET) == f"hello {HOST}"
    node.stop(signal.SIGKILL)
    node.start()
    assert reached(node, name, INTERNET) == f"hello {HOST}"
    assert node.stop() == 0
    until(lambda: network_lab.link_names() == {"lo", "wan0"})
