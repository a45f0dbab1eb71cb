"""Clients that mean harm or are broken: never a 500, never a hang, nothing kept open, nothing in the log."""

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from system.node import ROLE, RUNTIME, Server, until


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without keys, so that what is sent gets past the door."""
    running = Server(tmp_path_factory.mktemp("hostile") / "data", "--no-auth").start()
    yield running
    assert running.stop() == 0
    log = running.log.read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log


@pytest.fixture(autouse=True)
def unharmed(target: Server) -> Iterator[None]:
    """The server answers afterwards, and has no more descriptors than before."""
    assert _health(target)
    before = _descriptors(target)
    yield
    assert _health(target)
    until(lambda: _descriptors(target) <= before + 2)


def _descriptors(server: Server) -> int:
    return sum(1 for _ in Path(f"/proc/{server.process.pid}/fd").iterdir())


def _health(server: Server) -> bool:
    return _talk(server, b"GET /_pasture/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200 "
    )


def _connect(server: Server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=15)


def _talk(server: Server, sent: bytes, *, end: bool = True) -> bytes:
    """Everything that is answered to it. Raises TimeoutError when the server neither answers nor hangs up."""
    with _connect(server) as s:
        answer = b""
        with contextlib.suppress(ConnectionError):
            s.sendall(sent)
            if end:
                s.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while chunk := s.recv(65_536):
                answer += chunk
        return answer


def _statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("seed", range(30))
def test_random_bytes_are_refused_or_ignored(target: Server, seed: int) -> None:
    chance = random.Random(seed)
    beginning = chance.choice(
        [b"", b"GET ", b"POST /2015-03-31/functions HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01"]
    )
    answer = _talk(target, beginning + chance.randbytes(chance.randrange(1, 5_000)))
    assert [status for status in _statuses(answer) if status not in {400, 404, 405, 431}] == []


REQUESTS = {
    "a header without end": b"GET / HTTP/1.1\r\nX: " + b"y" * (4 << 20),
    "a target without end": b"GET /" + b"y" * (4 << 20),
    "a method without end": b"G" * (1 << 20),
    "a hundred thousand headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length below nothing": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length past every number": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n",
    "a length that is a word": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
    "a chunk that is none": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk past every number": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
    "a chunk's extension without end": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    + b"e" * (2 << 20),
    "trailers without end": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    + b"A: b\r\n" * 500_000,
    "an unknown coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a header's name with a blank": b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "a nul in a header": b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x00\x01\x02",
    "connect": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n\x16\x03\x01",
    "an absolute target": b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "only newlines": b"\r\n" * 500_000,
}


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_that_is_none_is_refused(target: Server, what: str) -> None:
    answer = _talk(target, REQUESTS[what])
    assert [status for status in _statuses(answer) if not 400 <= status < 500] == []


PATHS = [
    "/%", "/%zz", "/%00", "/%ff%fe", "/..%2f..%2fetc/passwd", "/../../etc/passwd", "//", "/2015-03-31/functions/%00",
    "/2015-03-31/functions/%ff/invocations", "/2015-03-31/functions/..%2f..", "/2015-03-31/functions/%2e%2e/configuration",
    "/2015-03-31/functions/" + "a" * 5_000, "/2015-03-31/functions/?Marker=%ff", "/2015-03-31/functions/?MaxItems=99999999999999999999",
    "/2015-03-31/functions/?MaxItems=%31%00", "/2015-03-31/functions/?Marker=" + "A" * 4_000, "/2015-03-31/functions/?&&==&=",
    "/2015-03-31/functions/f/invocations?Qualifier=%F0%9F%90%84", "/_pasture/downloads/", "/_pasture/downloads/..%2f..%2fkeys.json",
    "/_pasture/downloads/" + "0" * 64 + "/f.zip?X-Amz-Date=x&X-Amz-Expires=y&X-Amz-Signature=z", "/_pasture/", "/_pasture/health/..",
    "/?Action=GetCallerIdentity", "/?Action=%ff", "/?Action=Nothing&Version=1", "/grün", "/\U0001f404", "/a#b",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
def test_a_path_that_makes_no_sense_is_answered_like_any_other(target: Server, method: str) -> None:
    for path in PATHS:
        answer = _talk(
            target, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )
        statuses = _statuses(answer)
        assert len(statuses) == 1, path
        assert statuses[0] < 500 or statuses[0] == 501, path


def test_junk_behind_good_requests_ends_the_connection_and_is_never_answered_as_one(target: Server) -> None:
    good = b"GET /_pasture/health HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = _talk(target, good * 20 + b"\x00\x01 junk \r\n\r\n" + good * 20)
    statuses = _statuses(answer)
    assert statuses[0] == 200
    assert set(statuses) <= {200, 400}
    assert statuses.count(200) <= 20


def test_a_thousand_requests_in_one_go_are_all_answered(target: Server) -> None:
    request = b"GET /_pasture/health HTTP/1.1\r\nHost: x\r\n\r\n"
    with _connect(target) as s:
        sender = threading.Thread(target=s.sendall, args=(request * 1_000,))
        sender.start()
        answer = b""
        while answer.count(b"HTTP/1.1 200 ") < 1_000:
            answer += s.recv(65_536)
        sender.join()


def test_thousands_of_connections_opened_and_dropped_leave_nothing(target: Server) -> None:
    for number in range(3_000):
        with _connect(target) as s:
            if number % 3 == 1:
                s.sendall(b"POST /2015-03-31/functions HTTP/1.1\r\nContent-Le")
            elif number % 3 == 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_hundreds_of_slow_clients_do_not_keep_others_waiting(target: Server) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(_connect(target)) for _ in range(500)]
        for _ in range(3):
            for s in slow:
                s.sendall(b"G" if _ else b"GE")
            began = time.monotonic()
            assert _health(target)
            assert time.monotonic() - began < 2


def test_a_client_that_never_reads_does_not_fill_the_server(target: Server) -> None:
    before = _rss(target)
    with _connect(target) as s:
        s.setblocking(False)
        request, sent = b"GET /_pasture/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 0
        flood = request * 1_000
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                sent = (sent + s.send(flood[sent:])) % len(flood)
        assert _health(target)
    assert _rss(target) - before < 50 * 1024


def _rss(server: Server) -> int:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_a_smuggled_request_is_not_served(target: Server) -> None:
    inner = b"GET /_pasture/health HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (
        len(inner) + 5
    )
    assert 200 not in _statuses(_talk(target, head + inner))


# Bodies...


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=10), inside, max_size=3),
    max_leaves=6,
)
GOOD: dict[str, Any] = {
    "FunctionName": "typed", "Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": "bm8gemlw"},
    "Description": "", "Timeout": 3, "MemorySize": 128, "Publish": False, "VpcConfig": {"SubnetIds": []}, "PackageType": "Zip",
    "DeadLetterConfig": {"TargetArn": ""}, "Environment": {"Variables": {"A": "b"}}, "KMSKeyArn": "", "TracingConfig": {"Mode": "Active"},
    "Tags": {"a": "b"}, "Layers": [], "FileSystemConfigs": [], "ImageConfig": {}, "CodeSigningConfigArn": "",
    "Architectures": ["x86_64"], "EphemeralStorage": {"Size": 512}, "SnapStart": {"ApplyOn": "None"}, "LoggingConfig": {"LogFormat": "Text"},
}  # fmt: skip


def _post(server: Server, path: str, body: bytes, extra: bytes = b"") -> int:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    statuses = _statuses(_talk(server, head.encode() + extra + b"\r\n" + body, end=False))
    assert len(statuses) == 1
    return statuses[0]


@pytest.mark.parametrize("member", GOOD)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANYTHING)
def test_any_value_of_a_member_of_create_function_is_taken_or_refused(
    target: Server, member: str, value: object
) -> None:
    body = json.dumps({**GOOD, member: value}).encode()
    # The package is none, so that even what is legal makes no function.
    assert _post(target, "/2015-03-31/functions", body) in {400, 403, 404, 413, 501}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_taken_or_refused(target: Server, body: bytes) -> None:
    assert _post(target, "/2015-03-31/functions", body) in {400, 501}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operation=st.sampled_from(
        ["DescribeLogGroups", "FilterLogEvents", "GetLogEvents", "PutLogEvents", "CreateLogGroup", "TagResource"]
    ),
    body=st.binary(max_size=100)
    | st.dictionaries(
        st.sampled_from(
            [
                "logGroupName",
                "logStreamName",
                "nextToken",
                "limit",
                "startTime",
                "filterPattern",
                "logEvents",
                "resourceArn",
                "tags",
            ]
        ),
        ANYTHING,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_body_of_a_logs_operation_is_taken_or_refused(target: Server, operation: str, body: bytes) -> None:
    extra = f"X-Amz-Target: Logs_20140328.{operation}\r\n".encode()
    assert _post(target, "/", body, extra) in {200, 400}


@pytest.mark.parametrize("depth", [100, 10_000, 1_000_000])
def test_deeply_nested_json_is_refused(target: Server, depth: int) -> None:
    assert _post(target, "/2015-03-31/functions", b"[" * depth) == 400
    assert _post(target, "/2015-03-31/functions", b'{"Environment":' * depth + b"1" + b"}" * depth) == 400


def test_a_number_of_a_million_digits_is_refused_soon(target: Server) -> None:
    began = time.monotonic()
    assert _post(target, "/2015-03-31/functions", b'{"Timeout": ' + b"9" * 1_000_000 + b"}") == 400
    assert time.monotonic() - began < 5
