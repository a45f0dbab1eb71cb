"""What a client of CloudWatch is told: error shapes of its model, 400 on the wire."""

from pasture.domain.errors import BadRequest, InvalidParameterValue


class InvalidParameterCombination(BadRequest):
    code = "InvalidParameterCombinationException"


class MissingRequiredParameter(BadRequest):
    code = "MissingRequiredParameterException"


class InvalidNextToken(BadRequest):
    code = "InvalidNextToken"


def invalid(value: object, parameter: str) -> InvalidParameterValue:
    """In CloudWatch's words."""
    return InvalidParameterValue(f"The value {value} for parameter {parameter} is invalid.")
