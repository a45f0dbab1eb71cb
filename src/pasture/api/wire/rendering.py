"""From what an operation answers to JSON. Pure.

The model decides what is on the wire: members that it does not know, and those that are None,
are left out.
"""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.model import ListShape, MapShape, Shape, StructureShape

from pasture.api.wire.parsing import json_name
from pasture.api.wire.timestamps import UNIX, format_timestamp

Render = Callable[[Any], Any]

encode_json = msgspec.json.Encoder().encode


class Renderers:
    """The JSON values of one service."""

    def __init__(self) -> None:
        self._structures: dict[str, Render] = {}

    def of(self, shape: Shape) -> Render | None:
        """None when the value goes as it is."""
        if isinstance(shape, StructureShape):
            return self.structure(shape)
        if isinstance(shape, ListShape):
            return _list(self.of(shape.member))
        if isinstance(shape, MapShape):
            return _map(self.of(shape.value))
        if shape.type_name == "blob":
            return base64_text
        if shape.type_name == "timestamp":
            form = shape.serialization.get("timestampFormat", UNIX)
            return lambda value: format_timestamp(value, form)
        return None

    def structure(self, shape: StructureShape, only: frozenset[str] | None = None) -> Render:
        if only is None and shape.name in self._structures:
            return self._structures[shape.name]
        fields: list[tuple[str, str, Render | None]] = []

        def render(value: Any) -> dict[str, Any]:
            shown = {}
            for name, key, inner in fields:
                item = value.get(name)
                if item is not None:
                    shown[key] = item if inner is None else inner(item)
            return shown

        if only is None:
            self._structures[shape.name] = render
        for name, member in shape.members.items():
            if (only is None or name in only) and not member.serialization.get("eventstream"):
                fields.append((name, json_name(name, member), self.of(member)))
        return render


def _list(inner: Render | None) -> Render:
    if inner is None:
        return list
    return lambda value: [None if item is None else inner(item) for item in value]


def _map(inner: Render | None) -> Render:
    if inner is None:
        return dict
    return lambda value: {key: None if item is None else inner(item) for key, item in value.items()}


def base64_text(value: Any) -> str:
    return b64encode(value).decode("ascii")
