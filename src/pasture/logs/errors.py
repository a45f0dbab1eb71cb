"""What a client of CloudWatch Logs is told: error shapes of the `logs` model, all of them 400 on the wire."""

from pasture.domain.errors import ApiError


class LogsError(ApiError):
    status = 400


class InvalidParameter(LogsError):
    code = "InvalidParameterException"


class ResourceNotFound(LogsError):
    code = "ResourceNotFoundException"


class ResourceAlreadyExists(LogsError):
    code = "ResourceAlreadyExistsException"


class Validation(LogsError):
    code = "ValidationException"


class TooManyTags(LogsError):
    code = "TooManyTagsException"


def no_group() -> ResourceNotFound:
    return ResourceNotFound("The specified log group does not exist.")


def no_stream() -> ResourceNotFound:
    return ResourceNotFound("The specified log stream does not exist.")
