"""Markers of list operations: where the next page begins, in a form that clients pass back and do not read."""

import base64

from pasture.domain.errors import InvalidParameterValue


def mark(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode()


def unmark(marker: str | None) -> str:
    """Empty for the first page. Raises InvalidParameterValue for what `mark` has not made."""
    try:
        return base64.b64decode(marker or "", altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise bad_marker() from error


def unmark_number(marker: str | None, *, first: int) -> int:
    """Of lists that go by number; `first` is what the first page begins after."""
    place = unmark(marker)
    if not place:
        return first
    if not (place.isascii() and place.isdigit()):
        raise bad_marker()
    return int(place)


def bad_marker() -> InvalidParameterValue:
    return InvalidParameterValue("The provided Marker is invalid. Use the NextMarker of the page before.")
