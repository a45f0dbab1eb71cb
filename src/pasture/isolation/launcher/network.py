"""The box's own network: loopback, AWS's address for the Runtime API on it, and one listening socket."""

import errno
import fcntl
import socket
import struct

from .failure import step

# Where Lambda's own environments find the Runtime API.
ADDRESS = "169.254.100.1"
PORT = 9001
_BACKLOG = 511

_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_IFF_UP = 1
_IFF_RUNNING = 0x40


def listen() -> "tuple[socket.socket, str]":
    """A socket that listens in this network namespace, and its `host:port`. Brings loopback up first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        with step("bring up the loopback interface of the box"):
            _configure(control, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP | _IFF_RUNNING))
        host = _add_address(control)
    with step(f"listen on {host}:{PORT} in the box"):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, PORT))
        listener.listen(_BACKLOG)
    return listener, f"{host}:{PORT}"


def _add_address(control: socket.socket) -> str:
    try:
        _configure(control, _SIOCSIFADDR, _address_request(ADDRESS))
        _configure(control, _SIOCSIFNETMASK, _address_request("255.255.255.255"))
    except OSError as error:
        # A kernel without alias labels: programs take the address from AWS_LAMBDA_RUNTIME_API anyway.
        if error.errno not in {errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL}:
            raise
        return "127.0.0.1"
    return ADDRESS


def _address_request(address: str) -> bytes:
    return struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(address))


def _configure(control: socket.socket, request: int, argument: bytes) -> None:
    fcntl.ioctl(control, request, argument)
