"""What is set about a function beside its versions: async outcomes, runtime updates, URLs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EventInvoke:
    """How asynchronous invocations are retried and where their outcomes go; None where AWS's default counts."""

    modified: float
    """Seconds since the epoch."""
    retries: int | None = None
    age_seconds: int | None = None
    on_success: str = ""
    """The destination's ARN."""
    on_failure: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeManagement:
    update_on: str = "Auto"
    version_arn: str = ""
    """With Manual only."""


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    id: str
    """The first label of its host's name; the rest is where the server is reached."""
    auth_type: str
    created: float
    """Seconds since the epoch."""
    modified: float
    invoke_mode: str = "BUFFERED"
    cors: Mapping[str, Any] | None = None
    """As sent; None when it never was."""


@dataclass(frozen=True, slots=True)
class ProvisionedConcurrency:
    executions: int
    modified: float
    """Seconds since the epoch."""


class Claims(NamedTuple):
    """What of an account's concurrency is set apart, as one of its functions sees it."""

    reserved: int | None
    """For this function; None without a reservation."""
    in_all: int
    """For all functions of the account together: reserved, or without a reservation provisioned."""
    provisioned: Mapping[str, ProvisionedConcurrency] = MappingProxyType({})
    """Of this function, by qualifier."""


@dataclass(frozen=True, slots=True)
class Settings:
    """By qualifier; the function as a whole is `""` for policies and URLs, and `$LATEST` for the rest."""

    policies: Mapping[str, str] = field(default_factory=dict)
    """Resource policies, as JSON."""
    event_invoke: Mapping[str, EventInvoke] = field(default_factory=dict)
    runtime_management: Mapping[str, RuntimeManagement] = field(default_factory=dict)
    urls: Mapping[str, FunctionUrl] = field(default_factory=dict)
    recursive_loop: str = "Terminate"
    provisioned: Mapping[str, ProvisionedConcurrency] = field(default_factory=dict)

    @property
    def provisioned_in_all(self) -> int:
        return sum(config.executions for config in self.provisioned.values())

    def without(self, qualifier: str) -> "Settings":
        """After that version or alias is gone: another of its name begins with nothing."""
        return Settings(
            policies=lacking(self.policies, qualifier),
            event_invoke=lacking(self.event_invoke, qualifier),
            runtime_management=lacking(self.runtime_management, qualifier),
            urls=lacking(self.urls, qualifier),
            recursive_loop=self.recursive_loop,
            provisioned=lacking(self.provisioned, qualifier),
        )


def lacking(settings: Mapping[str, T], qualifier: str) -> dict[str, T]:
    return {known: value for known, value in settings.items() if known != qualifier}
