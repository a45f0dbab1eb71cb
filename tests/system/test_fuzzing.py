"""Thousands of requests that are nearly right: no failure of the server's own, no hang, nothing kept."""

import contextlib
import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from system.answers.steps import LAYER_ZIP, ZIP
from system.fuzzed_requests import Request, mutations, requests
from system.keyless import connected
from system.node import ROLE, RUNTIME, Server, until

# The suite's share; PASTURE_FUZZ=50000 for a night.
EXAMPLES = int(os.environ.get("PASTURE_FUZZ", "3000"))
PATIENCE = 60.0
MEMORY_KB = 60 * 1024
"""That a server may come to need for what it has met, beyond what it had after warming up."""

fuzzing = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without keys, so that what is sent gets past the door; with something to meet."""
    server = Server(tmp_path_factory.mktemp("fuzzed") / "data", "--no-auth", "--idle-seconds", "1").start()
    _made(connected(server))
    yield server
    assert server.stop() == 0
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log


def _made(lambdas: Any) -> None:
    """What most requests speak of, as far as it is not there."""
    configuration = {"Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler"}
    with contextlib.suppress(ClientError):
        lambdas.create_function(FunctionName="f", Code={"ZipFile": ZIP}, Publish=True, **configuration)
    lambdas.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0, "MaxAttempts": 10_000})
    with contextlib.suppress(ClientError):
        lambdas.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    if not lambdas.list_layer_versions(LayerName="l")["LayerVersions"]:
        lambdas.publish_layer_version(LayerName="l", Content={"ZipFile": LAYER_ZIP})


@pytest.fixture
def unharmed(target: Server) -> Iterator[None]:
    descriptors, memory = _descriptors(target), _memory_kb(target)
    yield
    until(lambda: _descriptors(target) <= descriptors + 4, 60)
    until(lambda: _memory_kb(target) <= memory + MEMORY_KB, 60)


def _address(server: Server) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


def _descriptors(server: Server) -> int:
    """Sockets of clients among them; environments that run have some too, and go in their own time."""
    listed = (entry for entry in Path(f"/proc/{server.process.pid}/fd").iterdir())
    clients = 0
    for entry in listed:
        with contextlib.suppress(OSError):
            clients += str(entry.readlink()).startswith("socket:")
    return clients


def _memory_kb(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


@pytest.mark.timeout(120 + EXAMPLES // 5)
@pytest.mark.usefixtures("unharmed")
@fuzzing
@given(request=requests())
def test_whatever_is_asked_is_answered_or_refused(target: Server, request: Request) -> None:
    method, path, headers, body = request
    connection = http.client.HTTPConnection(*_address(target), timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status < 500 or _is_owned_up_to(answer.status, content), (answer.status, content[:500])
    if answer.status >= 400:
        assert answer.headers["x-amzn-ErrorType"] or answer.headers["Content-Type"].startswith("application/x-amz-json")
        assert isinstance(json.loads(content), dict)
    if (method, answer.status) == ("DELETE", 204):
        _made(connected(target))


def _is_owned_up_to(status: int, content: bytes) -> bool:
    """What is not served says so."""
    return status == 501 and re.search(rb"not (yet )?(served|built)", content) is not None


_BEGINNINGS = [
    b"GET /2015-03-31/functions/f HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /2015-03-31/functions?MaxItems=3&FunctionVersion=ALL HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 5000 + b"\r\n\r\n",
    b'POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n{"a": 1}',
    (b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n'),
    (b"PUT /2017-10-31/functions/f/concurrency HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 35\r\n\r\n"
    b'{"ReservedConcurrentExecutions": 90}'),
    b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Logs_20140328.DescribeLogGroups\r\nContent-Length: 2\r\n\r\n{}",
]  # fmt: skip


@pytest.mark.timeout(120 + EXAMPLES // 5)
@pytest.mark.usefixtures("unharmed")
@fuzzing
@given(sent=st.sampled_from(_BEGINNINGS).flatmap(mutations))
def test_whatever_comes_over_the_wire_is_answered_or_hung_up_on(target: Server, sent: bytes) -> None:
    answer = b""
    with socket.create_connection(_address(target), timeout=PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65_536):
                answer += chunk
    for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer):
        assert int(status) < 500 or int(status) in {501, 505}, answer
