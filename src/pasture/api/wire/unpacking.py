"""Bodies that clients have compressed: where a model says that they may (`requestcompression`), always by gzip."""

import zlib

from pasture.api.wire.parsing import SerializationError
from pasture.domain.errors import RequestEntityTooLarge
from pasture.domain.limits import MIB
from pasture.http.message import Request

# PutMetricData takes 1 MB, before its compression.
_LARGEST = MIB
_GZIP = 16 + zlib.MAX_WBITS


def is_packed(request: Request) -> bool:
    return request.headers.get("content-encoding", "").strip().lower() == "gzip"


def unpacked(request: Request) -> bytes:
    """Raises SerializationError for what is not gzip, RequestEntityTooLarge for what would be too large."""
    if not is_packed(request):  # SDKs of old sent words of their own here, and bodies as they are
        return request.body
    inflating = zlib.decompressobj(_GZIP)
    try:
        body = inflating.decompress(request.body, _LARGEST + 1)
    except zlib.error as error:
        raise SerializationError("The request body is not in the gzip format") from error
    if len(body) > _LARGEST:
        raise RequestEntityTooLarge(f"Request must be smaller than {_LARGEST} bytes")
    if not inflating.eof:
        raise SerializationError("The request body ends too soon for the gzip format")
    return body
