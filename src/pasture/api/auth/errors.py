"""What a caller without a good signature is told, in AWS's words. No service model declares these."""

from pasture.domain.errors import ApiError


class MissingAuthenticationToken(ApiError):
    code = "MissingAuthenticationTokenException"
    status = 403


class IncompleteSignature(ApiError):
    code = "IncompleteSignatureException"
    status = 403


class UnrecognizedClient(ApiError):
    code = "UnrecognizedClientException"
    status = 403


class InvalidSignature(ApiError):
    code = "InvalidSignatureException"
    status = 403


class ExpiredToken(ApiError):
    code = "ExpiredTokenException"
    status = 403


NO_TOKEN = "Missing Authentication Token"  # noqa: S105 - AWS's words
UNKNOWN_KEY = "The security token included in the request is invalid."
EXPIRED_TOKEN = "The security token included in the request is expired"  # noqa: S105 - AWS's words
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
