"""The last 4 KB of what an invocation logged, for `X-Amz-Log-Result`. Pure."""

from collections import deque

TAIL_BYTES = 4 * 1024


class Tail:
    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def __repr__(self) -> str:
        return f"Tail({min(self._size, self._limit)} of {self._limit} bytes)"

    def add(self, message: str) -> None:
        """One log event as it is stored, with its newline."""
        piece = message[-self._limit :].encode("utf-8", "replace")
        if not piece:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) >= self._limit:
            self._size -= len(self._pieces.popleft())

    def value(self) -> bytes:
        """Cut at the front to the byte, but never within a character."""
        kept = b"".join(self._pieces)[-self._limit :]
        first = 0
        while first < min(4, len(kept)) and kept[first] & 0xC0 == 0x80:
            first += 1
        return kept[first:]
