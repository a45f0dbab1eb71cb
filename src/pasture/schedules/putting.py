"""Events as they are put: which entries are events, and what these look like. Pure.

Source: "PutEvents" in the API reference of EventBridge; the words of refusals are AWS's.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from pasture.schedules.errors import ValidationError
from pasture.schedules.rule import BusKey
from pasture.schedules.timing import iso_seconds

BYTES = 1024 * 1024


class BadEntry(NamedTuple):
    code: str
    message: str


def check_size(entries: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValidationError."""
    if sum(map(_size, entries)) > BYTES:
        raise ValidationError("Total size of the entries in the request is over the limit.")


def _size(entry: Mapping[str, Any]) -> int:
    """As "Calculating PutEvents event entry size" has it."""
    texts = [entry.get("Source", ""), entry.get("DetailType", ""), entry.get("Detail", ""), *entry.get("Resources", ())]
    return sum(len(text.encode()) for text in texts) + (14 if "Time" in entry else 0)


def event_of(
    entry: Mapping[str, Any], id_: str, bus: BusKey, now: float, *, is_own: bool
) -> Mapping[str, Any] | BadEntry:
    """`is_own`: of a service, which may say so."""
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            return BadEntry(
                "InvalidArgument", f"Parameter {member} is not valid. Reason: {member} is a required argument."
            )
    source: str = entry["Source"]
    if source.startswith("aws.") and not is_own:
        return BadEntry("NotAuthorizedForSourceException", "Not authorized for the source.")
    try:
        detail = msgspec.json.decode(entry["Detail"].encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return BadEntry("MalformedDetail", "Detail is malformed.")
    if not isinstance(detail, dict):
        return BadEntry("MalformedDetail", "Detail is malformed.")
    time = entry["Time"] if "Time" in entry else datetime.fromtimestamp(now, UTC)
    return {
        "version": "0",
        "id": id_,
        "detail-type": entry["DetailType"],
        "source": source,
        "account": bus.scope.account,
        "time": iso_seconds(time.timestamp()),
        "region": bus.scope.region,
        "resources": list(entry.get("Resources", ())),
        "detail": detail,
    }
