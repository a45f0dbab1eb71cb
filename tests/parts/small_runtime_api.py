"""A Runtime API for tests of runtimes: it serves one event and keeps what comes back."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESPONSE = "/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response"


@dataclass
class RuntimeApi:
    """Serves one event, keeps what comes back, and then leaves `/next` unanswered by closing."""

    event: object = None
    received: dict[str, Any] = field(default_factory=dict)
    address: str = ""
    done: threading.Event = field(default_factory=threading.Event)
    served: int = 0


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            api.served += 1
            if api.served > 1:
                api.done.set()
                self.close_connection = True
                return
            body = json.dumps(api.event).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
            self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            api.received[self.path.removeprefix("/2018-06-01/runtime")] = json.loads(body)
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if "/error" in self.path and "invocation" not in self.path:
                api.done.set()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler


@contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    api = RuntimeApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    api.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield api
    server.shutdown()
    server.server_close()
    thread.join()
