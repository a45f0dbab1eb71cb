"""A function as the catalog keeps it: what the user configured, and the state Pasture has brought it to."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pasture.domain.code_signing import CodeSignature
from pasture.domain.function_settings import Settings
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
    signature: CodeSignature | None = None
    """Of a signing profile that was known when the package came."""


@dataclass(frozen=True, slots=True)
class UsedLayer:
    """A layer version as a function has it: its package stays when the layer version is deleted."""

    arn: str
    code: Code


def opt_digest(layers: Sequence[str]) -> str | None:
    """Names the tree at /opt made of these packages, in order: of one, that package itself; of none, there is none."""
    if len(layers) < 2:
        return layers[0] if layers else None
    return hashlib.sha256("\n".join(("/opt", *layers)).encode()).hexdigest()


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
    layers: tuple[UsedLayer, ...] = ()
    """In the order in which they are laid over each other at /opt."""
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
    def snap_start(self) -> bool:
        """Whether its environments are restored from what was initialised before: of published versions alone."""
        chosen = self.more.get("SnapStart", {}).get("ApplyOn")
        return chosen == "PublishedVersions" and self.version != LATEST

    @property
    def is_settling(self) -> bool:
        """Whether it has yet to be brought to Active or Failed, or its last update to an end."""
        return self.state is State.PENDING or self.last_update is LastUpdateStatus.IN_PROGRESS

    @property
    def is_image(self) -> bool:
        """Whether it is a container image: then its code's digest is that of the image's manifest."""
        return self.package_type == "Image"

    @property
    def resolved_image_uri(self) -> str:
        """With the digest that the ImageUri was found to mean."""
        uri: str = self.more.get("ResolvedImageUri", "")
        return uri

    @property
    def code_sha256(self) -> str:
        """As AWS shows it: base64 of a package's digest, an image's in hexadecimal."""
        return self.code.sha256 if self.is_image else base64.b64encode(bytes.fromhex(self.code.sha256)).decode()

    @property
    def layer_digests(self) -> tuple[str, ...]:
        return tuple(layer.code.sha256 for layer in self.layers)

    @property
    def digests(self) -> frozenset[str]:
        """Of everything on disk that it needs: its package, its layers' packages and the tree at /opt."""
        opt = opt_digest(self.layer_digests)
        return frozenset((self.code.sha256, *self.layer_digests, *([opt] if opt else ())))

    @property
    def keeps_tenants_apart(self) -> bool:
        """Whether each of its environments serves one tenant only, whom every invocation names."""
        return "TenancyConfig" in self.more

    @property
    def environment_key(self) -> str:
        """Names the set of environments that may serve this version."""
        return f"{self.scope.account}/{self.scope.region}/{self.name}/{self.version}/{self.generation}"


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a version, or for two of which one gets a share of the invocations."""

    name: str
    version: str
    revision_id: str
    description: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Version → its share of 1; what is left over is `version`'s. AWS allows one entry."""

    @property
    def versions(self) -> frozenset[str]:
        return frozenset((self.version, *self.weights))


@dataclass(frozen=True, slots=True)
class Published:
    """The version that was published last, and the digest of what `$LATEST` was then."""

    version: str
    content: str


@dataclass(frozen=True, slots=True)
class Function:
    """The aggregate that one document holds: `$LATEST`, the aliases and the settings. One compare-and-set changes it.

    Published versions are documents of their own.
    """

    latest: FunctionVersion
    active: FunctionVersion | None = None
    """What invocations of `$LATEST` run: while an update is in progress, still the version before it.

    None before the first activation.
    """
    tags: Mapping[str, str] = field(default_factory=dict)
    next_version: int = 1
    """The number of the version that is published next: no number is used twice."""
    reserved_concurrency: int | None = None
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    published: Published | None = None
    settings: Settings = field(default_factory=Settings)
    code_signing_config: str = ""
    """The ARN of the code signing configuration that new code is judged by; empty without one."""

    @property
    def scope(self) -> Scope:
        return self.latest.scope

    @property
    def name(self) -> str:
        return self.latest.name

    @property
    def code(self) -> frozenset[str]:
        """The digests of everything on disk that `$LATEST` needs; published versions need theirs."""
        return frozenset().union(*(v.digests for v in (self.latest, self.active) if v is not None))
