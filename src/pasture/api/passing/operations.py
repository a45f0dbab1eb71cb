"""Which operation a passed call means, and what it names: as much as a policy needs to know. Pure.

Two kinds of protocols say it outright (`X-Amz-Target`, `Action`); for the others the service's model has routes.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from botocore.model import OperationModel, ServiceModel, StructureShape

from pasture.http.message import Request

UNKNOWN = "Unknown"
_LABEL = re.compile(r"\{(\w+)(\+?)\}")


class Asked(NamedTuple):
    operation: str
    """`Unknown` when it cannot be told; no policy names that, so that only `*` allows it."""
    parameters: Mapping[str, Any]


def asked(request: Request, target: str, model: Callable[[], ServiceModel | None]) -> Asked:
    """`target` is path and query with buckets in the path; `model` is asked for when nothing else says it."""
    action = request.headers.get("x-amz-target")
    if action is not None:
        return Asked(action.rpartition(".")[2], _members(request.body))
    form = dict(request.query)
    if "Action" not in form and b"Action=" in request.body:
        form |= dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    if "Action" in form:
        return Asked(form["Action"], form)
    described = model()
    return routes(described).find(request.method, target, request) if described is not None else Asked(UNKNOWN, {})


def _members(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class _Route:
    operation: str
    method: str
    path: re.Pattern[str]
    query: tuple[tuple[str, str], ...]
    """What must be there, with this value."""
    needs_query: frozenset[str]
    needs_headers: frozenset[str]
    labels: int = field(default=0)

    @property
    def rank(self) -> tuple[int, int]:
        """Of those that fit, the one that asks for more is meant; and literal paths go before labels."""
        return len(self.query) + len(self.needs_query) + len(self.needs_headers), -self.labels

    def fits(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> re.Match[str] | None:
        if method != self.method or any(query.get(name) != value for name, value in self.query):
            return None
        if not self.needs_query <= query.keys() or not self.needs_headers <= headers.keys():
            return None
        return self.path.fullmatch(path)


class ModelRoutes:
    """`uploads` without a value is a query's constant as `list-type=2` is."""

    def __init__(self, model: ServiceModel) -> None:
        self._routes = sorted(
            (_route(model.operation_model(name)) for name in model.operation_names),
            key=lambda route: route.rank,
            reverse=True,
        )

    def find(self, method: str, target: str, request: Request) -> Asked:
        path, _, text = target.partition("?")
        query = dict(parse_qsl(text, keep_blank_values=True))
        for route in self._routes:
            found = route.fits(method, path, query, request.headers.first)
            if found is not None:
                return Asked(route.operation, {name: unquote(value) for name, value in found.groupdict().items()})
        return Asked(UNKNOWN, {})


@lru_cache(maxsize=8)
def routes(model: ServiceModel) -> ModelRoutes:
    return ModelRoutes(model)


def _route(operation: OperationModel) -> _Route:
    path, _, constant = operation.http["requestUri"].partition("?")
    required_query, required_headers = _required(operation)
    query = tuple((name, value) for name, value in parse_qsl(constant, keep_blank_values=True) if name != "x-id")
    return _Route(
        operation.name,
        operation.http["method"],
        re.compile(_pattern(path), re.DOTALL),
        query,
        required_query,
        required_headers,
        len(_LABEL.findall(path)),
    )


def _pattern(path: str) -> str:
    pattern, end = "", 0
    for label in _LABEL.finditer(path):
        pattern += re.escape(path[end : label.start()])
        pattern += f"(?P<{label[1]}>{'.+' if label[2] else '[^/]+'})"
        end = label.end()
    return pattern + re.escape(path[end:]) + "/?"


def _required(operation: OperationModel) -> tuple[frozenset[str], frozenset[str]]:
    shape = operation.input_shape
    if not isinstance(shape, StructureShape):
        return frozenset(), frozenset()
    found: dict[str, set[str]] = {"querystring": set(), "header": set()}
    for name in shape.required_members:
        member = shape.members[name].serialization
        if member.get("location") in found:
            found[member["location"]].add(str(member["name"]))
    return frozenset(found["querystring"]), frozenset(name.lower() for name in found["header"])
