"""The server's end of a packet socket to the launcher or to a box's init. Never blocks the event loop."""

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

from pasture.isolation.launcher import protocol
from pasture.isolation.spec import SandboxError

Received = Callable[[protocol.Message, list[int]], None]


class Channel:
    """`received` is called for each message, and owns its descriptors; `ended` once, when the other side is gone."""

    def __init__(self, sock: socket.socket, received: Received, ended: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._received = received
        self._ended = ended
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def is_closed(self) -> bool:
        return self._socket.fileno() < 0

    def send(self, message: protocol.Message, descriptors: Sequence[int] = ()) -> None:
        """Now, or as soon as the socket takes it, in order. The descriptors stay the caller's."""
        data = protocol.encode(message)
        if self.is_closed:
            raise SandboxError("the sandbox is gone.")
        if self._waiting or not self._sent(data, descriptors):
            if not self._waiting:
                self._loop.add_writer(self._socket.fileno(), self._writable)
            self._waiting.append((data, [os.dup(descriptor) for descriptor in descriptors]))

    def close(self) -> None:
        if self.is_closed:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        for _, descriptors in self._waiting:
            protocol.close_all(descriptors)
        self._waiting.clear()

    def _sent(self, data: bytes, descriptors: Sequence[int]) -> bool:
        try:
            if descriptors:
                socket.send_fds(self._socket, [data], list(descriptors))
            else:
                self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise SandboxError(
                    f"a message of {len(data)} bytes is too large for the launcher: command, environment and mounts "
                    f"together may have about {protocol.MAX_MESSAGE // 1024} KiB."
                ) from error
            if error.errno not in {errno.EPIPE, errno.ECONNRESET}:
                raise
            # The other side is gone: the end of file, read next, says so to everyone.
        return True

    def _writable(self) -> None:
        while self._waiting and self._sent(*self._waiting[0]):
            protocol.close_all(self._waiting.popleft()[1])
        if not self._waiting and not self.is_closed:
            self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        while not self.is_closed:
            try:
                received = protocol.receive(self._socket)
            except BlockingIOError:
                return
            except ConnectionResetError:
                received = None
            if received is None:
                self.close()
                self._ended()
                return
            self._received(*received)
