"""What a rule's target is handed: the event, a part of it, something constant, or a template filled from it. Pure.

Source: "Input transformation" in the EventBridge guide. In a template a variable stands for its value as JSON; within
quotes, for its text.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from pasture.schedules.rule import RuleTarget
from pasture.schedules.timing import iso_seconds

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\*)\]|\['([^']+)'\]")
_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
OWN = ("aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time", "aws.events.event.json",
       "aws.events.event")  # fmt: skip
_NOTHING: Any = object()


class BadInput(Exception):
    """The message says why."""


def payload(to: RuleTarget, event: Mapping[str, Any], rule_arn: str, ingested: float) -> str:
    if to.target.input is not None:
        return to.target.input
    if to.path:
        return _json(None if (found := _found(to.path, event)) is _NOTHING else found)
    if to.template is not None:
        values = {name: found for name, path in to.paths.items() if (found := _found(path, event)) is not _NOTHING}
        return _filled(to.template, {**values, **_own(event, rule_arn, ingested)})
    return _json(event)


def _own(event: Mapping[str, Any], rule_arn: str, ingested: float) -> dict[str, Any]:
    without_detail = {name: value for name, value in event.items() if name != "detail"}
    return {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rpartition("/")[2],
        "aws.events.event.ingestion-time": iso_seconds(ingested),
        "aws.events.event": without_detail,
        "aws.events.event.json": event,
    }


def _found(path: str, event: Any) -> Any:
    """What is at a path, or `_NOTHING`."""
    for name, index, quoted in _STEP.findall(path[1:]):
        if index == "*":
            if not isinstance(event, list):
                return _NOTHING
        elif index:
            if not isinstance(event, list) or int(index) >= len(event):
                return _NOTHING
            event = event[int(index)]
        elif not isinstance(event, Mapping) or (name or quoted) not in event:
            return _NOTHING
        else:
            event = event[name or quoted]
    return event


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """In one pass, so that nothing is looked for in what was filled in."""
    pieces: list[str] = []
    place, in_text = 0, False
    for found in _VARIABLE.finditer(template):
        before = template[place : found.start()]
        pieces.append(before)
        in_text ^= _quotes(before)
        value = values.get(found[1], "")
        pieces.append(_within(value) if in_text else _json(value))
        place = found.end()
    return "".join([*pieces, template[place:]])


def _quotes(text: str) -> bool:
    """Whether a text begins or ends in this, but for what begins and ends."""
    return bool(len(re.findall(r'"', re.sub(r"\\.", "", text))) % 2)


def _within(value: Any) -> str:
    """As a part of a text of JSON."""
    return _json(value if isinstance(value, str) else _json(value))[1:-1]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def check(to: RuleTarget, id_: str) -> None:
    """Raises BadInput."""
    if sum((to.target.input is not None, bool(to.path), to.template is not None)) > 1:
        raise BadInput(f"Only one of Input, InputPath, or InputTransformer must be provided for target {id_}.")
    for path in (to.path, *to.paths.values()):
        if path and not is_path(path):
            raise BadInput(f"Invalid path {path} for target {id_}.")
    if to.template is None:
        return
    known = {*to.paths, *OWN}
    for name in _VARIABLE.findall(to.template):
        if name not in known:
            raise BadInput(f"InputTemplate for target {id_} contains invalid placeholder {name}.")
    if any(name.lower().startswith("aws") for name in to.paths):
        raise BadInput(f"InputPathsMap for target {id_} has a name that begins with AWS, which is reserved.")


def is_path(path: str) -> bool:
    return path.startswith("$") and _STEP.sub("", path[1:]) == ""
