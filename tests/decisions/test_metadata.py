"""The metadata endpoint of an environment (aws-lambda reference 2.4)."""

import pytest

from pasture.http.message import Headers, Request
from pasture.runtime_api.metadata import Metadata, zone_id

PATH = "/2026-01-15/metadata/execution-environment"


def ask(method: str = "GET", path: str = PATH, authorization: bytes = b"Bearer right") -> tuple[int, bytes]:
    request = Request(method, path, Headers([(b"authorization", authorization)]))
    answer = Metadata("right", "us-east-1")(request)
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body


def test_whoever_has_the_token_is_told_the_zone() -> None:
    assert ask() == (200, b'{"AvailabilityZoneID":"use1-az1"}')


def test_another_token_is_refused() -> None:
    assert ask(authorization=b"Bearer wrong")[0] == 401
    assert ask(authorization=b"\xff")[0] == 401


def test_another_method_or_path_is_refused() -> None:
    assert (ask(method="POST")[0], ask(path="/2026-01-15/metadata/other")[0]) == (405, 404)


@pytest.mark.parametrize(
    ("region", "zone"),
    [("us-east-1", "use1-az1"), ("ap-southeast-2", "apse2-az1"), ("us-gov-west-1", "usgovw1-az1")],
)
def test_zones_are_named_after_their_region(region: str, zone: str) -> None:
    assert zone_id(region) == zone
