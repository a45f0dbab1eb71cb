"""Which operation does this method and path mean? Pure.

A tree over the path's segments, as sent: a label may hold an encoded slash, so that
segments are decoded one by one. Operations that share method and path are told apart by the constant
part of their query (`?List=ALL`). Trailing slashes do not matter.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from botocore.model import ServiceModel

from pasture.api.wire.paths import normalise


@dataclass(slots=True)
class _Node:
    literals: "dict[str, _Node]" = field(default_factory=dict)
    label: "_Node | None" = None
    endings: "dict[str, list[_Ending]]" = field(default_factory=dict)
    """By HTTP method; those that ask for more of the query come first."""


@dataclass(frozen=True, slots=True)
class _Ending:
    operation: str
    labels: tuple[str, ...]
    constant_query: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Match:
    operation: str
    labels: dict[str, str]


class Routes:
    def __init__(self, model: ServiceModel) -> None:
        self._root = _Node()
        for name in model.operation_names:
            http = model.operation_model(name).http
            self._add(name, http["method"], http["requestUri"])

    def find(self, method: str, raw_path: str, query: list[tuple[str, str]]) -> Match | None:
        node = self._root
        values: list[str] = []
        for segment in normalise(raw_path).strip("/").split("/"):
            literal = node.literals.get(segment)
            if literal is not None:
                node = literal
            elif node.label is not None:
                values.append(unquote(segment))
                node = node.label
            else:
                return None
        for ending in node.endings.get(method, ()):
            if all(pair in query for pair in ending.constant_query):
                return Match(ending.operation, dict(zip(ending.labels, values, strict=True)))
        return None

    def _add(self, operation: str, method: str, uri: str) -> None:
        path, _, query = uri.partition("?")
        node, labels = self._root, []
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                if segment.endswith("+}"):
                    raise ValueError(f"{operation} has a greedy label in {uri}, and none is known here.")
                labels.append(segment[1:-1])
                node.label = node.label or _Node()
                node = node.label
            else:
                node = node.literals.setdefault(segment, _Node())
        ending = _Ending(operation, tuple(labels), tuple(parse_qsl(query, keep_blank_values=True)))
        endings = node.endings.setdefault(method, [])
        endings.append(ending)
        endings.sort(key=lambda it: -len(it.constant_query))
