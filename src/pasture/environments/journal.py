"""The log of one environment: what its programs and the platform say, on its way to its stream and to telemetry."""

from pasture.kit.clock import Clock
from pasture.logs.levels import LogLevels
from pasture.logs.platform import PlatformEvent
from pasture.logs.platform_rendering import json_line, text_line
from pasture.logs.spec import LogWriter
from pasture.logs.tail import Tail
from pasture.runtime_api.telemetry import Telemetry


class Journal:
    """`telemetry` is the hub of the life that the environment's programs are living, if any."""

    def __init__(self, writer: LogWriter, clock: Clock, levels: LogLevels | None = None) -> None:
        self._writer = writer
        self._clock = clock
        self._levels = levels or LogLevels()
        self._tail: Tail | None = None
        self.telemetry: Telemetry | None = None

    @property
    def is_json(self) -> bool:
        return self._levels.json

    @property
    def tells_all(self) -> bool:
        """Whether anybody gets to know the events that are no lines of the text format."""
        return self._levels.json or (self.telemetry is not None and not self.telemetry.is_silent)

    def begin_tail(self) -> None:
        self._tail = Tail()

    def end_tail(self) -> bytes:
        tail, self._tail = self._tail, None
        return tail.value() if tail else b""

    def owes(self, last_words: bool) -> None:
        """Whether an invocation has been answered and has yet to be reported: readers of the log may wait for it."""
        self._writer.owes(last_words)

    # The platform's own...

    def platform(self, event: PlatformEvent) -> None:
        """An event of the platform: written when its level passes, told to telemetry in any case."""
        now = self._clock.now()
        if not self._levels.json:
            line = text_line(event)
        elif self._levels.passes_system(event.level):
            line = json_line(event, now)
        else:
            line = None
        if line is not None:
            self._write(int(now * 1_000_000), line)
        if self.telemetry is not None:
            self.telemetry.emit(event, now)

    def telemetry_only(self, event: PlatformEvent) -> None:
        if self.telemetry is not None:
            self.telemetry.emit(event, self._clock.now())

    # The programs'...

    def line(self, message: str) -> None:
        """A line of the runtime's standard output or error."""
        if self._levels.passes_line(message):
            self._write(None, _ended(message))
        if self.telemetry is not None:
            self.telemetry.function_log(self._clock.now(), message.rstrip("\n"))

    def frame(self, timestamp_us: int | None, level: str, message: str) -> None:
        """A record that the runtime's client framed, whole."""
        if self._levels.passes_frame(level):
            self._write(timestamp_us, _ended(message))
        if self.telemetry is not None:
            when = self._clock.now() if timestamp_us is None else timestamp_us / 1_000_000
            self.telemetry.function_log(when, message.rstrip("\n"))

    def extension_line(self, message: str) -> None:
        self._write(None, _ended(message))
        if self.telemetry is not None:
            self.telemetry.extension_log(self._clock.now(), message.rstrip("\n"))

    def _write(self, timestamp_us: int | None, text: str) -> None:
        timestamp = int(self._clock.now() * 1000) if timestamp_us is None else timestamp_us // 1000
        self._writer.write(timestamp, text)
        if self._tail is not None:
            self._tail.add(text)


def _ended(message: str) -> str:
    """Every record ends with a newline, as in CloudWatch."""
    return message if message.endswith("\n") else f"{message}\n"
