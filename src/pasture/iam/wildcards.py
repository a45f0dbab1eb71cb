"""Texts of a policy: with wildcards, with variables. Pure.

`*` is any run of characters and `?` is one; a wildcard does not stop at a colon, but for ARNs in conditions,
whose components are matched one by one. `${key}` stands for the request's value of that key, or `${key, 'default'}`;
`${*}`, `${?}` and `${$}` are those characters. What a variable brings in is literal. (IAM guide, "Policy variables".)

A policy may come from whoever assumes a role, so matching must not take long whatever the text: every run of literal
text is looked for once, leftmost, in an atomic group, which never tries again.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

Context = Mapping[str, Sequence[str]]
"""The request's condition keys, in lower case, with their values."""

_VARIABLE = re.compile(r"\$\{\s*([^},']+?)\s*(?:,\s*'([^']*)'\s*)?\}")
_ARN_COMPONENTS = 6


class _Wild(Enum):
    RUN = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class _Variable:
    key: str
    default: str | None


_Part = str | _Wild | _Variable
_Resolved = tuple[str | _Wild, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """How a set of texts is to be read."""

    wildcards: bool = True
    variables: bool = True
    ignore_case: bool = False
    arn: bool = False
    """Component by component."""


class Texts:
    """Any of several texts."""

    __slots__ = ("_exact", "_pattern", "_style", "_variable")

    def __init__(self, texts: Iterable[str], style: Style) -> None:
        self._style = style
        parsed = [tuple(_parse(text.lower() if style.ignore_case else text, style)) for text in texts]
        fixed = [parts for parts in parsed if not any(isinstance(part, _Variable) for part in parts)]
        literal = [parts for parts in fixed if all(isinstance(part, str) for part in parts)]
        wild = [_expression(parts, arn=style.arn) for parts in fixed if parts not in literal]  # type: ignore[arg-type]  # no variables in these
        self._exact = frozenset("".join(part for part in parts if isinstance(part, str)) for parts in literal)
        self._pattern = re.compile("|".join(wild), re.DOTALL) if wild else None
        self._variable = tuple(parts for parts in parsed if parts not in fixed)

    def match(self, text: str, context: Context) -> bool:
        if self._style.ignore_case:
            text = text.lower()
        if text in self._exact or (self._pattern is not None and self._pattern.fullmatch(text) is not None):
            return True
        return any(self._match_variable(parts, text, context) for parts in self._variable)

    def _match_variable(self, parts: Sequence[_Part], text: str, context: Context) -> bool:
        resolved = _resolve(parts, context, ignore_case=self._style.ignore_case)
        return resolved is not None and _compiled(resolved, self._style.arn).fullmatch(text) is not None


def _parse(text: str, style: Style) -> Iterator[_Part]:
    position = 0
    if style.variables:
        for found in _VARIABLE.finditer(text):
            yield from _split(text[position : found.start()], style)
            position = found.end()
            key, default = found[1], found[2]
            yield key if key in {"*", "?", "$"} else _Variable(key.lower(), default)
    yield from _split(text[position:], style)


def _split(text: str, style: Style) -> Iterator[str | _Wild]:
    if not style.wildcards:
        yield from [text] if text else []
        return
    for piece in re.split(r"([*?])", text):
        if piece:
            yield _Wild(piece) if piece in {"*", "?"} else piece


def _resolve(parts: Sequence[_Part], context: Context, *, ignore_case: bool) -> _Resolved | None:
    """With every variable's value; None when the request has none: then the text matches nothing."""
    resolved: list[str | _Wild] = []
    for part in parts:
        if not isinstance(part, _Variable):
            resolved.append(part)
            continue
        values = context.get(part.key, ())
        value = values[0] if len(values) == 1 else part.default
        if value is None:
            return None
        resolved.append(value.lower() if ignore_case else value)
    return tuple(resolved)


@lru_cache(maxsize=1024)
def _compiled(parts: _Resolved, arn: bool) -> re.Pattern[str]:
    return re.compile(_expression(parts, arn=arn), re.DOTALL)


def _expression(parts: _Resolved, *, arn: bool) -> str:
    """To be used with fullmatch and DOTALL."""
    if not arn:
        return _glob(parts, ".")
    components = list(_components(parts))
    return ":".join([*(_glob(component, "[^:]") for component in components[:-1]), _glob(components[-1], ".")])


def _components(parts: _Resolved) -> Iterator[_Resolved]:
    component: list[str | _Wild] = []
    done = 1
    for part in parts:
        if isinstance(part, _Wild):
            component.append(part)
            continue
        first, *others = part.split(":", _ARN_COMPONENTS - done)
        component.append(first)
        for other in others:
            yield tuple(component)
            component = [other]
            done += 1
    yield tuple(component)


def _glob(parts: Iterable[str | _Wild], any_character: str) -> str:
    runs = [""]
    for part in parts:
        if part is _Wild.RUN:
            runs.append("")
        else:
            runs[-1] += any_character if part is _Wild.ONE else re.escape(str(part))
    if len(runs) == 1:
        return runs[0]
    middle = "".join(f"(?>{any_character}*?{run})" for run in runs[1:-1] if run)
    return f"{runs[0]}{middle}{any_character}*{runs[-1]}"
