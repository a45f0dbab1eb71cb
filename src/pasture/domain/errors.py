"""What a client is told when its call cannot be served: an AWS error code and AWS's words.

The code is the name of the error's shape in the service model; the wire engine takes
the HTTP status and the body's member names from there. `status` serves for codes that
are not in the model (AWS answers a few undeclared ones).
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """An answer to the client, not a fault of the server."""

    code: ClassVar[str] = "ServiceException"
    status: ClassVar[int] = 500
    fault: ClassVar[str] = "User"

    def __init__(
        self, message: str = "", *, members: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.members = dict(members or {})
        self.headers = dict(headers or {})


class ServiceError(ApiError):
    code = "ServiceException"
    status = 500
    fault = "Service"


class BadRequest(ApiError):
    """What the caller can mend: for services that answer 400 to all of it."""

    status = 400


class ValidationError(ApiError):
    """The generic validator's answer: undeclared in the model, 400."""

    code = "ValidationException"
    status = 400


class InvalidParameterValue(ApiError):
    code = "InvalidParameterValueException"
    status = 400


class InvalidRequestContent(ApiError):
    code = "InvalidRequestContentException"
    status = 400


class ResourceNotFound(ApiError):
    code = "ResourceNotFoundException"
    status = 404


class ResourceConflict(ApiError):
    code = "ResourceConflictException"
    status = 409


class ResourceInUse(ApiError):
    code = "ResourceInUseException"
    status = 400


class ResourceNotReady(ApiError):
    code = "ResourceNotReadyException"
    status = 502
    fault = "Service"


class InvalidRuntime(ApiError):
    code = "InvalidRuntimeException"
    status = 502
    fault = "Service"


class RecursiveInvocation(ApiError):
    """A chain of calls has come by a function too often; the words are those of the service model."""

    code = "RecursiveInvocationException"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services "
            "resources and stopped your function's invocation."
        )


class PreconditionFailed(ApiError):
    code = "PreconditionFailedException"
    status = 412


class TooManyRequests(ApiError):
    """`members` carries `Reason`; `headers` may carry `Retry-After`."""

    code = "TooManyRequestsException"
    status = 429


class PolicyLengthExceeded(ApiError):
    code = "PolicyLengthExceededException"
    status = 400


class ProvisionedConcurrencyConfigNotFound(ApiError):
    code = "ProvisionedConcurrencyConfigNotFoundException"
    status = 404


class CodeSigningConfigNotFound(ApiError):
    code = "CodeSigningConfigNotFoundException"
    status = 404


class CodeVerificationFailed(ApiError):
    code = "CodeVerificationFailedException"
    status = 400


class InvalidCodeSignature(ApiError):
    code = "InvalidCodeSignatureException"
    status = 400


class CodeStorageExceeded(ApiError):
    code = "CodeStorageExceededException"
    status = 400


class RequestTooLarge(ApiError):
    code = "RequestTooLargeException"
    status = 413


class RequestEntityTooLarge(ApiError):
    """Undeclared in the model: AWS answers it for zips and requests over their limits."""

    code = "RequestEntityTooLargeException"
    status = 413


class AccessDenied(ApiError):
    code = "AccessDeniedException"
    status = 403


class UnknownOperation(ApiError):
    code = "UnknownOperationException"
    status = 404


class NotBuiltYet(ApiError):
    """An operation of the model that this version of Pasture does not serve."""

    code = "NotImplementedException"
    status = 501
    fault = "Service"
