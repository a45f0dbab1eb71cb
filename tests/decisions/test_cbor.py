"""CBOR: what is written is read back, what botocore writes too, and nothing malformed gets through."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.parsers import RpcV2CBORParser
from hypothesis import given
from hypothesis import strategies as st

from pasture.api.wire.cbor import Malformed, decode, encode

TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as it wants
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | TIMES.map(lambda time: time.replace(microsecond=0))
)
VALUES: Any = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.dictionaries(st.text(), st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary()))
def test_botocore_reads_the_same(value: dict[str, Any]) -> None:
    parser: Any = RpcV2CBORParser()
    stream = parser.get_peekable_stream_from_bytes(encode(value))
    assert parser.parse_data_item(stream) == value


@given(st.binary(max_size=60))
def test_bytes_that_are_not_cbor_are_malformed_and_nothing_worse(body: bytes) -> None:
    with suppress(Malformed):
        decode(body)


@given(VALUES, st.data())
def test_what_is_cut_off_is_malformed(value: Any, data: Any) -> None:
    whole = encode(value)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(Malformed):
        decode(cut)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("9f0102ff", [1, 2]),
        ("bf616101616202ff", {"a": 1, "b": 2}),
        ("7f6161616200ff".replace("00", ""), "ab"),
        ("5f41004101ff", b"\x00\x01"),
        ("f93c00", 1.0),
        ("fa3fc00000", 1.5),
        ("f7", None),
        ("c11a514b67b0", datetime(2013, 3, 21, 20, 4, tzinfo=UTC)),
        ("c1fb41d452d9ec200000", datetime(2013, 3, 21, 20, 4, 0, 500_000, tzinfo=UTC)),
        ("a0", {}),
    ],
)
def test_the_other_forms_of_the_standard_are_read(body: str, value: object) -> None:
    assert decode(bytes.fromhex(body)) == value


def test_what_is_no_number_goes_as_it_is() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode([math.inf, -math.inf])) == [math.inf, -math.inf]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "ff",
        "0000",  # two items
        "81",  # a list of one, of none
        "9bffffffffffffffff",  # a list longer than everything
        "5bffffffffffffffff00",  # bytes likewise
        "a1",
        "a10101",  # a key that is no text
        "a161ffff",
        "a16161ff",
        "82ff00",  # a break where there is no end to come
        "bf6161ff",
        "61ff",  # no UTF-8
        "7f4161ff",  # bytes in a text
        "1c",
        "fc",
        "f8ff",
        "c161",
        "c16161",  # a time that is a text
        "c1fb7ff0000000000000",  # … or without end
        "c11bffffffffffffffff",
        "81" * 200 + "00",
    ],
)
def test_what_is_malformed_is_refused(body: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(body))
