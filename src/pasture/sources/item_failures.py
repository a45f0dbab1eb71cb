"""Which items of a batch has the function said that failed (ReportBatchItemFailures)? Pure.

Source: "Reporting batch item failures" in the developer guide: an empty list, null or an empty answer mean that all
went well; what cannot be understood, or names what was not in the batch, means that none did.
"""

from collections.abc import Collection
from typing import Any

import msgspec


def failed_items(payload: bytes, items: Collection[str]) -> frozenset[str]:
    """Those of `items` that failed."""
    whole = frozenset(items)
    try:
        answer: Any = msgspec.json.decode(payload) if payload.strip() else None
    except (msgspec.DecodeError, RecursionError):
        return whole
    if answer in (None, {}, ""):
        return frozenset()
    if not isinstance(answer, dict) or "batchItemFailures" not in answer:
        return whole
    listed = answer["batchItemFailures"]
    if listed is None:
        return frozenset()
    if not isinstance(listed, list):
        return whole
    named = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in listed]
    known = frozenset(name for name in named if isinstance(name, str) and name in whole)
    return known if len(known) == len(set(map(repr, named))) else whole
