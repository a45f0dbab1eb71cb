"""The process with the embedded services: moto behind a listening Unix socket that it was given.

    python -m pasture.neighbours.embedded.server DESCRIPTOR PARENT LINE

LINE is the descriptor on which it hands the server what functions are to have (`pushing`).

It says `ready` on standard output once it serves, and ends when its standard input does, or its parent.
"""

import os
import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from pasture.neighbours.embedded import pushing
from pasture.neighbours.embedded.confining import confine

# What moto answers whoever asks, beside the services: its own controls would do for every account.
_CLOSED = ("/moto-api", "/latest/", "/favicon.ico")
_USUAL = ("s3", "sqs", "sns", "dynamodb")


def main() -> None:
    threading.Thread(target=_end_with_input, daemon=True).start()
    descriptor, parent, line = map(int, sys.argv[1:4])
    lacking = list(confine(parent))
    is_complete = threading.Event()
    server = _server(descriptor, is_complete)
    for words in lacking:
        sys.stderr.write(f"{words}\n")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Thread(target=_load_usual, args=(line, is_complete), daemon=True).start()
    server.serve_forever()


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def _load_usual(line: int, is_complete: threading.Event) -> None:
    """Their first calls need not wait for it."""
    from moto import backends

    try:
        pushing.install(line)
    except BaseException:  # noqa: BLE001 - without it nobody would be served, and nobody told
        traceback.print_exc()
        os._exit(1)  # the keeper says so, and tries again
    is_complete.set()
    for service in _USUAL:
        backends.get_backend(service)  # type: ignore[call-overload]


def _server(descriptor: int, is_complete: threading.Event) -> Any:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        """Of a Unix socket's clients, which have no address; what they ask is not logged."""

        def address_string(self) -> str:
            return "local"

        def port_integer(self) -> int:
            return 0

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    services = DomainDispatcherApplication(create_backend_app)

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if unquote(environ.get("PATH_INFO", "")).startswith(_CLOSED):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This is not served.\n"]
        is_complete.wait()
        answer: Iterable[bytes] = services(environ, start_response)
        return answer

    return make_server("unix:///embedded", 0, serve, threaded=True, request_handler=Handler, fd=descriptor)


if __name__ == "__main__":
    main()
