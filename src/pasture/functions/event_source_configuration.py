"""From AWS's request members to an `EventSourceMapping`, and from there to what AWS shows. Pure.

What a mapping of each kind shows, and its defaults, are as recorded (reference 13) and as documented (reference 7.1).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pasture.domain.event_source import KAFKA, STREAMS, EventSourceMapping, Pollers, SourceKind
from pasture.domain.identifiers import FunctionRef
from pasture.domain.scope import Scope
from pasture.functions.event_source_access import kept_access
from pasture.functions.event_source_validation import KAFKA_CONFIG

Members = Mapping[str, Any]

_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
_POLLERS_MAXIMUM = 200

_PLAIN = {
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "window_seconds",
    "ParallelizationFactor": "parallelization_factor",
    "TumblingWindowInSeconds": "tumbling_window_seconds",
    "MaximumRecordAgeInSeconds": "record_age_seconds",
    "MaximumRetryAttempts": "retries",
    "BisectBatchOnFunctionError": "bisect_on_error",
}
# Kept as sent; an empty one takes away what there was.
_KEPT = ("MetricsConfig", "LoggingConfig", "KMSKeyArn", "SourceAccessConfigurations")


def drafted(request: Members, kind: SourceKind, scope: Scope, ref: FunctionRef, uuid: str) -> EventSourceMapping:
    """What CreateEventSourceMapping asks for. Time and generation are the catalog's to fill in."""
    moment = request.get("StartingPositionTimestamp")
    endpoints = (request.get("SelfManagedEventSource") or {}).get("Endpoints") or {}
    blank = EventSourceMapping(
        scope=scope,
        uuid=uuid,
        kind=kind,
        function=ref.name,
        qualifier=ref.qualifier or "",
        source=request.get("EventSourceArn", ""),
        servers=tuple(endpoints.get(_SERVERS, ())),
        channel=(request.get("Topics") or request.get("Queues") or [""])[0],
        starting_position=request.get("StartingPosition", ""),
        starting_timestamp=None if moment is None else moment.timestamp(),
        tags=request.get("Tags") or {},
        **_defaults(request, kind, uuid),
    )
    return edited(blank, request)


def _defaults(request: Members, kind: SourceKind, uuid: str) -> dict[str, Any]:
    if kind is SourceKind.SQS:
        return {"batch_size": 10, "window_seconds": 0}
    if kind in STREAMS:
        return {
            "batch_size": 100,
            "window_seconds": 0,
            "parallelization_factor": 1,
            "tumbling_window_seconds": 0,
            "record_age_seconds": -1,
            "retries": -1,
            "bisect_on_error": False,
        }
    if kind in KAFKA:
        config = request.get(KAFKA_CONFIG[kind]) or {}
        mode = config.get("ConsumptionMode")
        return {
            "batch_size": 100,
            "consumer_group": config.get("ConsumerGroupId", uuid),
            "retries": 0 if mode == "Queue" else None,
            "more": {"ConsumptionMode": mode} if mode else {},
        }
    return {"batch_size": 100}


def edited(mapping: EventSourceMapping, request: Members) -> EventSourceMapping:
    """The mapping with every setting that the request names; what it does not name stays."""
    changes: dict[str, Any] = {field: request[member] for member, field in _PLAIN.items() if member in request}
    if "Enabled" in request:
        changes["enabled"] = request["Enabled"]
    if "FilterCriteria" in request:
        filters = request["FilterCriteria"].get("Filters") or ()
        changes["filters"] = tuple((one or {}).get("Pattern", "") for one in filters)
    if "FunctionResponseTypes" in request:
        changes["reports_item_failures"] = bool(request["FunctionResponseTypes"])
    if "DestinationConfig" in request:
        changes["on_failure"] = (request["DestinationConfig"].get("OnFailure") or {}).get("Destination", "")
    if "ScalingConfig" in request:
        changes["maximum_concurrency"] = request["ScalingConfig"].get("MaximumConcurrency")
    if "ProvisionedPollerConfig" in request:
        changes["pollers"] = _pollers(mapping, request["ProvisionedPollerConfig"])
    return dataclasses.replace(mapping, more=_more(mapping, request), **changes)


def _pollers(mapping: EventSourceMapping, config: Members) -> Pollers | None:
    """An empty configuration ends provisioned mode."""
    if not config:
        return None
    known = mapping.pollers or Pollers(2 if mapping.kind is SourceKind.SQS else 1, _POLLERS_MAXIMUM)
    return Pollers(
        config.get("MinimumPollers", known.minimum),
        config.get("MaximumPollers", known.maximum),
        config.get("PollerGroupName", known.group),
    )


def _more(mapping: EventSourceMapping, request: Members) -> dict[str, Any]:
    more = {**mapping.more, **{member: request[member] for member in _KEPT if member in request}}
    if "SourceAccessConfigurations" in request:
        known = mapping.more.get("SourceAccessConfigurations") or ()
        more["SourceAccessConfigurations"] = kept_access(known, request["SourceAccessConfigurations"])
    if "DocumentDBEventSourceConfig" in request:
        known = mapping.more.get("DocumentDBEventSourceConfig") or {"FullDocument": "Default"}
        more["DocumentDBEventSourceConfig"] = {**known, **request["DocumentDBEventSourceConfig"]}
    config = request.get(KAFKA_CONFIG.get(mapping.kind, "")) or {}
    if "SchemaRegistryConfig" in config:
        more["SchemaRegistryConfig"] = config["SchemaRegistryConfig"]
    return {member: value for member, value in more.items() if value}


def shown(mapping: EventSourceMapping) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "UUID": mapping.uuid,
        "EventSourceMappingArn": mapping.arn,
        "FunctionArn": mapping.function_arn,
        "LastModified": mapping.last_modified,
        "State": mapping.state.value,
        "StateTransitionReason": "USER_INITIATED" if mapping.kind is SourceKind.SQS else "User action",
        **_source(mapping),
        **_settings(mapping),
        **_outcomes(mapping),
    }
    # AWS never says it of queues; what is wrong is worth a difference.
    if mapping.kind is not SourceKind.SQS or mapping.last_result.startswith("PROBLEM"):
        answer["LastProcessingResult"] = mapping.last_result
    for member in (*_KEPT, "DocumentDBEventSourceConfig"):
        if member in mapping.more:
            answer[member] = mapping.more[member]
    return answer


def _source(mapping: EventSourceMapping) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if mapping.source:
        shown["EventSourceArn"] = mapping.source
    if mapping.servers:
        shown["SelfManagedEventSource"] = {"Endpoints": {_SERVERS: list(mapping.servers)}}
    if mapping.channel:
        shown["Queues" if mapping.kind is SourceKind.MQ else "Topics"] = [mapping.channel]
    if mapping.starting_position:
        shown["StartingPosition"] = mapping.starting_position
    if mapping.starting_timestamp is not None:
        shown["StartingPositionTimestamp"] = mapping.starting_timestamp
    if mapping.kind in KAFKA:
        kept = {m: mapping.more[m] for m in ("SchemaRegistryConfig", "ConsumptionMode") if m in mapping.more}
        shown[KAFKA_CONFIG[mapping.kind]] = {"ConsumerGroupId": mapping.consumer_group, **kept}
    return shown


def _settings(mapping: EventSourceMapping) -> dict[str, Any]:
    shown = {member: value for member, field in _PLAIN.items() if (value := getattr(mapping, field)) is not None}
    if mapping.filters:
        shown["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    if mapping.maximum_concurrency is not None:
        shown["ScalingConfig"] = {"MaximumConcurrency": mapping.maximum_concurrency}
    if mapping.pollers is not None:
        group = {"PollerGroupName": mapping.pollers.group} if mapping.pollers.group else {}
        shown["ProvisionedPollerConfig"] = {
            "MinimumPollers": mapping.pollers.minimum,
            "MaximumPollers": mapping.pollers.maximum,
            **group,
        }
    return shown


def _outcomes(mapping: EventSourceMapping) -> dict[str, Any]:
    """Streams show both even when they are empty, queues the one that they take."""
    shown: dict[str, Any] = {}
    if mapping.reports_item_failures or mapping.kind in STREAMS or mapping.kind is SourceKind.SQS:
        shown["FunctionResponseTypes"] = ["ReportBatchItemFailures"] if mapping.reports_item_failures else []
    if mapping.on_failure or mapping.kind in STREAMS:
        destination = {"Destination": mapping.on_failure} if mapping.on_failure else {}
        shown["DestinationConfig"] = {"OnFailure": destination}
    return shown
