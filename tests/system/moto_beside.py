"""moto in a process of its own: a neighbour that lives and dies apart from the server under test."""

import os
import socket
import subprocess
import sys
from typing import Any

import boto3
from botocore.config import Config

_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print("ready", flush=True)
sys.stdin.read()
"""


class Moto:
    """Its address is taken when it is made, so that a server can be told of it before it is there."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "Moto":
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(self.port)],
            env={**os.environ, "MOTO_ACCOUNT_ID": "000000000000"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def stop(self) -> None:
        """Dead at once, with all that it held."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def client(self, service: str) -> Any:
        """As the account of the server's own key."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=90),
        )
