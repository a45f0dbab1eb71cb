"""What a client of CloudWatch is told: error shapes of its model, 400 on the wire."""

from pasture.domain.errors import ApiError


class CloudWatchError(ApiError):
    status = 400


class InvalidParameterValue(CloudWatchError):
    code = "InvalidParameterValueException"


class InvalidParameterCombination(CloudWatchError):
    code = "InvalidParameterCombinationException"


class MissingRequiredParameter(CloudWatchError):
    code = "MissingRequiredParameterException"


class InvalidNextToken(CloudWatchError):
    code = "InvalidNextToken"


def invalid(value: object, parameter: str) -> InvalidParameterValue:
    """In CloudWatch's words."""
    return InvalidParameterValue(f"The value {value} for parameter {parameter} is invalid.")
