"""How often has this chain of calls come by this function? Told by the tracing header. Pure.

A function's SDK hands the tracing header of its invocation on with every call that it makes, and queues and topics hand
it on with their messages. Its part `Lineage=1:<function>:<count>|…` names the functions of the chain, each by eight hex
digits, and how often each was invoked in it before: 0 when it was once. So it stands in every header that AWS hands to
a runtime, of direct invocations too (recorded in `AWSTraceHeader` attributes and answers of API Gateway, since 2024:
`Root=1-…;Parent=…;Sampled=0;Lineage=1:fe460cdd:0`; before, and in X-Ray's guide, without the leading `1:`). What the
leading number stands for is not known. A chain stops at its 17th invocation of a function ("Use Lambda recursive loop
detection" in the developer guide).
"""

from functools import lru_cache
from zlib import crc32

INVOCATIONS = 16
"""So many invocations of one function may be in a chain."""

_PART = "Lineage="
# botocore quotes the header's `|`.
_BAR = "%7C"
_COUNT_MAX = 65_535
# A chain of more functions forgets those that it passed first.
_FUNCTIONS_MAX = 64


def counted(trace_id: str, function_arn: str) -> tuple[str, int]:
    """The header with this invocation counted, and how often the chain has invoked the function before.

    Versions and aliases count as the one function that they are of.
    """
    if _PART not in trace_id:
        return (trace_id + _first(function_arn) if trace_id else _first(function_arn)[1:]), 0
    parts = trace_id.split(";")
    at = next((at for at, part in enumerate(parts) if part.startswith(_PART)), None)
    if at is None:
        return trace_id + _first(function_arn), 0
    parts[at], count = _added(parts[at].removeprefix(_PART), _name(function_arn))
    return ";".join(parts), count


def before(trace_id: str, function_arn: str) -> int:
    """Of a header in which this invocation is counted: how often the chain has invoked the function before."""
    if _PART not in trace_id:
        return 0
    for part in trace_id.split(";"):
        if part.startswith(_PART):
            name = _name(function_arn)
            return next((count for _, known, count in _read(part.removeprefix(_PART)) if known == name), 0)
    return 0


def _added(lineage: str, name: str) -> tuple[str, int]:
    items = list(_read(lineage))
    for at, (prefix, known, count) in enumerate(items):
        if known == name:
            count = min(count + 1, _COUNT_MAX)  # noqa: PLW2901 - it is what is written back
            items[at] = (prefix, known, count)
            return _written(items), count
    return _written([*items, ("1:", name, 0)]), 0


def _read(lineage: str) -> list[tuple[str, str, int]]:
    """What stands before the name, the name, the count; what is no such thing is left out."""
    items = []
    for item in lineage.replace(_BAR, "|").replace(_BAR.lower(), "|").split("|"):
        rest, _, count = item.rpartition(":")
        prefix, colon, name = rest.rpartition(":")
        if name and count.isascii() and count.isdigit() and len(count) <= len(str(_COUNT_MAX)):
            items.append((prefix + colon, name, int(count)))
    return items[-_FUNCTIONS_MAX:]


def _written(items: list[tuple[str, str, int]]) -> str:
    return _PART + "|".join(f"{prefix}{name}:{count}" for prefix, name, count in items[-_FUNCTIONS_MAX:])


@lru_cache(maxsize=4096)
def _first(function_arn: str) -> str:
    return f";{_PART}1:{_name(function_arn)}:0"


def _name(function_arn: str) -> str:
    unqualified = ":".join(function_arn.split(":", 7)[:7])
    return f"{crc32(unqualified.encode()):08x}"
