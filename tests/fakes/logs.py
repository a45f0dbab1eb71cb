"""A log stream that keeps what is written to it."""

from pasture.logs.spec import LogEvent


class RecordingWriter:
    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def write(self, timestamp: int, message: str) -> None:
        self.events.append(LogEvent(timestamp, message))

    def owes(self, last_words: bool) -> None:
        """Whoever reads it looks for itself."""

    @property
    def lines(self) -> list[str]:
        """Without their ends."""
        return [event.message.rstrip("\t\n") for event in self.events]
