"""How large a request may be, before anything else is known of it than its method and target. Pure."""

import re
from functools import lru_cache

from pasture.domain.errors import ApiError, RequestEntityTooLarge
from pasture.domain.limits import MIB, Limits

_LIMITS = Limits()

# The rest: the largest is PutLogEvents, 1 MiB of events in JSON, whose escapes may make it larger.
_ORDINARY_BYTES = 8 * MIB
# Of the services that are passed on, which all but S3 (whose bodies are not held) speak to `/`: BatchWriteItem of
# DynamoDB and PutRecords of Kinesis are the largest.
_PASSED_BYTES = 20 * MIB
# Asynchronous and synchronous payloads end below this; what is a little above is refused by the operation, by name.
_INVOKE_BYTES = _LIMITS.payload_bytes + MIB

# Targets that are longer are not remembered.
_SHORT = 256

_PACKAGES = (
    ("POST", re.compile(r"/2015-03-31/functions/?"), "CreateFunction"),
    ("PUT", re.compile(r"/2015-03-31/functions/[^/]+/code/?"), "UpdateFunctionCode"),
    ("POST", re.compile(r"/2018-10-31/layers/[^/]+/versions/?"), "PublishLayerVersion"),
)
_INVOCATIONS = re.compile(
    r"/20\d\d-\d\d-\d\d/functions/[^/]+/(response-streaming-invocations|invocations|invoke-async)/?"
)


def body_limit(method: str, target: str) -> int:
    """Bytes of body that the HTTP server takes in for this request."""
    return _known_limit(method, target) if len(target) <= _SHORT else _limit(method, target)


def _limit(method: str, target: str) -> int:
    path = target.partition("?")[0]
    if _package_operation(method, path) is not None:
        return _LIMITS.create_request_bytes
    if path == "/":
        return _PASSED_BYTES
    return _INVOKE_BYTES if _INVOCATIONS.fullmatch(path) else _ORDINARY_BYTES


_known_limit = lru_cache(maxsize=4096)(_limit)


def too_large_error(method: str, target: str) -> ApiError:
    """What AWS says to a request that was cut off at `body_limit`."""
    path = target.partition("?")[0]
    limit = body_limit(method, target)
    operation = _package_operation(method, path)
    if operation is not None:
        return RequestEntityTooLarge(f"Request must be smaller than {limit} bytes for the {operation} operation")
    if _INVOCATIONS.fullmatch(path):
        return RequestEntityTooLarge(f"Request must be smaller than {6 * MIB} bytes for the InvokeFunction operation")
    return RequestEntityTooLarge(f"Request must be smaller than {limit} bytes")


def _package_operation(method: str, path: str) -> str | None:
    for its_method, pattern, operation in _PACKAGES:
        if method == its_method and pattern.fullmatch(path):
            return operation
    return None
