"""`application/vnd.amazon.eventstream`: answers that come in pieces, each a framed message.

A message is its total length, the length of its headers, a CRC of those two, the headers, the
payload, and a CRC of it all (Smithy's "Amazon Event Stream" specification).
"""

import struct
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from botocore.model import Shape, StructureShape

from pasture.api.wire.rendering import Renderers, encode_json

EVENT_STREAM = "application/vnd.amazon.eventstream"

_STRING = 7


def encode_message(headers: dict[str, str], payload: bytes) -> bytes:
    fields = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(fields) + len(payload), len(fields))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + fields + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    return struct.pack(">B", len(raw_name)) + raw_name + struct.pack(">BH", _STRING, len(raw_value)) + raw_value


def event_stream(shape: StructureShape) -> Callable[[AsyncIterator[dict[str, Any]]], AsyncIterator[bytes]]:
    """Events are dicts of one member, as boto3 gives them: `{"PayloadChunk": {"Payload": b"…"}}`."""
    encoders = {name: _event(name, member) for name, member in shape.members.items()}

    async def encode(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
        async for event in events:
            for name, content in event.items():
                yield encoders[name](content)

    return encode


async def with_initial_response(fields: Any, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What the JSON protocols send first: the members of the answer that are not the stream."""
    headers = {**_event_headers("initial-response"), ":content-type": "application/json"}
    yield encode_message(headers, encode_json(fields))
    async for event in events:
        yield event


def _event_headers(name: str) -> dict[str, str]:
    return {":message-type": "event", ":event-type": name}


def _event(name: str, shape: Shape) -> Callable[[dict[str, Any]], bytes]:
    if not isinstance(shape, StructureShape):
        raise TypeError(f"the event {name} is not a structure")
    headers = _event_headers(name)
    for member, its_shape in shape.members.items():
        if its_shape.serialization.get("eventpayload"):
            raw = {**headers, ":content-type": "application/octet-stream"}
            return lambda content: encode_message(raw, content.get(member) or b"")
    render = Renderers().structure(shape)
    structured = {**headers, ":content-type": "application/json"}
    return lambda content: encode_message(structured, encode_json(render(content)))
