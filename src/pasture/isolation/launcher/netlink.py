"""Messages to the kernel's networking (netlink(7)): encode them, send them, take the answers.

Written here because the launcher has nothing but the standard library, and because a
rule set of nf_tables must be one transaction.
"""

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
    """A socket that belongs to the network namespace it was made in, whoever uses it later."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_SECONDS)
        self._serial = 0

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def request(self, *messages: Message) -> None:
        """All of them in one datagram. Raises the OSError of the first that is refused; those after it may be done."""
        sent = [self._pack(message) for message in messages]
        self._socket.send(b"".join(data for _, data in sent))
        owed = {serial for (serial, _), message in zip(sent, messages, strict=True) if message.flags & ACK}
        refused = 0
        ours = {serial for serial, _ in sent}
        while owed:
            for kind, serial, payload in self._receive():
                if kind == _ERROR and serial in ours:
                    owed.discard(serial)
                    (code,) = struct.unpack_from("=i", payload)
                    refused = refused or -code
                    if code and len(messages) > 1 and not messages[0].flags & ACK:
                        owed.clear()  # a transaction that was refused as a whole
        if refused:
            raise OSError(refused, os.strerror(refused))

    def dump(self, kind: int, body: bytes) -> "list[bytes]":
        """The bodies of all answers."""
        serial, data = self._pack(Message(kind, REQUEST | _DUMP, body))
        self._socket.send(data)
        bodies = []
        while True:
            for answer, answered, payload in self._receive():
                if answered != serial:
                    continue
                if answer == _DONE:
                    return bodies
                if answer == _ERROR:
                    (code,) = struct.unpack_from("=i", payload)
                    raise OSError(-code, os.strerror(-code))
                bodies.append(payload)

    def _pack(self, message: Message) -> "tuple[int, bytes]":
        self._serial += 1
        header = _HEADER.pack(_HEADER.size + len(message.body), message.kind, message.flags, self._serial, 0)
        return self._serial, header + message.body

    def _receive(self) -> "Iterator[tuple[int, int, bytes]]":
        data = self._socket.recv(_RECEIVED)
        while len(data) >= _HEADER.size:
            size, kind, _, serial, _ = _HEADER.unpack_from(data)
            yield kind, serial, data[_HEADER.size : size]
            data = data[size + 3 & ~3 :]
