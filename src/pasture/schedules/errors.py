"""What the clients of EventBridge and EventBridge Scheduler are told when something cannot be."""

from pasture.domain.errors import ApiError, ResourceNotFound, ValidationError


class Conflict(ApiError):
    code = "ConflictException"
    status = 409


class ScheduleNotFound(ResourceNotFound):
    """A schedule or a group."""


class RuleNotFound(ResourceNotFound):
    """A rule or a bus."""

    status = 400


class ResourceAlreadyExists(ApiError):
    code = "ResourceAlreadyExistsException"
    status = 400


class LimitExceeded(ApiError):
    code = "LimitExceededException"
    status = 400


class InvalidEventPattern(ApiError):
    code = "InvalidEventPatternException"
    status = 400


__all__ = [
    "Conflict",
    "InvalidEventPattern",
    "LimitExceeded",
    "ResourceAlreadyExists",
    "RuleNotFound",
    "ScheduleNotFound",
    "ValidationError",
]
