"""What a client of CloudWatch Logs is told: error shapes of the `logs` model, all of them 400 on the wire."""

from pasture.domain.errors import BadRequest


class InvalidParameter(BadRequest):
    code = "InvalidParameterException"


class ResourceNotFound(BadRequest):
    code = "ResourceNotFoundException"


class ResourceAlreadyExists(BadRequest):
    code = "ResourceAlreadyExistsException"


class Validation(BadRequest):
    code = "ValidationException"


class LimitExceeded(BadRequest):
    code = "LimitExceededException"


class TooManyTags(BadRequest):
    code = "TooManyTagsException"


def no_group() -> ResourceNotFound:
    return ResourceNotFound("The specified log group does not exist.")


def no_stream() -> ResourceNotFound:
    return ResourceNotFound("The specified log stream does not exist.")


def no_subscription() -> ResourceNotFound:
    return ResourceNotFound("The specified subscription filter does not exist.")
