"""What /proc/self/cmdline and environ say: of a fork, what they would say of an exec. See PR_SET_MM_MAP in prctl(2)."""

import ctypes
import struct
from contextlib import suppress
from pathlib import Path

from . import syscalls

_PR_SET_MM = 35
_PR_SET_MM_MAP = 14
_libc = ctypes.CDLL(None)
_libc.sbrk.restype = _libc.malloc.restype = ctypes.c_void_p
# Of /proc/self/stat, counted after the name: start_code, end_code, start_stack; start_data, end_data, start_brk.
_CODE, _STACK, _DATA = slice(23, 25), 25, slice(42, 45)


class Title:
    """Made in the process that is forked from, where the addresses are the same."""

    def __init__(self) -> None:
        fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
        self._code = [int(field) for field in fields[_CODE]]
        self._stack = int(fields[_STACK])
        self._data = [int(field) for field in fields[_DATA]]

    def show(self, command: "list[str]", environment: "dict[str, str]") -> None:
        arguments = b"".join(word.encode(errors="surrogateescape") + b"\0" for word in command)
        variables = b"".join(f"{k}={v}".encode(errors="surrogateescape") + b"\0" for k, v in environment.items())
        text = arguments + variables
        begin = _libc.malloc(ctypes.c_size_t(len(text)))  # shown as long as the process lives
        ctypes.memmove(begin, text, len(text))
        middle, end = begin + len(arguments), begin + len(arguments) + len(variables)
        places = (*self._code, *self._data, _libc.sbrk(0), self._stack, begin, middle, middle, end)
        # struct prctl_mm_map: the places, no auxiliary vector, no other executable.
        layout = struct.pack("=12QIi", *places, 0, 0, -1)
        with suppress(OSError):  # a kernel without checkpoints: they say what they say of the zygote
            buffer = ctypes.create_string_buffer(layout, len(layout))
            syscalls.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.addressof(buffer), len(layout))
