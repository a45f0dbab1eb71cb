"""An S3 server in a process of its own (moto's), and one that answers what it is told to (`Scripted`)."""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import boto3

KEYS = {
    "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}

_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The URL of an S3 without buckets; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def client(url: str) -> Any:
    connect: Any = boto3.client
    return connect("s3", endpoint_url=url, region_name="us-east-1", **KEYS)


class Scripted:
    """Listens, and gives every request the same bytes, in pieces; after the last it says nothing, or closes."""

    def __init__(self, *pieces: bytes, closes: bool = True) -> None:
        self._pieces = pieces
        self._closes = closes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.asked = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for connection in (self._listener, *self._open):
            connection.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        self.requests.append(connection.recv(65536))
        self.asked.set()
        for piece in self._pieces:
            connection.sendall(piece)
        if self._closes:
            connection.close()


def refusal(status: str, code: str, message: str, more: str = "", headers: str = "") -> bytes:
    """S3's answer in its own form."""
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n{headers}\r\n{body}"
    ).encode()
