"""What EventBridge Scheduler is asked: requests as nouns of `schedules`, or why not."""

import json
from typing import Any

from pasture.domain.errors import ValidationError
from pasture.kit.schedules import BadSchedule
from pasture.schedules import calls, timing
from pasture.schedules.firing import is_function
from pasture.schedules.schedule import Retry, Schedule, Target
from pasture.schedules.timing import Timing

# Parameters of targets that are kept as they are on the wire.
_PARAMETERS = ("SqsParameters", "EventBridgeParameters", "KinesisParameters")
_UNSERVED = (
    "EcsParameters",
    "SageMakerPipelineParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
)
_START_SECONDS = 300.0
_INPUT_BYTES = 256 * 1024


def schedule_of(request: dict[str, Any], now: float, known: Schedule | None = None) -> Schedule:
    """As it is asked for; of the one that is known only its beginning stays. Raises ValidationError."""
    return Schedule(
        timing=_timing(request, now, known),
        target=target_of(request["Target"]),
        created=known.created if known else now,
        modified=now,
        description=request.get("Description"),
        is_enabled=request.get("State", "ENABLED") == "ENABLED",
        window=_window(request["FlexibleTimeWindow"]),
        kms_key=request.get("KmsKeyArn", ""),
        is_deleted_at_the_end=request.get("ActionAfterCompletion") == "DELETE",
        token=known.token if known else request.get("ClientToken", ""),
    )


def _timing(request: dict[str, Any], now: float, known: Schedule | None) -> Timing:
    expression, zone = request["ScheduleExpression"], request.get("ScheduleExpressionTimezone", "UTC")
    try:
        timing.check(expression, once=True)
    except BadSchedule as error:
        raise ValidationError(f"Invalid Schedule Expression {expression}.") from error
    if not timing.is_zone(zone):
        raise ValidationError(f"Invalid ScheduleExpressionTimezone {zone}.")
    start = request["StartDate"].timestamp() if "StartDate" in request else None
    end = request["EndDate"].timestamp() if "EndDate" in request else None
    if start is not None and start < now - _START_SECONDS and (known is None or known.timing.start != start):
        raise ValidationError("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end is not None and end < max(now, start or 0.0) and (known is None or known.timing.end != end):
        raise ValidationError("The EndDate you specify must come after the StartDate and cannot be in the past.")
    if known is not None and (known.timing.expression, known.timing.start) == (expression, start):
        first = known.timing.first
    elif start is not None:
        first = float(int(start))
    else:
        # What is changed has had its time in this second, perhaps.
        first = float(int(now) + (known is not None))
    made = Timing(expression, first, zone, start, end)
    try:
        made.following(now)
    except (OverflowError, ValueError) as error:  # in the year 9999, somewhere
        raise ValidationError(f"Invalid Schedule Expression {expression}.") from error
    return made


def _window(asked: dict[str, Any]) -> int:
    minutes = asked.get("MaximumWindowInMinutes")
    if asked["Mode"] == "OFF":
        if minutes is not None:
            raise ValidationError("MaximumWindowInMinutes is not allowed when FlexibleTimeWindow mode is OFF.")
        return 0
    if minutes is None:
        raise ValidationError("MaximumWindowInMinutes is required when FlexibleTimeWindow mode is FLEXIBLE.")
    return int(minutes)


def target_of(asked: dict[str, Any]) -> Target:
    arn, input_ = asked["Arn"], asked.get("Input")
    if not calls.is_target(arn):
        raise ValidationError("Provided Arn is not in correct format.")
    for name in _UNSERVED:
        if name in asked:
            raise ValidationError(f"{name} is not served by Pasture.")
    if calls.universal(arn) is not None and input_ is None:
        raise ValidationError("A universal target needs an Input: the request of the operation, as JSON.")
    if input_ is not None and (is_function(arn) or calls.universal(arn) is not None):
        _check_json(input_)
    if input_ is not None and len(input_.encode()) > _INPUT_BYTES:
        raise ValidationError(f"The Input is larger than {_INPUT_BYTES} bytes.")
    asked_retry = asked.get("RetryPolicy", {})
    retry = Retry(
        asked_retry.get("MaximumRetryAttempts", Retry().attempts),
        asked_retry.get("MaximumEventAgeInSeconds", Retry().age),
    )
    return Target(
        arn=arn,
        role=asked["RoleArn"],
        input=input_,
        retry=retry,
        dead_letter=asked.get("DeadLetterConfig", {}).get("Arn", ""),
        parameters={name: asked[name] for name in _PARAMETERS if name in asked},
    )


def _check_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise ValidationError(f"Invalid RequestJson provided. Reason {error}") from error
