"""What `assignment` decides, for `pool` to do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Serve:
    invocation: str
    environment: str


@dataclass(frozen=True, slots=True)
class Start:
    environment: str
    key: str


@dataclass(frozen=True, slots=True)
class Initialise:
    """A snapshot: an environment that comes to rest when it is initialised, until it is restored."""

    environment: str
    key: str


@dataclass(frozen=True, slots=True)
class Restore:
    """Start the snapshot that rests."""

    environment: str
    key: str


@dataclass(frozen=True, slots=True)
class Stop:
    environment: str
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    invocation: str
    why: str


@dataclass(frozen=True, slots=True)
class Throttle:
    """It cannot have one now, and may come again."""

    invocation: str
    why: str = ""
    """Beyond AWS's limits."""


@dataclass(frozen=True, slots=True)
class Linger:
    """Someone waits for an environment that has answered and is about to ask for more: be `impatient` in a moment."""

    key: str


Step = Serve | Start | Initialise | Restore | Stop | Refuse | Throttle | Linger
