"""A registry that answers what it is told to: tokens, redirects, connections that break in the midst of a layer."""

import contextlib
import http.server
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fakes.container_images import Image


class ScriptedRegistry:
    """One image, at `app:v1`. `wants`: the token that it asks for; `token_at` gives it, to who has `login`."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.wants = ""
        self.login = ""
        self.cut: Counter[str] = Counter()
        """Digest → how many times the connection breaks half way."""
        self.redirects: dict[str, str] = {}
        """Digest → where its blob is instead."""
        self.status: dict[str, int] = {}
        """Digest → the status of the answer."""
        self.asked: list[str] = []
        self.authorizations: dict[str, str] = {}
        """The last one that each path was asked with."""
        self.host = ""

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(request.path)
        self.authorizations[path] = request.headers.get("Authorization", "")
        if path == "/token":
            allowed = not self.login or self.authorizations[path] == self.login
            _send(request, 200 if allowed else 401, f'{{"token": "{self.wants}"}}'.encode())
        elif self.wants and self.authorizations[path] != f"Bearer {self.wants}" and path.startswith("/v2/"):
            realm = f'Bearer realm="http://{self.host}/token",service="registry",scope="repository:app:pull"'
            _send(request, 401, b"", {"WWW-Authenticate": realm})
        elif path in {"/v2/app/manifests/v1", f"/v2/app/manifests/{self.image.digest}"}:
            _send(request, 200, self.image.manifest, {"Content-Type": self.image.media_type})
        else:
            self._blob(request, path.rpartition("/")[2])

    def _blob(self, request: http.server.BaseHTTPRequestHandler, digest: str) -> None:
        content = self.image.blobs.get(digest)
        if digest in self.redirects and request.path.startswith("/v2/"):
            _send(request, 307, b"", {"Location": self.redirects[digest]})
        elif digest in self.status or content is None:
            _send(request, self.status.get(digest, 404), b"")
        elif self.cut[digest] > 0:
            self.cut[digest] -= 1
            _send(request, 200, content[: len(content) // 2], {"Content-Length": str(len(content))})
            request.close_connection = True
        else:
            _send(request, 200, content)


def _send(
    request: http.server.BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str] | None = None
) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    with contextlib.suppress(ConnectionError):  # whoever asked has heard enough
        request.wfile.write(content)


@contextlib.contextmanager
def scripted(image: Image, certificate: Path | None = None) -> Iterator[ScriptedRegistry]:
    """With a `certificate` and its key in one file, over TLS."""
    registry = ScriptedRegistry(image)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            registry.answer(self)

        def log_message(self, *_: object) -> None:
            """Tests say themselves what they look at."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
