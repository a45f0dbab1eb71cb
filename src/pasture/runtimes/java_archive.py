"""An archive of the classes that a Java environment loads before the function's own (class data sharing).

The client is run once where everything lies as in a sandbox, takes a few events from a Runtime API that is made up for
it, and writes the archive when it is told to end. Without the archive everything works, and starts a little later.
"""

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pasture.isolation.spec import Mount

_log = logging.getLogger(__name__)

ARCHIVE = "client.jsa"
OPTIONS = (f"-XX:SharedArchiveFile=/var/runtime/{ARCHIVE}", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=warning:stderr")
# Takes any object, and lets the client load what it needs for events of every kind.
_HANDLER = "java.util.HashMap::putAll"
_EVENT = b'{"a": {"b": [1, "x", null, 2.5, true]}}'
_EVENTS = 3
_SECONDS = 60.0
# A mount namespace of its own, where /var is empty but for what a sandbox has there. $0: a script of mounts.
_SCRIPT = 'mount -t tmpfs none /var && mkdir -p /var/task && eval "$0" && cd /var/task && exec "$@"'


def make_archive(mounts: tuple[Mount, ...], command: tuple[str, ...], directory: Path) -> None:
    """Into the directory that is shown at /var/runtime. What prevents it is logged, not raised."""
    try:
        _make(mounts, (command[0], f"-XX:ArchiveClassesAtExit=/var/runtime/{ARCHIVE}", *command[1:], _HANDLER))
    except (OSError, subprocess.SubprocessError) as error:
        _log.info("no archive of the Java runtime's classes: %s", error)
    if not (directory / ARCHIVE).is_file():
        _log.info("Java environments start without an archive of the runtime's classes, a little later than with one")


def _make(mounts: tuple[Mount, ...], command: tuple[str, ...]) -> None:
    script = " && ".join(_mounting(mount) for mount in mounts)
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    with _runtime_api() as (address, done):
        process = subprocess.Popen(
            ["unshare", "--mount", *root, "--", "sh", "-c", _SCRIPT, script, *command],
            env=_environment(address), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def waited() -> None:
            process.wait()
            done.set()

        threading.Thread(target=waited, daemon=True).start()
        done.wait(_SECONDS)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_SECONDS)
        finally:
            process.kill()


def _mounting(mount: Mount) -> str:
    source, target = shlex.quote(str(mount.source)), shlex.quote(mount.target)
    # Within another mount the place is there.
    place = f"{'mkdir -p' if mount.source.is_dir() else 'touch'} {target} && " if mount.target.count("/") == 2 else ""
    return f"{place}mount --bind {source} {target}"


def _environment(address: str) -> dict[str, str]:
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "AWS_LAMBDA_RUNTIME_API": address,
        "LAMBDA_TASK_ROOT": "/var/task",
        "_HANDLER": _HANDLER,
        "AWS_LAMBDA_FUNCTION_NAME": "archive",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "archive",
        "AWS_LAMBDA_LOG_STREAM_NAME": "archive",
    }


@contextlib.contextmanager
def _runtime_api() -> Iterator[tuple[str, threading.Event]]:
    """Its address, and what is set when the client has taken every event and asks for another."""
    done, over = threading.Event(), threading.Event()
    asked = iter(range(_EVENTS))

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if next(asked, None) is None:
                done.set()
                over.wait()
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(_EVENT)))
            self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
            self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
            self.end_headers()
            self.wfile.write(_EVENT)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", done
    finally:
        over.set()
        server.shutdown()
        server.server_close()
