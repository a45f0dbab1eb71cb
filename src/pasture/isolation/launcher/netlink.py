"""Messages to the kernel's networking (netlink(7)): encode them, send them, take the answers.

Written here because the launcher has nothing but the standard library, and because a
rule set of nf_tables must be one transaction.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ROUTE = 0
NETFILTER = 12

REQUEST, ACK, EXCL, CREATE, APPEND = 1, 4, 0x200, 0x400, 0x800
_DUMP = 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVED = 1 << 17
_SECONDS = 10.0


@dataclass(frozen=True)
class Message:
    """`body`: the family's own header, and attributes after it."""

    kind: int
    flags: int
    body: bytes


def attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + b"\0" * (-size % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> "dict[int, bytes]":
    """The attributes of an answer by their kind."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & ~_NESTED] = data[_ATTRIBUTE.size : size]
        data = data[max(size + 3 & ~3, _ATTRIBUTE.size) :]
    return found


class Netlink:
    """One conversation: a request, then its answers. Blocks, for as long as the kernel takes.

    A socket that belongs to the network namespace it was made in, whoever uses it later.
    """

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_SECONDS)
        self._serial = 0
        self._unread: list[int] = []

    def __enter__(self) -> "Netlink":  # noqa: PYI034  typing.Self is too new for the launcher
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def detach(self) -> None:
        """In a child that has closed the descriptor's number."""
        self._socket.detach()

    def request(self, *messages: Message) -> None:
        """All of them in one datagram. Raises the OSError of the first that is refused; those after it may be done."""
        self._socket.send(b"".join(self._pack(message) for message in messages))
        wanted = sum(bool(message.flags & ACK) for message in messages)
        refused = [code for _ in range(wanted) if (code := self._acknowledged())]
        if refused:
            raise _refusal(refused[0])

    def transact(self, *messages: Message) -> None:
        """All of them or none, as nfnetlink does what stands between a begin and an end. Raises OSError."""
        data = [self._pack(message) for message in messages]
        self._socket.send(b"".join(data))
        # Whatever is refused is said once at least, the first first; what is well is said of those that ask for it.
        for _ in range(sum(bool(message.flags & ACK) for message in messages)):
            if code := self._acknowledged():
                self._drain()
                raise _refusal(code)

    def ask(self, kind: int, body: bytes) -> bytes:
        """The body of the one answer."""
        self._socket.send(self._pack(Message(kind, REQUEST, body)))
        ((answer, payload),) = self._receive()
        if answer == _ERROR:
            raise _refusal(_code(payload))
        return payload

    def dump(self, kind: int, body: bytes) -> "list[bytes]":
        """The bodies of all answers."""
        self._socket.send(self._pack(Message(kind, REQUEST | _DUMP, body)))
        bodies: list[bytes] = []
        while True:
            for answer, payload in self._receive():
                if answer == _DONE:
                    return bodies
                if answer == _ERROR:
                    raise _refusal(_code(payload))
                bodies.append(payload)

    def _acknowledged(self) -> int:
        """The error of the next acknowledgement, 0 when there is none."""
        if not self._unread:
            self._unread = [_code(payload) for kind, payload in self._receive() if kind == _ERROR]
        return self._unread.pop(0)

    def _drain(self) -> None:
        """What a refused transaction says beyond its first error."""
        self._unread.clear()
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(_RECEIVED)
        self._socket.settimeout(_SECONDS)

    def _pack(self, message: Message) -> bytes:
        self._serial += 1
        header = _HEADER.pack(_HEADER.size + len(message.body), message.kind, message.flags, self._serial, 0)
        return header + message.body

    def _receive(self) -> "Iterator[tuple[int, bytes]]":
        """(kind, body) of each message of the next datagram."""
        data = self._socket.recv(_RECEIVED)
        while len(data) >= _HEADER.size:
            size, kind, _, _, _ = _HEADER.unpack_from(data)
            yield kind, data[_HEADER.size : size]
            data = data[size + 3 & ~3 :]


def _code(payload: bytes) -> int:
    (code,) = struct.unpack_from("=i", payload)
    return -int(code)


def _refusal(code: int) -> OSError:
    return OSError(code, os.strerror(code))
