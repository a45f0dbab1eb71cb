"""Event source mappings."""

from typing import Any

from system.answers.steps import PREFIX, Step, invalid, made, minimal, ready, typical, wrong

_QUEUE = "arn:aws:sqs:us-east-1:000000000000:queue"
_STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
_NONE = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
_NOWHERE = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"


def _mapping(**more: Any) -> dict[str, Any]:
    return {
        "UUID": "<uuid>",
        "EventSourceMappingArn": f"{PREFIX}event-source-mapping:<uuid>",
        "EventSourceArn": _QUEUE,
        "FunctionArn": f"{PREFIX}function:m",
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "LastModified": "<epoch>",
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        **more,
    }


_STREAMS = {
    "EventSourceArn": _STREAM,
    "BatchSize": 50,
    "ParallelizationFactor": 1,
    "StartingPosition": "LATEST",
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": 2,
    "BisectBatchOnFunctionError": True,
    "TumblingWindowInSeconds": 0,
    "DestinationConfig": {"OnFailure": {}},
    "LastProcessingResult": "No records processed",
    "StateTransitionReason": "User action",
}


def _unreached(service: str) -> dict[str, Any]:
    """What a poller finds where no such server is beside this one."""
    told = f"PROBLEM: This Pasture has no neighbour that serves {service}: name one under [neighbours] in the "
    how = f'configuration (`{service} = "URL"`) or with --neighbour, or start it with --with-aws.'
    return {"LastProcessingResult": told + how}


_UNREACHED = _unreached("sqs")
_UNREAD = _unreached("kinesis")

MAPPINGS: list[Step] = [
    made("m"),
    typical(
        "CreateEventSourceMapping",
        202,
        _mapping(**_STREAMS),
        FunctionName="m",
        EventSourceArn=_STREAM,
        StartingPosition="LATEST",
        BatchSize=50,
        MaximumRetryAttempts=2,
        BisectBatchOnFunctionError=True,
    ),
    typical("GetEventSourceMapping", 200, _mapping(**{**_STREAMS, **_UNREAD}, State="Enabled"), UUID="<uuid>"),
    typical("DeleteEventSourceMapping", 202, _mapping(**{**_STREAMS, **_UNREAD}, State="Deleting"), UUID="<uuid>"),
    minimal("CreateEventSourceMapping", 202, _mapping(), FunctionName="m", EventSourceArn=_QUEUE),
    wrong(
        "CreateEventSourceMapping",
        409,
        "ResourceConflictException",
        f'An event source mapping with SQS arn (" {_QUEUE} ") and function (" m ") already exists. '
        "Please update or delete the existing mapping with UUID <uuid>",
        FunctionName="m",
        EventSourceArn=_QUEUE,
    ),
    wrong(
        "CreateEventSourceMapping",
        400,
        "InvalidParameterValueException",
        "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
        "Member must not be null.",
        FunctionName="m",
        EventSourceArn=_STREAM,
    ),
    invalid(
        "CreateEventSourceMapping",
        "'invalid'",
        "startingPosition",
        "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
        FunctionName="m",
        EventSourceArn=_STREAM,
        StartingPosition="invalid",
    ),
    minimal("GetEventSourceMapping", 200, _mapping(**_UNREACHED, State="Enabled"), UUID="<uuid>"),
    wrong("GetEventSourceMapping", *_NONE, UUID=_NOWHERE),
    typical(
        "ListEventSourceMappings",
        200,
        {"EventSourceMappings": [_mapping(**_UNREACHED, State="Enabled")]},
        EventSourceArn=_QUEUE,
        FunctionName="m",
        MaxItems=10,
    ),
    typical(
        "UpdateEventSourceMapping",
        202,
        _mapping(**_UNREACHED, State="Disabling", BatchSize=5),
        UUID="<uuid>",
        Enabled=False,
        BatchSize=5,
    ),
    minimal("UpdateEventSourceMapping", 202, _mapping(**_UNREACHED, State="Updating", BatchSize=5), UUID="<uuid>"),
    wrong("UpdateEventSourceMapping", *_NONE, UUID=_NOWHERE, Enabled=True),
    wrong(
        "UpdateEventSourceMapping",
        400,
        "InvalidParameterValueException",
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        UUID="<uuid>",
        BatchSize=11,
    ),
    wrong("DeleteEventSourceMapping", *_NONE, UUID=_NOWHERE),
    minimal("DeleteEventSourceMapping", 202, _mapping(**_UNREACHED, State="Deleting", BatchSize=5), UUID="<uuid>"),
    minimal("ListEventSourceMappings", 200, {"EventSourceMappings": []}),
    invalid(
        "ListEventSourceMappings",
        "'0'",
        "maxItems",
        "Member must have value greater than or equal to 1",
        MaxItems=0,
    ),
    ready("DeleteFunction", 204, None, FunctionName="m"),
]
