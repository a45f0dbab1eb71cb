"""How much of a body is taken in, and what a client is told whose body is larger."""

import msgspec
import pytest

from pasture.api.auth.authenticator import OpenDoor
from pasture.api.gateway import Gateway, body_limit, too_large

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("method", "target", "limit"),
    [
        ("POST", "/2015-03-31/functions", 70_167_211),
        ("POST", "/2015-03-31/functions/", 70_167_211),
        ("PUT", "/2015-03-31/functions/arn%3Aaws/code", 70_167_211),
        ("POST", "/2018-10-31/layers/l/versions", 70_167_211),
        ("POST", "/2015-03-31/functions/f/invocations?Qualifier=1", 6_291_556 + MIB),
        ("POST", "/2021-11-15/functions/f/response-streaming-invocations", 6_291_556 + MIB),
        ("POST", "/2014-11-13/functions/f/invoke-async/", 6_291_556 + MIB),
        ("PUT", "/2015-03-31/functions/f/configuration", 8 * MIB),
        ("POST", "/", 20 * MIB),
    ],
)
def test_the_limit_is_that_of_the_operation(method: str, target: str, limit: int) -> None:
    assert body_limit(method, target) == limit


def test_the_gateway_answers_with_a_request_id_of_its_own() -> None:
    gateway = Gateway({}, OpenDoor(), new_request_id=lambda: "an-id")
    assert gateway.too_large("POST", "/") == too_large("POST", "/", "an-id")


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        (
            "POST",
            "/2015-03-31/functions",
            "Request must be smaller than 70167211 bytes for the CreateFunction operation",
        ),
        (
            "POST",
            "/2015-03-31/functions/f/invocations",
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        ("POST", "/", "Request must be smaller than 20971520 bytes"),
    ],
)
def test_what_is_too_large_is_refused_in_aws_words_and_the_connection_ends(
    method: str, target: str, message: str
) -> None:
    response = too_large(method, target, "an-id")
    assert isinstance(response.body, bytes)
    assert (response.status, response.close, response.headers["x-amzn-ErrorType"]) == (
        413,
        True,
        "RequestEntityTooLargeException",
    )
    assert msgspec.json.decode(response.body) == {"Type": "User", "message": message}
