"""What a client is told of a policy or a token that is not one, in AWS's words."""

from pasture.domain.errors import ApiError


class MalformedPolicy(ApiError):
    code = "MalformedPolicyDocumentException"
    status = 400


class InvalidToken(Exception):
    """A session token that this server did not make, or not for this key."""


class ExpiredToken(Exception):
    """A session token whose time is over."""
