"""What a subscription may say."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.runtime_api.session import Refusal
from pasture.runtime_api.telemetry_subscription import (
    Api,
    Buffering,
    HttpDestination,
    Subscription,
    TcpDestination,
    subscription,
)

TCP = {"protocol": "TCP", "port": 8080}


def asked(api: Api = Api.TELEMETRY, **members: Any) -> Subscription:
    schema = "2025-01-29" if api is Api.TELEMETRY else "2021-03-18"
    body = {"schemaVersion": schema, "types": ["platform"], "destination": TCP, **members}
    return subscription(api, msgspec.json.encode({name: value for name, value in body.items() if value is not None}))


def http(uri: str, api: Api = Api.TELEMETRY, **members: Any) -> Any:
    return asked(api, destination={"protocol": "HTTP", "URI": uri, **members}).destination


def refused(body: bytes, api: Api = Api.TELEMETRY) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        subscription(api, body)
    assert caught.value.message
    return caught.value.status, caught.value.error_type


def test_a_subscription_has_the_defaults_of_the_developer_guide() -> None:
    assert asked(types=["function", "platform", "function"]) == Subscription(
        Api.TELEMETRY, "2025-01-29", ("function", "platform"), TcpDestination(8080), Buffering(1_000, 262_144, 1_000)
    )


def test_the_logs_api_has_defaults_of_its_own() -> None:
    assert asked(Api.LOGS, schemaVersion=None) == Subscription(
        Api.LOGS, "2020-08-15", ("platform",), TcpDestination(8080), Buffering(10_000, 262_144, 1_000)
    )


def test_what_is_left_out_of_the_buffering_has_its_default() -> None:
    assert asked(buffering={"timeoutMs": 25, "maxItems": None}).buffering == Buffering(timeout_ms=25)


@pytest.mark.parametrize(
    ("uri", "destination"),
    [
        ("http://sandbox.localdomain:8080", HttpDestination(8080, "sandbox.localdomain:8080")),
        ("http://sandbox:8080/a/b?c=d", HttpDestination(8080, "sandbox:8080", "/a/b?c=d")),
        ("http://SANDBOX.localdomain/", HttpDestination(80, "sandbox.localdomain:80")),
        ("http://sandbox:1/a b\r\nX: y?\u00e9", HttpDestination(1, "sandbox:1", "/a%20bX:%20y?%C3%A9")),
    ],
)
def test_a_destination_is_a_server_in_the_sandbox(uri: str, destination: HttpDestination) -> None:
    assert http(uri) == destination


def test_only_the_logs_api_lets_choose_the_method() -> None:
    uri = "http://sandbox:8080"
    assert (http(uri, Api.LOGS, method="PUT").method, http(uri, method="PUT").method) == ("PUT", "POST")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "sandbox:8080",
        "https://sandbox:8080",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://sandbox.localdomain.example.com:8080",
        "http://me@sandbox:8080",
        "http://sandbox:9001",
        "http://sandbox:0",
        "http://sandbox:99999",
        "http://sandbox:port",
        "http://[sandbox",
    ],
)
def test_any_other_destination_is_refused(uri: str) -> None:
    body = {"schemaVersion": "2025-01-29", "types": ["platform"], "destination": {"protocol": "HTTP", "URI": uri}}
    assert refused(msgspec.json.encode(body)) == (400, "ValidationError")


@pytest.mark.parametrize(
    "members",
    [
        {"schemaVersion": None},
        {"schemaVersion": "2021-03-18"},
        {"types": None},
        {"types": []},
        {"types": ["everything"]},
        {"destination": None},
        {"destination": {"protocol": "TCP"}},
        {"destination": {"protocol": "TCP", "port": 9001}},
        {"destination": {"protocol": "TCP", "port": 0}},
        {"destination": {"protocol": "TCP", "port": True}},
        {"destination": {"protocol": "HTTP", "port": 8080}},
        {"destination": {"protocol": "UDP", "port": 8080}},
        {"buffering": {"maxItems": 999}},
        {"buffering": {"maxItems": 10_001}},
        {"buffering": {"maxBytes": 262_143}},
        {"buffering": {"maxBytes": 1_048_577}},
        {"buffering": {"timeoutMs": 24}},
        {"buffering": {"timeoutMs": 30_001}},
        {"buffering": {"timeoutMs": "100"}},
    ],
)
def test_what_is_out_of_its_limits_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        asked(**members)
    assert (caught.value.status, caught.value.error_type) == (400, "ValidationError")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"types":' + b"[" * 100_000])
@pytest.mark.parametrize("api", list(Api))
def test_what_is_no_subscription_is_refused(body: bytes, api: Api) -> None:
    assert refused(body, api) == (400, "ValidationError")


@given(st.text())
def test_no_destination_gets_a_second_line_into_the_request(path: str) -> None:
    try:
        destination = http(f"http://sandbox:8080/{path}")
    except Refusal:
        return
    target = destination.target
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
