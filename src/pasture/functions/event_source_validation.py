"""Is this event source mapping legal, and what does AWS say if not? Pure.

The service model's ranges and patterns have been checked before. A request is judged first: its source, and whether
that kind of source takes what it names. Then the mapping that would come of it, since what an update leaves out
counts too. The words are AWS's as recorded (reference 13) or reported by its users; `docs/differences.md` says for what
they are ours.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from pasture.domain.errors import InvalidParameterValue
from pasture.domain.event_source import KAFKA, STREAMS, EventSourceMapping, Pollers, SourceKind, kind_of
from pasture.domain.event_source_patterns import is_pattern
from pasture.domain.scope import Scope
from pasture.functions import event_source_access as access

Request = Mapping[str, Any]

FILTERS_MAX = 5
SQS_BATCH_WITHOUT_WINDOW = 10
RECORD_AGE_MIN = 60

_STREAMS_AND_KAFKA = STREAMS | KAFKA
_QUEUES_AND_STREAMS = _STREAMS_AND_KAFKA | {SourceKind.SQS}
_STARTING = _STREAMS_AND_KAFKA | {SourceKind.DOCUMENTDB}
_FILTERED = frozenset(SourceKind) - {SourceKind.DOCUMENTDB}

# Which kinds take what; a member that is not here is for all.
_TAKERS: Mapping[str, frozenset[SourceKind]] = {
    "StartingPosition": _STARTING,
    "StartingPositionTimestamp": _STARTING,
    "ParallelizationFactor": STREAMS,
    "TumblingWindowInSeconds": STREAMS,
    "MaximumRecordAgeInSeconds": _STREAMS_AND_KAFKA,
    "MaximumRetryAttempts": _STREAMS_AND_KAFKA,
    "BisectBatchOnFunctionError": _STREAMS_AND_KAFKA,
    "DestinationConfig": _STREAMS_AND_KAFKA,
    "FunctionResponseTypes": _QUEUES_AND_STREAMS,
    "FilterCriteria": _FILTERED,
    "KMSKeyArn": _FILTERED,
    "ScalingConfig": frozenset({SourceKind.SQS}),
    "ProvisionedPollerConfig": KAFKA | {SourceKind.SQS},
    "LoggingConfig": KAFKA,
    "Topics": KAFKA,
    "Queues": frozenset({SourceKind.MQ}),
    "SourceAccessConfigurations": KAFKA | {SourceKind.MQ, SourceKind.DOCUMENTDB},
    "AmazonManagedKafkaEventSourceConfig": frozenset({SourceKind.MSK}),
    "SelfManagedKafkaEventSourceConfig": frozenset({SourceKind.SELF_MANAGED_KAFKA}),
    "DocumentDBEventSourceConfig": frozenset({SourceKind.DOCUMENTDB}),
}

KAFKA_CONFIG = {
    SourceKind.MSK: "AmazonManagedKafkaEventSourceConfig",
    SourceKind.SELF_MANAGED_KAFKA: "SelfManagedKafkaEventSourceConfig",
}
_POLLERS = {SourceKind.SQS: (2, 10_000)}
_POLLERS_OF_KAFKA = (1, 2_000)
_POLLERS_MINIMUM_MAX = 200


def check_create(request: Request, scope: Scope, now: float) -> SourceKind:
    """Of what kind the source is."""
    _check_text(request)
    _check_no_success(request)
    kind = _kind(request, scope)
    _check_taken(request, kind)
    if kind in KAFKA:
        _require(request, "Topics")
    if kind is SourceKind.MQ:
        _require(request, "Queues")
    if kind is SourceKind.DOCUMENTDB and "DatabaseName" not in (request.get("DocumentDBEventSourceConfig") or {}):
        raise _missing("documentDBEventSourceConfig.databaseName")
    _check_start(request, kind, now)
    if request.get("ProvisionedPollerConfig") is not None and not _names_pollers(request["ProvisionedPollerConfig"]):
        raise InvalidParameterValue(
            "Either MinimumPollers or MaximumPollers are required if ProvisionedPollerConfig is provided."
        )
    _check_pollers_group(request, kind)
    return kind


def check_update(request: Request, mapping: EventSourceMapping) -> None:
    _check_text(request)
    _check_no_success(request)
    _check_taken(request, mapping.kind)
    access.check_update(request.get("SourceAccessConfigurations") or ())
    member = KAFKA_CONFIG.get(mapping.kind, "")
    for fixed in ("ConsumerGroupId", "ConsumptionMode"):
        # Refused even when it says what is so already.
        if fixed in (request.get(member) or {}):
            raise InvalidParameterValue(f"Unsupported '{_lower(member)}.{_lower(fixed)}' parameter")
    _check_pollers_group(request, mapping.kind)


def check_mapping(mapping: EventSourceMapping) -> None:
    """As it would be."""
    if mapping.kind is SourceKind.SQS:
        _check_queue(mapping)
    if mapping.kind in KAFKA:
        _check_kafka(mapping)
    _check_metrics(mapping)
    _check_pollers(mapping.kind, mapping.pollers)
    _check_retrying(mapping)
    _check_destination(mapping)
    _check_filters(mapping)
    access.check_access(mapping.kind, mapping.more.get("SourceAccessConfigurations") or ())


# The request...


def _check_text(request: Request) -> None:
    """JSON can bring half a surrogate pair, which is no text and cannot be kept."""
    try:
        msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        raise InvalidParameterValue("The request has text that is not valid Unicode.") from error


def _check_no_success(request: Request) -> None:
    if "OnSuccess" in (request.get("DestinationConfig") or {}):
        raise _unsupported("DestinationConfig")


def _kind(request: Request, scope: Scope) -> SourceKind:
    arn = request.get("EventSourceArn")
    if "SelfManagedEventSource" in request:
        if arn is not None:
            raise InvalidParameterValue("Only one of EventSourceArn and SelfManagedEventSource may be specified.")
        if not request["SelfManagedEventSource"].get("Endpoints"):
            raise _missing("selfManagedEventSource.endpoints")
        return SourceKind.SELF_MANAGED_KAFKA
    kind = kind_of(arn or "")
    if kind is None or arn is None:
        raise InvalidParameterValue("Unrecognized event source.")
    if arn.split(":")[3] != scope.region:
        raise InvalidParameterValue(f"The event source must be in the region of the function ('{scope.region}').")
    return kind


def _check_taken(request: Request, kind: SourceKind) -> None:
    if kind is SourceKind.SQS and {"StartingPosition", "StartingPositionTimestamp"}.intersection(request):
        raise InvalidParameterValue("StartingPosition is not valid for SQS event sources.")
    for member in request:
        if kind not in _TAKERS.get(member, {kind}):
            raise _unsupported(member)


def _check_start(request: Request, kind: SourceKind, now: float) -> None:
    position, moment = request.get("StartingPosition"), request.get("StartingPositionTimestamp")
    if (request.get("SelfManagedKafkaEventSourceConfig") or {}).get("ConsumptionMode") == "Queue":
        if position is not None or moment is not None:
            raise _unsupported("StartingPosition")
        return
    if kind in _STARTING and position is None:
        raise InvalidParameterValue(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if moment is not None and position != "AT_TIMESTAMP":
        raise InvalidParameterValue("Timestamp only valid with StartingPosition AT_TIMESTAMP")
    if position != "AT_TIMESTAMP":
        return
    if kind is SourceKind.DYNAMODB:
        raise InvalidParameterValue(f"Unsupported starting position for arn type: {request['EventSourceArn']}")
    _check_moment(moment, now)


def _check_moment(moment: datetime | None, now: float) -> None:
    if moment is None:
        raise InvalidParameterValue("Need to specify a timestamp")
    if moment.timestamp() < 0:
        raise InvalidParameterValue(
            "Received Exception while reading from provided stream. "
            "class java.lang.Long can not be converted to a Timestamp"
        )
    if moment.timestamp() > now:
        raise InvalidParameterValue("StartingPositionTimestamp cannot be in the future.")


def _names_pollers(config: Request) -> bool:
    return "MinimumPollers" in config or "MaximumPollers" in config


def _check_pollers_group(request: Request, kind: SourceKind) -> None:
    config = request.get("ProvisionedPollerConfig") or {}
    if kind is SourceKind.SQS and config.get("PollerGroupName"):
        raise _unsupported("PollerGroupName")


# The mapping...


def _check_queue(mapping: EventSourceMapping) -> None:
    if mapping.batch_size > SQS_BATCH_WITHOUT_WINDOW and not mapping.window_seconds:
        raise InvalidParameterValue(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
    if mapping.is_fifo and mapping.window_seconds:
        raise InvalidParameterValue("Batching window is not supported for FIFO queues")
    if mapping.pollers is not None and mapping.maximum_concurrency is not None:
        raise InvalidParameterValue(
            "Provisioned mode for SQS ESM does not support maximum concurrency feature. "
            "Use MaximumPollers as the control mechanism and remove maximum concurrency."
        )


def _check_kafka(mapping: EventSourceMapping) -> None:
    if mapping.more.get("ConsumptionMode") == "Queue":
        if mapping.window_seconds is not None:
            raise _unsupported("MaximumBatchingWindowInSeconds")
        if mapping.retries == -1:
            raise _unsupported("MaximumRetryAttempts")
    registry = mapping.more.get("SchemaRegistryConfig")
    if registry:
        _check_provisioned(mapping, "SchemaRegistryConfig")
        for member in ("SchemaRegistryURI", "EventRecordFormat", "SchemaValidationConfigs"):
            if not registry.get(member):
                raise _missing(f"schemaRegistryConfig.{_lower(member)}")


def _check_metrics(mapping: EventSourceMapping) -> None:
    metrics = (mapping.more.get("MetricsConfig") or {}).get("Metrics") or ()
    if mapping.kind in KAFKA:
        if metrics:
            _check_provisioned(mapping, "MetricsConfig")
    elif any(metric != "EventCount" for metric in metrics):
        raise _unsupported("MetricsConfig")


def _check_provisioned(mapping: EventSourceMapping, member: str) -> None:
    if mapping.pollers is None:
        raise InvalidParameterValue(
            f"{member} is only available for Provisioned Mode. "
            "Enable Provisioned Mode by specifying MinimumPollers in ProvisionedPollerConfig."
        )


def _check_pollers(kind: SourceKind, pollers: Pollers | None) -> None:
    if pollers is None:
        return
    least, most = _POLLERS.get(kind, _POLLERS_OF_KAFKA)
    if not (least <= pollers.minimum <= _POLLERS_MINIMUM_MAX and pollers.minimum <= pollers.maximum <= most):
        raise InvalidParameterValue(
            f"MinimumPollers should be between [{least}, {_POLLERS_MINIMUM_MAX}] and "
            f"MaximumPollers should be between [MinimumPollers, {most}]"
        )


def _check_retrying(mapping: EventSourceMapping) -> None:
    age = mapping.record_age_seconds
    if age is not None and -1 < age < RECORD_AGE_MIN:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{age}' at 'maximumRecordAgeInSeconds' failed to satisfy constraint: "
            f"Member must be -1 or have value greater than or equal to {RECORD_AGE_MIN}"
        )
    if mapping.tumbling_window_seconds and (mapping.parallelization_factor or 1) > 1:
        raise InvalidParameterValue("A tumbling window cannot be used with a ParallelizationFactor greater than 1.")


def _check_destination(mapping: EventSourceMapping) -> None:
    destination = mapping.on_failure
    if not destination:
        return
    topic = destination.startswith("kafka://")
    service = destination.split(":", 3)[2] if destination.startswith("arn:") else ""
    if service not in {"sqs", "sns", "s3"} and not (topic and mapping.kind in KAFKA):
        raise InvalidParameterValue(
            "The provided destination config DestinationConfig(onSuccess=null, "
            f"onFailure=OnFailure(destination={destination})) is invalid."
        )


def _check_filters(mapping: EventSourceMapping) -> None:
    if len(mapping.filters) > FILTERS_MAX:
        raise InvalidParameterValue(f"Number of filters exceeds the limit of {FILTERS_MAX}.")
    if not all(map(is_pattern, mapping.filters)):
        raise InvalidParameterValue("Invalid filter pattern definition.")


# Words...


def _require(request: Request, member: str) -> None:
    if not request.get(member):
        raise _missing(_lower(member))


def _missing(path: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Required '{path}' parameter is missing.")


def _unsupported(member: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Unsupported {member} parameter for given event source mapping type.")


def _lower(member: str) -> str:
    return member[:1].lower() + member[1:]
