"""What Application Auto Scaling answers beside the validator's words."""

from pasture.domain.errors import BadRequest


class ObjectNotFound(BadRequest):
    code = "ObjectNotFoundException"


class InvalidNextToken(BadRequest):
    code = "InvalidNextTokenException"
