"""CloudWatch Logs filter patterns: which log events a search finds. Pure.

Three languages, told apart by their first character: terms (`ERROR -"not this"`), JSON
(`{ $.level = "ERROR" }`) and fields parted by spaces (`[ip, user, status=4*]`). Source:
"Filter pattern syntax" in the CloudWatch Logs user guide. A pattern is at most 1,024
characters; the time of a match is bounded by the length of pattern times message.
"""

import re
from collections.abc import Callable

from pasture.logs.errors import InvalidParameter
from pasture.logs.expressions import compile_expression
from pasture.logs.pattern_fields import compile_fields
from pasture.logs.pattern_json import compile_json
from pasture.logs.pattern_syntax import invalid_pattern, unquoted

PATTERN_LIMIT = 1_024
EXPRESSIONS = 2

_Matches = Callable[[str], bool]

_TERM = re.compile(
    r"""\s* (?P<mark>[?-]?) (?: (?P<string> "(?:[^"\\]|\\.)*" )
                              | (?P<expression> %(?:[^%\\]|\\.)*% )
                              | (?P<word> [^\s"%()\[\]{}?]+ ) ) (?=\s|$)""",
    re.VERBOSE,
)
_EXPRESSION = re.compile(r'"(?:[^"\\]|\\.)*"|(%(?:[^%\\]|\\.)*%)')


def compile_pattern(pattern: str) -> _Matches | None:
    """Whether a message is found; None when every one is. Raises InvalidParameter."""
    text = pattern.strip()
    if len(pattern) > PATTERN_LIMIT:
        raise InvalidParameter(f"A filter pattern has at most {PATTERN_LIMIT} characters.")
    if sum(bool(match[1]) for match in _EXPRESSION.finditer(text)) > EXPRESSIONS:
        raise InvalidParameter(f"A filter pattern has at most {EXPRESSIONS} regular expressions.")
    if text.startswith("{"):
        return compile_json(text)
    if text.startswith("["):
        return compile_fields(text)
    return _compile_terms(text) if text and text != '" "' else None


def _compile_terms(text: str) -> _Matches | None:
    """All of the plain terms, none of the `-` terms; or one of the `?` terms, when there are no others.

    AWS ignores `?` terms beside others, so they are ignored here.
    """
    terms: dict[str, list[_Matches]] = {"": [], "-": [], "?": []}
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            rest = text[position:].split(maxsplit=1)[0]
            raise (
                InvalidParameter(f"Invalid character(s) in term '{rest}'") if '"' not in rest else invalid_pattern(text)
            )
        terms[match["mark"]].append(_term(match))
        position = match.end()
    wanted, unwanted, optional = terms[""], terms["-"], terms["?"]
    if not wanted and not unwanted:
        return lambda message: any(found(message) for found in optional)
    return lambda message: all(found(message) for found in wanted) and not any(found(message) for found in unwanted)


def _term(match: re.Match[str]) -> _Matches:
    if match["expression"]:
        return compile_expression(match["expression"][1:-1])
    term = unquoted(match["string"]) if match["string"] else match["word"]
    return lambda message: term in message
