"""The metrics of the namespace `AWS/Lambda`: units, and by which dimensions each is kept. Pure.

Source: "Types of metrics for Lambda functions" and "Using CloudWatch metrics with Lambda" in the developer guide. What
has no source in this server yet has its entry all the same: whoever comes to count it calls `Recorder.observe`.
"""

from dataclasses import dataclass
from enum import StrEnum

NAMESPACE = "AWS/Lambda"

Dimensions = tuple[tuple[str, str], ...]
"""Names and values, in order of name."""


class Kind(StrEnum):
    COUNT = "count"
    """Each observation is so many of something: the sum tells."""
    VALUE = "value"
    """Each observation is a measurement: average and percentiles tell."""
    LEVEL = "level"
    """How much there is at the moment: the maximum tells."""


class Reach(StrEnum):
    """The sets of dimensions that a metric is kept by."""

    FUNCTION = "function"
    """All functions; FunctionName; with Resource; and of an alias with ExecutedVersion."""
    RESOURCE = "resource"
    """FunctionName; and with Resource: of what belongs to versions and aliases."""
    ACCOUNT = "account"
    """The account in its region as a whole."""
    MAPPING = "mapping"
    """EventSourceMappingUUID."""


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    unit: str
    kind: Kind
    reach: Reach = Reach.FUNCTION


def _counts(*names: str, reach: Reach = Reach.FUNCTION) -> list[Metric]:
    return [Metric(name, "Count", Kind.COUNT, reach) for name in names]


def _milliseconds(*names: str) -> list[Metric]:
    return [Metric(name, "Milliseconds", Kind.VALUE) for name in names]


def _levels(*names: str, reach: Reach = Reach.FUNCTION, unit: str = "Count") -> list[Metric]:
    return [Metric(name, unit, Kind.LEVEL, reach) for name in names]


_ALL = [
    *_counts("Invocations", "Errors", "Throttles", "DeadLetterErrors", "DestinationDeliveryFailures"),
    *_counts("RecursiveInvocationsDropped", "SignatureValidationErrors", "OversizedRecordCount"),
    *_counts("ProvisionedConcurrencyInvocations", "ProvisionedConcurrencySpilloverInvocations"),
    *_counts("AsyncEventsReceived", "AsyncEventsDropped"),
    *_milliseconds("Duration", "PostRuntimeExtensionsDuration", "IteratorAge", "AsyncEventAge"),
    Metric("OffsetLag", "Count", Kind.VALUE),
    *_levels("ConcurrentExecutions"),
    *_levels("ProvisionedConcurrentExecutions", reach=Reach.RESOURCE),
    # A share of 1, without a unit of its own.
    *_levels("ProvisionedConcurrencyUtilization", reach=Reach.RESOURCE, unit="None"),
    *_levels("UnreservedConcurrentExecutions", "ClaimedAccountConcurrency", reach=Reach.ACCOUNT),
    *_counts("PolledEventCount", "FilteredOutEventCount", "InvokedEventCount", reach=Reach.MAPPING),
    *_counts("FailedInvokeEventCount", "DroppedEventCount", "DeletedEventCount", reach=Reach.MAPPING),
    *_counts("OnFailureDestinationDeliveredEventCount", "CommittedEventCount", reach=Reach.MAPPING),
    *_counts("PollingErrorCount", "InvokeErrorCount", "CommitErrorCount", reach=Reach.MAPPING),
    *_counts("OnFailureDestinationDeliveryErrorCount", "SchemaRegistryErrorCount", reach=Reach.MAPPING),
    *_levels("MaxOffsetLag", "SumOffsetLag", "ProvisionedPollers", "EventPollerUnit", reach=Reach.MAPPING),
    Metric("EventPollerThroughputInBytes", "Bytes", Kind.COUNT, Reach.MAPPING),
]

METRICS = {metric.name: metric for metric in _ALL}


@dataclass(frozen=True, slots=True)
class Place:
    """Whose an observation is: as much of it as is known."""

    account: str
    region: str
    function: str = ""
    resource: str = ""
    """`f`, or `f:QUALIFIER` as the function was addressed."""
    version: str = ""
    """The version that ran."""
    mapping: str = ""


def dimensions_of(metric: Metric, place: Place) -> list[Dimensions]:
    """Every set by which an observation there is kept. A level is not kept by ExecutedVersion."""
    if metric.reach is Reach.ACCOUNT:
        return [()]
    if metric.reach is Reach.MAPPING:
        return [(("EventSourceMappingUUID", place.mapping),)] if place.mapping else []
    name, resource = ("FunctionName", place.function), ("Resource", place.resource)
    if metric.reach is Reach.RESOURCE:
        return [(name,), (name, resource)] if place.resource else []
    sets: list[Dimensions] = [(), (name,)]
    if place.resource:
        sets.append((name, resource))
    if place.version and _is_alias(place.resource):
        sets.append((("ExecutedVersion", place.version), name, resource))
    return sets


def _is_alias(resource: str) -> bool:
    qualifier = resource.partition(":")[2]
    return bool(qualifier) and not qualifier.isdigit() and qualifier != "$LATEST"
