"""Space-delimited filter patterns: `[ip, user, ..., status=4*, bytes>1000]`. Pure.

A message is cut at its spaces; what stands in quotes or brackets is one field. There must
be as many fields as names, unless `...` stands for any number of them.
"""

import re
from collections.abc import Callable, Mapping

from pasture.logs.pattern_syntax import COMPARISONS, Predicate, Tokens, comparison, conditions, invalid_pattern

_FIELD = re.compile(r'"((?:[^"\\]|\\.)*)"|\[([^\[\]]*)\]|(\S+)')
_REST = "..."

_Fields = Mapping[str, str]


def compile_fields(text: str) -> Callable[[str], bool]:
    if not text.endswith("]"):
        raise invalid_pattern(text)
    tokens = Tokens(text, text[1:-1])
    names: list[str] = []
    holding: list[Predicate[_Fields]] = []
    while True:
        _field(tokens, names, holding)
        if not tokens.skip(","):
            break
    if not tokens.at_end or names.count(_REST) > 1:
        raise tokens.invalid()
    return lambda message: _found(message, names, holding)


def _field(tokens: Tokens, names: list[str], holding: list[Predicate[_Fields]]) -> None:
    """One place of the pattern: `...`, a name, or conditions on a name; an empty place is a field of no interest."""
    if tokens.skip(_REST):
        names.append(_REST)
        return
    if tokens.at_end or tokens.sees(","):
        names.append("")
        return
    seen: set[str] = set()

    def condition() -> Predicate[_Fields]:
        name = tokens.take("word").text
        seen.add(name)
        if not any(tokens.sees(sign) for sign in COMPARISONS):
            return lambda fields: name in fields  # the name alone: true of every field
        holds = comparison(tokens, tokens.operator())
        return lambda fields: holds(fields[name])

    holds = conditions(tokens, condition)
    if len(seen) != 1 or seen & set(names):
        raise tokens.invalid()
    names.append(seen.pop())
    holding.append(holds)


def _found(message: str, names: list[str], holding: list[Predicate[_Fields]]) -> bool:
    fields = [match[match.lastindex or 0] for match in _FIELD.finditer(message)]
    if _REST in names:
        position = names.index(_REST)
        missing = len(fields) - (len(names) - 1)
        if missing < 0:
            return False
        del fields[position : position + missing]
        names = names[:position] + names[position + 1 :]
    if len(fields) != len(names):
        return False
    by_name = dict(zip(names, fields, strict=True))
    return all(holds(by_name) for holds in holding)
