"""Bodies that a client has compressed."""

import gzip

import pytest

from pasture.api.wire.parsing import SerializationError
from pasture.api.wire.unpacking import unpacked
from pasture.domain.errors import RequestEntityTooLarge
from pasture.domain.limits import MIB
from pasture.http.message import Headers, Request


def sent(body: bytes, encoding: str | None = "gzip") -> Request:
    fields = [] if encoding is None else [(b"Content-Encoding", encoding.encode())]
    return Request("POST", "/", Headers(fields), body)


@pytest.mark.parametrize("encoding", [None, "identity", "amz-1.0"])
def test_what_is_not_compressed_goes_as_it_is(encoding: str | None) -> None:
    assert unpacked(sent(b"body", encoding)) == b"body"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP "])
def test_gzip_is_unpacked(encoding: str) -> None:
    assert unpacked(sent(gzip.compress(b"body" * 1000), encoding)) == b"body" * 1000


@pytest.mark.parametrize("body", [b"", b"body", gzip.compress(b"body")[:-4]])
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(SerializationError):
        unpacked(sent(body))


def test_a_bomb_does_not_go_off() -> None:
    assert len(unpacked(sent(gzip.compress(bytes(MIB))))) == MIB
    with pytest.raises(RequestEntityTooLarge):
        unpacked(sent(gzip.compress(bytes(100 * MIB))))
