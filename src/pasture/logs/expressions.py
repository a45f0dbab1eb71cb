"""The regular expressions of CloudWatch Logs filter patterns, between percent signs. Pure.

The language has no groups: sequences of characters, `.`, classes and escapes, each with
an optional `? * + {m,n}`, alternatives with `|`, anchors at the ends. Source: "Supported
regular expressions (regex) syntax" in the CloudWatch Logs user guide.

Whoever may search may send a pattern made to take for ever in a backtracking engine, on a
message made for it. So the expression is parsed here, and Python's engine is used only
where the product of its choices on this message is small; anything else is matched by
following all choices at once, in time proportional to the message (a bit per state in
one integer, as in Navarro and Raffinot's extended Shift-And).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pasture.logs.errors import InvalidParameter

# States of one alternative, after `{m,n}` is written out.
_STATES = 1_000
# Steps that backtracking may take at worst.
_BACKTRACKING = 100_000
_CACHED_CHARACTERS = 4_096

_UNIT = re.compile(
    r"""(?P<unit> \\x[0-9A-Fa-f]{2} | \\[dDsSwW] | \\[^A-Za-z0-9] | \[\^?\]?(?:\\.|[^\]\\])+\]
              | [A-Za-z0-9_\#=@/;,\-:.\ \t"'<>&~`!] )
        (?P<many> [?*+] | \{(?P<low>\d{1,4})(?P<range>,(?P<high>\d{1,4})?)?\} )?""",
    re.VERBOSE,
)


class Unit(NamedTuple):
    """One character's worth of an expression, and how often it may come; `high` None is without end."""

    source: str
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Alternative:
    at_start: bool
    units: tuple[Unit, ...]
    at_end: bool


def compile_expression(text: str) -> Callable[[str], bool]:
    """Whether the expression is found anywhere in a message. Raises InvalidParameter."""
    alternatives = tuple(_alternative(part, text) for part in _split(text))
    backtracking = re.compile("|".join(_source(each) for each in alternatives))
    machines = tuple(_Machine(each) for each in alternatives)

    def found(message: str) -> bool:
        if sum(_choices(each, len(message)) for each in alternatives) <= _BACKTRACKING:
            return backtracking.search(message) is not None
        return any(machine.found(message) for machine in machines)

    return found


def _split(text: str) -> list[str]:
    """At each `|` that is not escaped or in a class."""
    parts = re.findall(r"(?:\\.|\[(?:\\.|[^\]\\])*\]|[^|\\\[])+|\||[\[\\]", text)
    alternatives = [""]
    for part in parts:
        if part == "|":
            alternatives.append("")
        else:
            alternatives[-1] += part
    return alternatives


def _alternative(text: str, whole: str) -> Alternative:
    at_start = text.startswith("^")
    at_end = text.endswith("$") and not text.endswith("\\$")
    position, end = int(at_start), len(text) - at_end
    units: list[Unit] = []
    while position < end:
        match = _UNIT.match(text, position, end)
        if match is None:
            raise _invalid(whole)
        units.append(_unit(match, whole))
        position = match.end()
    if not units or sum(unit.high or unit.low + 1 for unit in units) > _STATES:
        raise _invalid(whole)
    return Alternative(at_start, tuple(units), at_end)


def _unit(match: re.Match[str], whole: str) -> Unit:
    source, many = match["unit"], match["many"]
    if source.startswith("["):
        source = _class(source, whole)
    if many is None:
        return Unit(source, 1, 1)
    if many in "?*+":
        return Unit(source, int(many == "+"), 1 if many == "?" else None)
    low = int(match["low"])
    high = low if match["range"] is None else int(match["high"]) if match["high"] else None
    if high is not None and high < low:
        raise _invalid(whole)
    return Unit(source, low, high)


def _class(source: str, whole: str) -> str:
    """Python's engine would take some of these for set operations of its future."""
    inner = re.sub(r"([\[&~|])", r"\\\1", re.sub(r"\\([\[&~|])", r"\1", source[1:-1]))
    try:
        re.compile(f"[{inner}]")
    except re.error:
        raise _invalid(whole) from None
    return f"[{inner}]"


def _source(alternative: Alternative) -> str:
    """The expression as Python writes it. `$` is before a newline at the end, too, as in CloudWatch Logs."""
    units = "".join(
        unit.source + ("" if unit[1:] == (1, 1) else f"{{{unit.low},{'' if unit.high is None else unit.high}}}")
        for unit in alternative.units
    )
    return f"{'^' * alternative.at_start}{units}{'$' * alternative.at_end}"


def _choices(alternative: Alternative, length: int) -> int:
    """How many ways there are at most to lay the expression on a message."""
    ways = length
    for unit in alternative.units:
        if unit.low != unit.high:
            ways *= length if unit.high is None else min(unit.high - unit.low + 1, length)
            if ways > _BACKTRACKING:
                break
    return ways


class _Machine:
    """State i: the first i positions have been seen. A position is one character, may be skipped, or may repeat."""

    def __init__(self, alternative: Alternative) -> None:
        self._alternative = alternative
        self._positions: list[tuple[re.Pattern[str], int]] = []
        self._skipped = self._repeated = 0
        self._where: dict[str, int] = {}
        for unit in alternative.units:
            pattern = re.compile(unit.source)
            for _ in range(unit.low):
                self._add(pattern)
            if unit.high is None:
                self._add(pattern, skipped=True, repeated=True)
            else:
                for _ in range(unit.high - unit.low):
                    self._add(pattern, skipped=True)
        self._final = 1 << len(self._positions)

    def _add(self, pattern: re.Pattern[str], *, skipped: bool = False, repeated: bool = False) -> None:
        bit = 1 << len(self._positions)
        self._positions.append((pattern, bit))
        self._skipped |= bit * skipped
        self._repeated |= bit * repeated

    def found(self, message: str) -> bool:
        at_start, at_end = self._alternative.at_start, self._alternative.at_end
        first = self._skip(1)
        repeated, final = self._repeated, self._final
        ends = {len(message), len(message) - message.endswith("\n")}
        states = first
        for index, character in enumerate(message):
            if states & final and (not at_end or index in ends):
                return True
            states &= self._positions_of(character)
            states = self._skip(((states & ~repeated) << 1) | (states & repeated))
            if not at_start:
                states |= first
            elif not states:
                return False
        return bool(states & final)

    def _skip(self, states: int) -> int:
        """Every state that is reached by leaving out positions: the carry of the sum runs through them."""
        return states | (((states & self._skipped) + self._skipped) ^ self._skipped)

    def _positions_of(self, character: str) -> int:
        known = self._where.get(character)
        if known is None:
            known = sum(bit for pattern, bit in self._positions if pattern.match(character))
            if len(self._where) < _CACHED_CHARACTERS:
                self._where[character] = known
        return known


def _invalid(text: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid regular expression in filter pattern: %{text}%")
