"""What the server, the launcher and a box's init say to each other: one JSON object a packet, descriptors beside it.

To the launcher: `stock` (numbers for boxes), `withdraw` (so many of them), `create` (with the init's end of the box's
control socket), `forget`. From it: `hello` or `failed` once, then for each create `created` (with the pidfd) or
`failed`, for each withdraw `returned`, and once more for each withdrawn box that has ended.

To an init: `start` (with stdout, stderr and the descriptors), `signal`, `kill`.
From it: `ready` (with the listening socket) or `failed` once; then `started`, `refused`,
`exited`, `killed`. End of file means that the other side is gone: a box goes with the server, not with its launcher.
"""

import array
import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Any

# Also the kernel's default for a socket's send buffer: a larger message is refused by the sender's kernel.
MAX_MESSAGE = 212_992
MAX_DESCRIPTORS = 64

Message = dict[str, Any]


@dataclass(frozen=True)
class BoxRequest:
    """A `SandboxSpec` on its way to the launcher."""

    id: str
    mounts: "list[tuple[str, str]]"
    memory_bytes: int
    tmp_bytes: int
    cpus: float
    open_files: int
    processes: int
    hostname: str
    network: bool = False
    # A tree in place of the system's; none, where it is empty.
    root: str = ""
    # For a /tmp on disk; without one it is memory.
    tmp_image: str = ""


@dataclass(frozen=True)
class ProgramRequest:
    """A `Program` on its way to a box's init. `numbers`: where the descriptors after stdout and stderr go."""

    command: "list[str]"
    environment: "dict[str, str]"
    directory: str
    numbers: "list[int]"


def channel(descriptor: int) -> socket.socket:
    """One that was passed over an exec."""
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    return sock


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":"), default=asdict).encode()


def send(channel: socket.socket, message: Message, descriptors: "tuple[int, ...]" = ()) -> None:
    if descriptors:
        socket.send_fds(channel, [encode(message)], list(descriptors))
    else:
        channel.send(encode(message))


def receive(channel: socket.socket) -> "tuple[Message, list[int]] | None":
    """The next message with its descriptors, which are the receiver's to close; None at the end."""
    # Not socket.recv_fds: it takes flags and drops them, and close-on-exec is what keeps these out of programs.
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = channel.recvmsg(MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = _descriptors(ancillary)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(descriptors)
        raise OSError(f"a message of more than {MAX_MESSAGE} bytes or {MAX_DESCRIPTORS} descriptors arrived")
    return (json.loads(data), descriptors) if data else None


def _descriptors(ancillary: "list[tuple[int, int, bytes]]") -> "list[int]":
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def close_all(descriptors: "list[int]") -> None:
    for descriptor in descriptors:
        os.close(descriptor)
