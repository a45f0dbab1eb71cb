"""Values that are not what the model says are refused in the words of AWS's JSON layer."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.api.wire.parsing import SerializationError
from pasture.api.wire.restjson import RestJson
from pasture.api.wire.service import load_model
from pasture.api.wire.timestamps import ISO8601, RFC822, UNIX, format_timestamp, parse_timestamp
from pasture.domain.errors import ApiError
from pasture.http.message import Headers, Request

LAMBDA = RestJson(load_model("lambda"))


def read(body: bytes, method: str = "PUT", target: str = "/2017-10-31/functions/f/concurrency") -> dict[str, Any]:
    return LAMBDA.find(Request(method, target, Headers(), body)).read()


def mapping(**members: Any) -> dict[str, Any]:
    found = read(msgspec.json.encode({"FunctionName": "f", **members}), "POST", "/2015-03-31/event-source-mappings/")
    del found["FunctionName"]
    return found


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"ReservedConcurrentExecutions":"1"}', "STRING_VALUE can not be converted to an Integer"),
        (b'{"ReservedConcurrentExecutions":1.5}', "DECIMAL_VALUE can not be converted to an Integer"),
        (b'{"ReservedConcurrentExecutions":true}', "TRUE_VALUE can not be converted to an Integer"),
        (b'{"ReservedConcurrentExecutions":[]}', "Start of list found where not expected"),
        (b'{"ReservedConcurrentExecutions":{}}', "Start of structure or map found where not expected."),
        (b"[]", "Start of list found where not expected"),
        (b'"x"', "Unexpected value type in payload"),
    ],
)
def test_a_value_of_another_type_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(SerializationError) as raised:
        read(body)
    assert (raised.value.status, raised.value.message) == (400, message)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"{'a':1}", b"[" * 100_000, b'{"a":1}x'])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(SerializationError, match="Could not parse request body into json"):
        read(body)


def test_unknown_members_are_passed_over_and_null_is_absence() -> None:
    body = b'{"ReservedConcurrentExecutions":1.0,"Other":{"a":[1]},"FunctionName":"g"}'
    assert read(body) == {"FunctionName": "f", "ReservedConcurrentExecutions": 1}
    assert mapping(BatchSize=None, Enabled=False) == {"Enabled": False}


def test_a_blob_in_json_is_base64() -> None:
    body = b'{"ZipFile":"UEsDBA=="}'
    assert read(body, "PUT", "/2015-03-31/functions/f/code") == {"FunctionName": "f", "ZipFile": b"PK\x03\x04"}
    with pytest.raises(SerializationError, match="Invalid Base64"):
        read(b'{"ZipFile":"not base64!"}', "PUT", "/2015-03-31/functions/f/code")


def test_a_payload_is_taken_as_it_is() -> None:
    found = read(b"{not json", "POST", "/2015-03-31/functions/f/invocations?Qualifier=%24LATEST")
    assert found == {"FunctionName": "f", "Qualifier": "$LATEST", "Payload": b"{not json"}


@pytest.mark.parametrize("sent", [1772619072, 1772619072.0, "2026-03-04T10:11:12Z", "Wed, 04 Mar 2026 10:11:12 GMT"])
def test_a_time_may_come_in_any_of_three_forms(sent: Any) -> None:
    found = mapping(StartingPositionTimestamp=sent)
    assert found == {"StartingPositionTimestamp": datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC)}


@pytest.mark.parametrize("sent", ["soon", 1e300, True])
def test_a_time_that_is_none_is_refused(sent: Any) -> None:
    with pytest.raises(SerializationError, match="can not be converted to milliseconds since epoch"):
        mapping(StartingPositionTimestamp=sent)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/2015-03-31/functions?MaxItems=many", "STRING_VALUE can not be converted to an Integer"),
        (f"/2015-03-31/functions?MaxItems={'9' * 5000}", "STRING_VALUE can not be converted to an Integer"),
        (
            "/2015-03-31/functions?MaxItems=0",
            (
                "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1"
            ),
        ),
    ],
)
def test_a_query_is_parsed_and_validated(target: str, message: str) -> None:
    with pytest.raises(ApiError) as raised:
        read(b"", "GET", target)
    assert raised.value.message == message


def test_a_list_in_the_query_has_a_pair_for_each() -> None:
    target = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af?tagKeys=a&tagKeys=b%20c"
    assert read(b"", "DELETE", target)["TagKeys"] == ["a", "b c"]


def test_times_are_written_in_the_form_of_their_shape() -> None:
    moment = datetime(2026, 3, 4, 10, 11, 12, 345678, tzinfo=UTC)
    assert [format_timestamp(moment, form) for form in (UNIX, ISO8601, RFC822)] == [
        1772619072.346,
        "2026-03-04T10:11:12.345Z",
        "Wed, 04 Mar 2026 10:11:12 GMT",
    ]
    assert format_timestamp(1772619072.0, UNIX) == 1772619072


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - made aware below
def test_a_time_that_is_written_is_read_again(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    assert parse_timestamp(format_timestamp(aware, ISO8601)) == aware
    assert abs((parse_timestamp(format_timestamp(aware, UNIX)) - aware).total_seconds()) < 0.001


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
CREATE = load_model("lambda").operation_model("CreateFunction").input_shape
assert CREATE is not None


@given(st.dictionaries(st.sampled_from(sorted(CREATE.members)), JSON, max_size=6))
def test_no_json_does_more_than_be_refused(body: dict[str, Any]) -> None:
    status = 400
    try:
        read(msgspec.json.encode(body), "POST", "/2015-03-31/functions")
    except ApiError as error:
        status = error.status
    assert status == 400
