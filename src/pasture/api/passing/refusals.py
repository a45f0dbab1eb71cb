"""Errors of our own in the form of a service that is not ours: in what the caller seems to speak."""

from xml.sax.saxutils import escape

from pasture.api.passing.claims import S3
from pasture.api.wire.awsjson import aws_json_error
from pasture.api.wire.awsquery import aws_query_error
from pasture.api.wire.restjson import rest_json_error
from pasture.api.wire.rpccbor import cbor_error, target_prefix
from pasture.domain.errors import ApiError
from pasture.http.message import Request, Response

# What S3 calls otherwise. Source: "Error responses" in the S3 API reference.
_S3_CODES = {
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "IncompleteSignatureException": "AuthorizationHeaderMalformed",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "AccessDenied",
    "NotImplementedException": "NotImplemented",
    "RequestEntityTooLargeException": "EntityTooLarge",
    "ServiceException": "InternalError",
    "ServiceUnavailableException": "ServiceUnavailable",
    "UnrecognizedClientException": "InvalidAccessKeyId",
}
_FORM = "application/x-www-form-urlencoded"


def refusal(request: Request, service: str, error: ApiError, request_id: str) -> Response:
    """`service` as signatures have it."""
    if service == S3:
        return _xml(request, error, request_id)
    if target_prefix(request) is not None:
        return cbor_error(error, request_id)
    if "x-amz-target" in request.headers:
        return aws_json_error(error, request_id)
    if request.headers.get("content-type", "").startswith(_FORM) or "Action=" in request.raw_query:
        return aws_query_error(error, request_id)
    return rest_json_error(error, request_id)


def _xml(request: Request, error: ApiError, request_id: str) -> Response:
    code = _S3_CODES.get(error.code, error.code)
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(error.message)}</Message>"
        f"<Resource>{escape(request.raw_path)}</Resource><RequestId>{request_id}</RequestId></Error>"
    )
    headers = {"Content-Type": "application/xml", "x-amz-request-id": request_id, **error.headers}
    return Response(error.status, headers, body.encode())
