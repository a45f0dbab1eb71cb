"""The models' regular expressions (Java's dialect) as Python's. Pure.

What differs and occurs: `\\p{L}` and its like, a bare hyphen after a class escape inside
brackets (`[\\w-_]`), a bare `[` there, and that Java's `\\w`, `\\d` and `\\s` mean ASCII.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

# The end of the last plane that has letters, digits or separators; those behind it are for private use, tags or empty.
_LAST_LETTER = 0x3FFFF

# The two halves, in UTF-16, of a character beyond the first plane.
_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")

# Classes by POSIX's names, which are of ASCII.
_POSIX = {"Print": r"\x20-\x7e"}

# Escapes that stand for many characters: a range cannot begin with one.
_CLASS_ESCAPES = "wWdDsSp"


_known: set[str] = set()


def matcher(java: str) -> Callable[[str], bool]:
    """Whether a text matches as a whole. Compiled when it is first asked, or by `compile_all` before."""
    _known.add(java)
    return lambda value: compile_pattern(java).fullmatch(value) is not None


def compile_all() -> None:
    """What `matcher` was asked for. Takes some 0.3 s, which belong in a thread, behind a server's start."""
    for java in tuple(_known):
        compile_pattern(java)


@cache
def compile_pattern(java: str) -> re.Pattern[str]:
    """To be used with `fullmatch`, as AWS does."""
    return re.compile(_translate(java), re.ASCII)


def _translate(java: str) -> str:
    out: list[str] = []
    in_class = after_escape = False
    position = 0
    while position < len(java):
        char = java[position]
        if char == "\\":
            after_escape = in_class and java[position + 1] in _CLASS_ESCAPES
            token, position = _escape(java, position, in_class=in_class)
            out.append(token)
            continue
        if not in_class and char == "[":
            in_class = True
            # A `]` or `^]` that opens a class is a literal.
            for opening in ("[^]", "[]", "[^", "["):
                if java.startswith(opening, position):
                    out.append(opening.replace("]", r"\]"))
                    position += len(opening)
                    break
            after_escape = False
            continue
        if in_class and char == "]":
            in_class = False
        elif in_class and (char == "[" or (char == "-" and after_escape)):
            char = "\\" + char
        out.append(char)
        after_escape = False
        position += 1
    return "".join(out)


def _escape(java: str, position: int, *, in_class: bool) -> tuple[str, int]:
    letter = java[position + 1]
    if letter == "p" and java[position + 2 : position + 3] == "{":
        end = java.index("}", position)
        ranges = _category(java[position + 3 : end])
        return (ranges if in_class else f"[{ranges}]"), end + 1
    if letter == "u":
        return _code_unit(java, position)
    return java[position : position + 2], position + 2


def _code_unit(java: str, position: int) -> tuple[str, int]:
    """Two of them that make a pair are one character, as at the ends of `\\uD800\\uDC00-\\uDBFF\\uDFFF`."""
    pair = _PAIR.match(java, position)
    if pair is None:
        return java[position : position + 6], position + 6
    high, low = (int(unit, 16) for unit in pair.groups())
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08x}", pair.end()


def _category(prefix: str) -> str:
    """The inside of a character class with every character of a general category: `L`, `N`, `Z`, `Lu` …"""
    if prefix in _POSIX:
        return _POSIX[prefix]
    ranges = [span for name, spans in _categories().items() if name.startswith(prefix) for span in spans]
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@cache
def _categories() -> dict[str, list[list[int]]]:
    """Runs of characters, by general category."""
    found: dict[str, list[list[int]]] = {}
    for point in range(_LAST_LETTER + 1):
        ranges = found.setdefault(unicodedata.category(chr(point)), [])
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return found
