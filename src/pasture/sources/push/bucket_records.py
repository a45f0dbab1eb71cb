"""What stores beside AWS's S3 post about their objects, as functions know it from S3. Pure.

MinIO and those that follow it post S3's own records, with small differences: events' names begin with `s3:`, and the
source is their own.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_ONCE = uuid.UUID("6b0c7d0e-6a3c-4f1f-9a34-0d2a6f2f9c51")


class BucketEvent(NamedTuple):
    payload: bytes
    id: str
    """The same for what is posted again; empty where that cannot be known."""


def bucket_events(body: bytes, hook: str) -> Iterator[BucketEvent]:
    """One for each record, as S3 has it; none for a test event. `hook` is whose events they are. Raises ValueError."""
    try:
        posted = json.loads(body)
    except RecursionError:
        raise ValueError("it is too deep") from None
    if not isinstance(posted, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - as for whatever else is wrong
    if posted.get("Event") == "s3:TestEvent":
        return
    records = posted.get("Records")
    if not isinstance(records, list) or not records:
        raise ValueError("it has no Records")
    for record in records:
        if not isinstance(record, dict) or not isinstance(record.get("s3"), dict) or "eventName" not in record:
            raise ValueError("there is a record in it without eventName or s3")
        shown = {**record, "eventSource": "aws:s3", "eventName": str(record["eventName"]).removeprefix("s3:")}
        yield BucketEvent(json.dumps({"Records": [shown]}).encode(), _id(shown, hook))


def _id(record: Mapping[str, Any], hook: str) -> str:
    """A sequencer tells the events of one key apart."""
    bucket, thing = record["s3"].get("bucket"), record["s3"].get("object")
    if not isinstance(bucket, dict) or not isinstance(thing, dict) or not thing.get("sequencer"):
        return ""
    parts = [hook, bucket.get("name"), thing.get("key"), thing.get("versionId"), thing["sequencer"]]
    return str(uuid.uuid5(_ONCE, json.dumps([*parts, record["eventName"]])))
