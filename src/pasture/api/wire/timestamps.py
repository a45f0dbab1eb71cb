"""The three ways in which AWS writes a time. Pure.

Operations are given aware datetimes, and may answer with those or with seconds since the epoch.
"""

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

ISO8601 = "iso8601"
RFC822 = "rfc822"
UNIX = "unixTimestamp"


def parse_timestamp(value: Any) -> datetime:
    """From any of the three. Raises ValueError for what is none of them."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_epoch(float(value))
    if not isinstance(value, str):
        raise ValueError("not a time")  # noqa: TRY004 - callers ask for one error
    try:
        return _from_epoch(float(value))
    except ValueError:
        pass  # not a number, so one of the others
    try:
        return _aware(datetime.fromisoformat(value))
    except ValueError:
        return _aware(parsedate_to_datetime(value))


def _from_epoch(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("a time beyond the calendar") from error


def format_timestamp(value: Any, form: str) -> str | float | int:
    """A text is taken to be in its form already."""
    if isinstance(value, str):
        return value
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    moment = _aware(moment)
    if form == UNIX:
        seconds = moment.timestamp()
        return int(seconds) if seconds.is_integer() else round(seconds, 3)
    moment = moment.astimezone(UTC)
    if form == RFC822:
        return format_datetime(moment.replace(microsecond=0), usegmt=True)
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
