"""Callers that never rest, as a program of their own: so many at once, until standard input ends.

Arguments: the address, how many callers there are, and the file of the request; prints a line once each was answered.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from client import drive


def main(url: str, callers: str, file: str) -> None:
    request, count = Path(file).read_bytes(), int(callers)
    ended = threading.Event()

    def reading() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=reading, daemon=True).start()
    drive(url, [request] * count, count)
    print("floods", flush=True)
    drive(url, _until(ended, request), count)


def _until(ended: threading.Event, request: bytes) -> Iterator[bytes]:
    while not ended.is_set():
        yield request


if __name__ == "__main__":
    main(*sys.argv[1:])
