"""A network of its own for a test: this thread's namespace is the host, and behind it lies a small Internet.

    box ── host 203.0.113.1 ── 203.0.113.2 "Internet": 198.51.100.7, and a metadata service at 169.254.169.254

Nothing is contacted but what the test itself has made.
"""

import ctypes
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from linux.box_fixtures import skip_without_namespaces
from pasture.isolation.launcher import links, syscalls
from pasture.isolation.network.nat import Nat
from pasture.isolation.network.options import NetworkOptions

HOST = "203.0.113.1"
_ROUTER = "203.0.113.2"
INTERNET = "198.51.100.7"
ELSEWHERE = "198.51.100.8"
METADATA = "169.254.169.254"
PORT = 8_080


def skip_without_nat() -> None:
    skip_without_namespaces()
    if os.geteuid() != 0:
        pytest.skip("only root can make a network")
    with own_namespace():
        try:
            nat = Nat("probe", NetworkOptions())
            nat.open()
        except OSError as error:
            pytest.skip(f"nf_tables, or a link, is refused: {error.strerror}")
        nat.close()


@contextmanager
def own_namespace() -> Iterator[None]:
    """This thread, and all that is started from it, in a new network namespace with its loopback up."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        with links.open_here() as here:
            here.request(links.up(1))
        yield
    finally:
        assert libc.setns(before, syscalls.CLONE_NEWNET) == 0
        os.close(before)


@contextmanager
def lab() -> Iterator[None]:
    """The host with its Internet. Each service says who asks it."""
    with own_namespace():
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        internet = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        assert internet.stdin is not None
        assert internet.stdout is not None
        try:
            assert internet.stdout.readline() == "apart\n"
            with links.open_here() as here:
                here.request(links.veth("wan0", "eth0", internet.pid))
                wan = links.link(here, "wan0").index
                here.request(links.address(wan, HOST, bits=24), links.default_route(wan, _ROUTER))
            internet.stdin.write("go on\n")
            internet.stdin.flush()
            assert internet.stdout.readline() == "serving\n"
            yield
        finally:
            internet.kill()
            internet.communicate()


def link_names() -> set[str]:
    with links.open_here() as here:
        return {link.name for link in links.links(here)}


def everything() -> tuple[object, ...]:
    """What a server could leave behind."""
    with links.open_here() as here:
        # Of each, what it is, without the numbers that the kernel gives.
        names = {link.index: link.name for link in links.links(here)}
        addresses = sorted((names[index], *rest) for index, *rest in links.addresses(here))
        routes = sorted((names.get(index, ""), *rest) for index, *rest in links.routes(here))
    forwards = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    return sorted(names.values()), addresses, routes, forwards


class _Tcp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(f"hello {self.client_address[0]}\n".encode())


class _Udp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        _, sock = self.request
        sock.sendto(f"hello {self.client_address[0]}\n".encode(), self.client_address)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


@contextmanager
def greeting(host: str = "0.0.0.0", port: int = PORT) -> Iterator[None]:
    """A TCP service in this namespace that greets whoever connects."""
    with _TcpServer((host, port), _Tcp) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _internet() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    print("apart", flush=True)  # noqa: T201  to the test
    sys.stdin.readline()
    with links.open_here() as here:
        index = socket.if_nametoindex("eth0")
        here.request(links.up(1), links.address(index, _ROUTER, bits=24), links.up(index))
        here.request(*(links.address(1, address) for address in (INTERNET, ELSEWHERE, METADATA)))
        # No way back to the boxes' own addresses: who is greeted as 203.0.113.1 was translated.
    with greeting(), socketserver.ThreadingUDPServer((INTERNET, PORT), _Udp) as udp:
        print("serving", flush=True)  # noqa: T201  to the test
        udp.serve_forever()


if __name__ == "__main__":
    _internet()
