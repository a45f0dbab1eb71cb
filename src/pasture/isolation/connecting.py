"""A TCP connection that has been asked for and is not there yet."""

import asyncio
import os
import socket


async def connected(sock: socket.socket) -> socket.socket:
    """Until it is there. Raises OSError, and closes it, when it will not be."""
    loop = asyncio.get_running_loop()
    writable: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock.fileno(), _settle, writable)
    try:
        await writable
        _check(sock)
    except BaseException:
        loop.remove_writer(sock.fileno())
        sock.close()
        raise
    loop.remove_writer(sock.fileno())
    return sock


def _settle(writable: "asyncio.Future[None]") -> None:
    if not writable.done():
        writable.set_result(None)


def _check(sock: socket.socket) -> None:
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))
