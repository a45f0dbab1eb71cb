"""A function that runs whatever code its event brings, so that a test can say what an attacker's function would do."""

from pathlib import Path
from typing import Any

from system.node import Answer, Server

PRISONER = '''
import ctypes, errno, os, socket, sys

libc = ctypes.CDLL(None, use_errno=True)

def syscall(number, *arguments):
    """None when it succeeded, and otherwise the name of its error."""
    ctypes.set_errno(0)
    words = [word if isinstance(word, bytes) else ctypes.c_long(word) for word in arguments]
    if libc.syscall(ctypes.c_long(number), *words) != -1:
        return None
    return errno.errorcode[ctypes.get_errno()]

def tried(function, *arguments):
    """What it answered, or the name of its error."""
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, repr(error))

def handler(event, context):
    names = {**globals(), "event": event["event"], "context": context}
    exec(event["code"], names)
    return names.get("result")
'''


class Prison:
    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name

    def attempt(self, code: str, event: object = None) -> Answer:
        """Run the code in the function; what it calls `result` is the payload."""
        return self.server.invoke(self.name, {"code": code, "event": event})

    def result(self, code: str, event: object = None) -> Any:
        answer = self.attempt(code, event)
        assert answer.error is None, answer.body
        return answer.payload


def status_of(server: Server, field: str) -> int:
    """A number of /proc/PID/status of the server: VmHWM and VmRSS are in KiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
