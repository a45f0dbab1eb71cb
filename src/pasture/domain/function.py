"""A function as the catalog keeps it: what the user configured, and the state Pasture has brought it to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pasture.domain.scope import Scope

LATEST = "$LATEST"


class State(StrEnum):
    PENDING = "Pending"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    FAILED = "Failed"


class LastUpdateStatus(StrEnum):
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    IN_PROGRESS = "InProgress"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a state is what it is: AWS's words and AWS's reason code."""

    message: str
    code: str


@dataclass(frozen=True, slots=True)
class Code:
    """The deployment package. `sha256` is the hex digest that names the blob; `size` is the zip's bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    group: str
    format: str = "Text"
    application_level: str | None = None
    system_level: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """One version of a function: `$LATEST`, or a number once versions are published.

    Everything an execution environment depends on is here, so that two versions with
    equal `environment_key` may be served by the same environments.
    """

    scope: Scope
    name: str
    role: str
    runtime: str
    handler: str
    code: Code
    revision_id: str
    """Changes with every change, of state too."""
    generation: str
    """Changes with every change of code or configuration, and only then."""
    last_modified: float
    """Seconds since the epoch."""
    logging: LoggingConfig
    version: str = LATEST
    description: str = ""
    timeout: int = 3
    """Seconds, 1..900."""
    memory_mb: int = 128
    ephemeral_mb: int = 512
    environment: Mapping[str, str] | None = None
    """None when the user never sent an Environment: AWS omits the member then."""
    architectures: tuple[str, ...] = ("x86_64",)
    package_type: str = "Zip"
    tracing_mode: str = "PassThrough"
    kms_key_arn: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Members that are accepted and kept as sent: VpcConfig, DeadLetterConfig, FileSystemConfigs …, by AWS's names."""
    state: State = State.PENDING
    state_reason: Reason | None = None
    last_update: LastUpdateStatus | None = None
    last_update_reason: Reason | None = None

    @property
    def arn(self) -> str:
        """The ARN as `FunctionArn` shows it: unqualified for `$LATEST`."""
        return self.scope.function_arn(self.name, None if self.version == LATEST else self.version)

    @property
    def is_settling(self) -> bool:
        """Whether it has yet to be brought to Active or Failed, or its last update to an end."""
        return self.state is State.PENDING or self.last_update is LastUpdateStatus.IN_PROGRESS

    @property
    def environment_key(self) -> str:
        """Names the set of environments that may serve this version."""
        return f"{self.scope.account}/{self.scope.region}/{self.name}/{self.version}/{self.generation}"


@dataclass(frozen=True, slots=True)
class Function:
    """The aggregate that one document holds: a function with its settings. One compare-and-set changes it."""

    latest: FunctionVersion
    active: FunctionVersion | None = None
    """What invocations of `$LATEST` run: while an update is in progress, still the version before it.

    None before the first activation.
    """
    tags: Mapping[str, str] = field(default_factory=dict)
    next_version: int = 1
    reserved_concurrency: int | None = None

    @property
    def scope(self) -> Scope:
        return self.latest.scope

    @property
    def name(self) -> str:
        return self.latest.name

    @property
    def code(self) -> frozenset[str]:
        """The digests of every deployment package it needs."""
        return frozenset(v.code.sha256 for v in (self.latest, self.active) if v is not None)
