"""What Application Auto Scaling answers beside the validator's words."""

from pasture.domain.errors import ApiError


class ObjectNotFound(ApiError):
    code = "ObjectNotFoundException"
    status = 400


class InvalidNextToken(ApiError):
    code = "InvalidNextTokenException"
    status = 400
