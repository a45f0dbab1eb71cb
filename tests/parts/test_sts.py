"""STS says who is calling."""

from typing import Any

from botocore import parsers
from botocore.awsrequest import HeadersDict

from pasture.api.call import Authenticated, Principal
from pasture.api.sts import CallerIdentity
from pasture.api.wire.service import Service, load_model
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request


async def test_the_caller_is_told_who_they_are() -> None:
    principal = Principal("AKIA", "123456789012", "arn:aws:iam::123456789012:user/<&>", "AIDA")
    request = Request("POST", "/", Headers(), b"Action=GetCallerIdentity&Version=2011-06-15")
    who = Authenticated(principal, Scope("123456789012"), "sts")
    response = await Service("sts", [CallerIdentity()]).answer(request, "an-id", who, "http://h")
    shape = load_model("sts").operation_model("GetCallerIdentity").output_shape
    parser: Any = parsers.create_parser("query")
    heard = parser.parse(
        {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}, shape
    )
    assert heard["ResponseMetadata"]["RequestId"] == "an-id"
    del heard["ResponseMetadata"]
    assert heard == {"UserId": "AIDA", "Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/<&>"}
