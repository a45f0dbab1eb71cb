"""What the parts above need of the logs: somewhere to write that never makes an invocation wait."""

from typing import NamedTuple, Protocol


class LogEvent(NamedTuple):
    timestamp: int
    """Milliseconds since the epoch."""
    message: str


class LogWriter(Protocol):
    """One log stream, open for writing. Group and stream come into being with the first event."""

    def write(self, timestamp: int, message: str) -> None:
        """Take one event (milliseconds since the epoch) and return at once; it is stored soon, in order.

        When the store cannot keep up, events are dropped and one event says how many.
        """
        ...

    def owes(self, last_words: bool) -> None:
        """Whether an invocation has been answered whose last events are yet to come.

        Who reads meanwhile waits for them a moment, so that an answer's END and REPORT can be read once it is there.
        """
        ...
