"""What an environment is told of its extensions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AllRegistered:
    """Every external extension that was expected has registered: the runtime may start."""


@dataclass(frozen=True, slots=True)
class AgentsReady:
    """Every extension waits for its next event: with the runtime's `Ready`, the phase is over."""


@dataclass(frozen=True, slots=True)
class ExtensionInitFailed:
    """An extension posted `init/error`: the init fails with `Extension.InitError`."""

    name: str
    error_type: str
    """As the extension claims it."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class ExtensionExitFailed:
    """An extension posted `exit/error`: the phase fails with `Extension.ExitError`."""

    name: str
    error_type: str
    payload: bytes


ExtensionSignal = AllRegistered | AgentsReady | ExtensionInitFailed | ExtensionExitFailed
