"""What a registry wants to know before it gives anything: its WWW-Authenticate header. Pure. Source: RFC 9110 and
https://distribution.github.io/distribution/spec/auth/token/.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  of HTTP's grammar
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|$)")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Challenge:
    """`scheme` in lower case; the names of `parameters` too."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse(header: str) -> list[Challenge]:
    """As many as are in there and understood."""
    challenges: list[Challenge] = []
    at = 0
    while (found := _SCHEME.match(header, at)) is not None:
        at = found.end()
        parameters: dict[str, str] = {}
        while (pair := _PARAMETER.match(header, at)) is not None:
            quoted, plain = pair[2], pair[3]
            parameters[pair[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            at = pair.end()
        challenges.append(Challenge(found[1].lower(), parameters))
    return challenges
