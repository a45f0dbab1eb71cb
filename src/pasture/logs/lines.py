"""What a program prints, cut into log records: a line each. Pure.

A record keeps its newline, as in CloudWatch Logs. `\\r` within a line becomes a newline
of the same record: that is how runtime clients without a telemetry descriptor keep a
stack trace together (awslambdaric's ERROR_LOG_LINE_TERMINATE). Bytes that are not UTF-8
are replaced. A line over the limit is given in pieces, so memory is bounded.
"""

# CloudWatch Logs took events of 256 KB for most of its life, and readers of Lambda's logs expect them.
LINE_LIMIT = 256 * 1024


class Lines:
    """An incremental splitter: feed it what was read, in whatever pieces."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()

    def __repr__(self) -> str:
        return f"Lines({len(self._rest)} bytes of an unfinished line)"

    def feed(self, data: bytes) -> list[str]:
        """The records that are finished now."""
        if b"\n" not in data and len(self._rest) + len(data) <= self._limit:
            self._rest += data
            return []
        *whole, rest = (bytes(self._rest) + data).split(b"\n")
        records = [text for line in whole for text in self._pieces(line + b"\n")]
        records += self._keep(rest)
        return records

    def flush(self) -> list[str]:
        """An unfinished line, as it is: the invocation or the program has ended, or the line is old."""
        rest, self._rest = bytes(self._rest), bytearray()
        return self._pieces(rest) if rest else []

    def _keep(self, rest: bytes) -> list[str]:
        """Hold back what may go on, at most a limit's worth; answer with the pieces before it."""
        records = []
        while len(rest) > self._limit:
            cut = _boundary(rest, self._limit)
            records.append(_text(rest[:cut]))
            rest = rest[cut:]
        self._rest = bytearray(rest)
        return records

    def _pieces(self, line: bytes) -> list[str]:
        pieces = []
        while len(line) > self._limit:
            cut = _boundary(line, self._limit)
            pieces.append(_text(line[:cut]))
            line = line[cut:]
        return [*pieces, _text(line)]


def _boundary(data: bytes, limit: int) -> int:
    """The last place up to `limit` that does not part the bytes of a character (or of `\\r\\n`)."""
    for cut in range(limit, max(limit - 4, 0), -1):
        if data[cut] & 0xC0 != 0x80 and data[cut - 1 : cut + 1] != b"\r\n":
            return cut
    return limit


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
