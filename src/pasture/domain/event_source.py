"""Event source mappings: what is read, for which function, and how. And which kinds of source there are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pasture.domain.scope import Scope


class SourceKind(StrEnum):
    SQS = "SQS"
    KINESIS = "Kinesis"
    DYNAMODB = "DynamoDB"
    MSK = "MSK"
    SELF_MANAGED_KAFKA = "SelfManagedKafka"
    MQ = "MQ"
    DOCUMENTDB = "DocumentDB"


STREAMS = frozenset({SourceKind.KINESIS, SourceKind.DYNAMODB})
KAFKA = frozenset({SourceKind.MSK, SourceKind.SELF_MANAGED_KAFKA})

_RESOURCES = {
    SourceKind.SQS: r"sqs:{place}:[a-zA-Z0-9_-]{{1,80}}(\.fifo)?",
    SourceKind.KINESIS: r"kinesis:{place}:stream/[a-zA-Z0-9_.-]{{1,128}}(/consumer/[a-zA-Z0-9_.-]{{1,128}}:\d+)?",
    SourceKind.DYNAMODB: r"dynamodb:{place}:table/[a-zA-Z0-9_.-]+/stream/[^/\s]+",
    SourceKind.MSK: r"kafka:{place}:(cluster|vpc-connection)/[^\s]+",
    SourceKind.MQ: r"mq:{place}:broker:[^:\s]+:[^:\s]+",
    SourceKind.DOCUMENTDB: r"rds:{place}:cluster:[^:\s]+",
}
_FORMS = {
    kind: re.compile("arn:aws[a-zA-Z0-9-]*:" + resource.format(place=r"[a-z0-9-]+:\d{12}"), re.ASCII)
    for kind, resource in _RESOURCES.items()
}


def kind_of(arn: str) -> SourceKind | None:
    """None for what cannot be a source."""
    return next((kind for kind, form in _FORMS.items() if form.fullmatch(arn)), None)


class MappingState(StrEnum):
    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    UPDATING = "Updating"
    DELETING = "Deleting"


_AT_REST = frozenset({MappingState.ENABLED, MappingState.DISABLED})


@dataclass(frozen=True, slots=True)
class Pollers:
    """Provisioned mode."""

    minimum: int
    maximum: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """Settings that its kind of source does not have, or that were never given, are None or empty."""

    scope: Scope
    uuid: str
    kind: SourceKind
    function: str
    """The name."""
    batch_size: int
    qualifier: str = ""
    source: str = ""
    """The ARN; empty of self-managed Kafka, which has `servers`."""
    servers: tuple[str, ...] = ()
    channel: str = ""
    """The topic or the queue."""
    consumer_group: str = ""
    starting_position: str = ""
    starting_timestamp: float | None = None
    """Seconds since the epoch, with AT_TIMESTAMP."""
    window_seconds: int | None = None
    """None where AWS's default is half a second, which nobody can ask for."""
    parallelization_factor: int | None = None
    tumbling_window_seconds: int | None = None
    record_age_seconds: int | None = None
    """-1, like None, is for ever."""
    retries: int | None = None
    """-1, like None, is without end."""
    bisect_on_error: bool | None = None
    reports_item_failures: bool = False
    on_failure: str = ""
    """The destination."""
    filters: tuple[str, ...] = ()
    """Patterns, of which a record has to match one; empty when every record does."""
    maximum_concurrency: int | None = None
    pollers: Pollers | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Members that are kept as sent, by AWS's names: SourceAccessConfigurations, SchemaRegistryConfig …"""
    tags: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    """What the user wants; `state` is how far it has come."""
    state: MappingState = MappingState.CREATING
    generation: str = ""
    """Changes with every change of configuration, and only then."""
    last_modified: float = 0.0
    """Of configuration or state; seconds since the epoch."""
    last_result: str = "No records processed"

    @property
    def arn(self) -> str:
        return mapping_arn(self.scope, self.uuid)

    @property
    def function_name(self) -> str:
        """With the qualifier."""
        return f"{self.function}:{self.qualifier}" if self.qualifier else self.function

    @property
    def function_arn(self) -> str:
        return self.scope.function_arn(self.function, self.qualifier or None)

    @property
    def sources(self) -> tuple[str, ...]:
        """What is read: the ARN, or each of the servers."""
        return (self.source,) if self.source else self.servers

    @property
    def is_fifo(self) -> bool:
        return self.kind is SourceKind.SQS and self.source.endswith(".fifo")

    @property
    def is_settling(self) -> bool:
        return self.state not in _AT_REST


def mapping_arn(scope: Scope, uuid: str) -> str:
    return scope.arn("lambda", f"event-source-mapping:{uuid}")
