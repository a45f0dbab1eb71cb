"""An error reaches every client in the form of its protocol: botocore reads it back."""

from typing import Any

import msgspec
import pytest
from botocore import parsers
from botocore.awsrequest import HeadersDict

from pasture.api.wire.awsjson import AwsJson
from pasture.api.wire.awsquery import AwsQuery
from pasture.api.wire.protocol import Wire
from pasture.api.wire.restjson import RestJson
from pasture.api.wire.service import load_model
from pasture.domain.errors import (
    ApiError,
    InvalidParameterValue,
    NotBuiltYet,
    ResourceNotFound,
    ServiceError,
    TooManyRequests,
    UnknownOperation,
    ValidationError,
)

LAMBDA: Wire = RestJson(load_model("lambda"))
LOGS: Wire = AwsJson(load_model("logs"))
ANY = {"lambda": "GetFunction", "logs": "DescribeLogGroups", "sts": "GetCallerIdentity"}
STS: Wire = AwsQuery(load_model("sts"))


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (ResourceNotFound("gone"), 404, {"Type": "User", "Message": "gone"}),
        (InvalidParameterValue("no"), 400, {"Type": "User", "message": "no"}),
        (ValidationError("no"), 400, {"Type": "User", "message": "no"}),
        (ServiceError("oh"), 500, {"Type": "Service", "Message": "oh"}),
        (NotBuiltYet("later"), 501, {"Type": "Service", "message": "later"}),
        (
            TooManyRequests("slow", members={"Reason": "CallerRateLimitExceeded"}),
            429,
            {"Type": "User", "message": "slow", "Reason": "CallerRateLimitExceeded"},
        ),
    ],
)
def test_an_error_of_lambda_has_the_status_and_the_casing_of_its_shape(
    error: ApiError, status: int, body: dict[str, Any]
) -> None:
    response = LAMBDA.error(error, "an-id")
    assert isinstance(response.body, bytes)
    assert (response.status, msgspec.json.decode(response.body), dict(response.headers)) == (
        status,
        body,
        {"Content-Type": "application/json", "x-amzn-RequestId": "an-id", "x-amzn-ErrorType": error.code},
    )


def test_a_member_that_the_model_puts_into_a_header_goes_there() -> None:
    response = LAMBDA.error(TooManyRequests("slow", members={"retryAfterSeconds": 3}), "an-id")
    assert (response.headers["Retry-After"], response.body) == ("3", b'{"Type":"User","message":"slow"}')


@pytest.mark.parametrize(
    ("wire", "service", "error", "expected"),
    [
        (LAMBDA, "lambda", ResourceNotFound("gone"), (404, "ResourceNotFoundException", "gone")),
        (LOGS, "logs", ResourceNotFound("gone"), (400, "ResourceNotFoundException", "gone")),
        (LOGS, "logs", ServiceError("oh"), (500, "ServiceException", "oh")),
        (LOGS, "logs", UnknownOperation("no"), (400, "UnknownOperationException", "no")),
        (STS, "sts", ValidationError("1 < 2 & \x00"), (400, "ValidationError", "1 < 2 & \ufffd")),
        (STS, "sts", UnknownOperation("no"), (400, "InvalidAction", "no")),
        (STS, "sts", NotBuiltYet("later"), (501, "NotImplementedException", "later")),
    ],
)
def test_botocore_reads_an_error(wire: Wire, service: str, error: ApiError, expected: tuple[int, str, str]) -> None:
    response = wire.error(error, "an-id")
    parser: Any = parsers.create_parser(load_model(service).metadata["protocol"])
    # botocore wants the shape of a good answer, and does not look at it for an error
    shape = load_model(service).operation_model(ANY[service]).output_shape
    heard = parser.parse(
        {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}, shape
    )
    told = heard["Error"]
    assert (response.status, told["Code"], told["Message"]) == expected
    assert heard["ResponseMetadata"]["RequestId"] == "an-id"
