"""What a function URL makes of a request, and of what the function returns."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.api.function_urls import cors
from pasture.api.function_urls.answer import Malformed, answer_of, head_of
from pasture.api.function_urls.event import Asked, event_of

ASKED: dict[str, Any] = {
    "url_id": "id",
    "host": "id.lambda-url.us-east-1.localhost:9600",
    "method": "GET",
    "path": "/",
    "query": "",
    "headers": [],
    "body": b"",
    "source_ip": "10.0.0.1",
    "request_id": "r",
    "at": 1584039838.39,
    "account": "000000000000",
}


def event(**more: Any) -> Any:
    return json.loads(event_of(Asked(**{**ASKED, **more})))


def test_what_there_is_nothing_to_say_about_is_left_out() -> None:
    assert event().keys() == {
        "version", "routeKey", "rawPath", "rawQueryString", "headers", "requestContext", "isBase64Encoded",
    }  # fmt: skip


def test_the_time_is_written_as_access_logs_do() -> None:
    context = event()["requestContext"]
    assert (context["time"], context["timeEpoch"]) == ("12/Mar/2020:19:03:58 +0000", 1584039838390)


def test_the_domain_is_the_host_without_its_port() -> None:
    context = event()["requestContext"]
    assert (context["domainName"], context["domainPrefix"]) == ("id.lambda-url.us-east-1.localhost", "id")


@given(st.binary(min_size=1), st.sampled_from(["text/plain", "application/json", "image/png", "", "text/x; a=b"]))
def test_every_body_can_be_had_back(body: bytes, kind: str) -> None:
    import base64

    made = event(body=body, headers=[("content-type", kind)] if kind else [])
    back = base64.b64decode(made["body"]) if made["isBase64Encoded"] else made["body"].encode()
    assert back == body


@pytest.mark.parametrize(
    ("kind", "is_base64"),
    [
        ("text/html; charset=utf-8", False),
        ("application/json", False),
        ("application/ld+json", False),
        ("application/x-www-form-urlencoded", True),
        ("multipart/form-data; boundary=x", True),
        ("application/octet-stream", True),
    ],
)
def test_only_text_arrives_as_text(kind: str, is_base64: bool) -> None:
    assert event(body=b"x", headers=[("content-type", kind)])["isBase64Encoded"] is is_base64


def test_repeated_headers_and_parameters_are_joined_and_cookies_are_taken_apart() -> None:
    made = event(
        headers=[("x-a", "1"), ("x-a", "2"), ("cookie", "a=1; b=2"), ("cookie", "c=3")], query="k=1&k=%20&empty="
    )
    assert made["headers"] == {"x-a": "1,2"}
    assert made["cookies"] == ["a=1", "b=2", "c=3"]
    assert made["queryStringParameters"] == {"k": "1, ", "empty": ""}


def test_a_status_may_be_written_as_text_and_headers_have_any_plain_value() -> None:
    answer = answer_of(b'{"statusCode": "204", "headers": {"X-A": 1, "X-B": true, "X-C": null, "Content-Length": "9"}}')
    assert answer.status == 204
    assert answer.headers == {
        "content-type": "application/json", "x-a": "1", "x-b": "true", "x-c": "", "x-amzn-remapped-content-length": "9",
    }  # fmt: skip


def test_a_body_that_is_no_text_is_written_as_json() -> None:
    assert answer_of(b'{"statusCode": 200, "body": {"a": [1]}}').body == b'{"a":[1]}'
    assert answer_of(b'{"statusCode": 200}').body == b""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_whatever_is_returned_is_answered_or_refused(value: Any) -> None:
    for returned in (
        value,
        {"statusCode": 200, "headers": value},
        {"statusCode": value},
        {"statusCode": 200, "cookies": value},
    ):
        try:
            answer = answer_of(json.dumps(returned).encode())
        except Malformed:
            continue
        assert 100 <= answer.status <= 599
        assert all(isinstance(cookie, str) for cookie in answer.cookies)


def test_the_head_of_a_stream_may_say_nothing() -> None:
    assert head_of(b"{}").status == 200


@pytest.mark.parametrize(
    ("allowed", "credentials", "origin", "answered"),
    [
        (["*"], False, "https://a.example", "*"),
        (["*"], True, "https://a.example", "https://a.example"),
        (["https://a.example"], False, "https://a.example", "https://a.example"),
        (["https://*.example"], False, "https://b.example", "https://b.example"),
        (["https://*.example"], False, "https://example", None),
        (["https://a.example"], False, "https://evil.example", None),
        ([], False, "https://a.example", None),
    ],
)
def test_an_origin_is_told_that_it_may_when_it_may(
    allowed: list[str], credentials: bool, origin: str, answered: str | None
) -> None:
    said = cors.answered({"AllowOrigins": allowed, "AllowCredentials": credentials}, {"origin": origin})
    assert said.get("access-control-allow-origin") == answered
    assert ("access-control-allow-credentials" in said) is (credentials and answered is not None)


def test_who_comes_from_no_other_origin_is_told_nothing() -> None:
    assert cors.answered({"AllowOrigins": ["*"]}, {}) == {}


@pytest.mark.parametrize(("method", "header"), [("DELETE", "x-a"), ("PUT", "x-b")])
def test_a_preflight_is_refused_by_saying_nothing_of_what_was_asked(method: str, header: str) -> None:
    asks = {
        "origin": "https://a.example",
        "access-control-request-method": method,
        "access-control-request-headers": header,
    }
    said = cors.preflight({"AllowOrigins": ["*"], "AllowMethods": ["PUT"], "AllowHeaders": ["X-A"]}, asks)
    assert said == {"vary": "Origin"}
