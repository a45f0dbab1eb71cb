"""Log levels: which records of a function and which events of the platform reach its log. Pure.

Levels are a matter of the JSON log format only; in the text format everything passes.
Source: the Lambda developer guide, "Log-level filtering".
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec

from pasture.domain.function import LoggingConfig


class Level(IntEnum):
    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5


# What loggers call them: Python's WARNING and CRITICAL are WARN and FATAL.
_NAMES = {**Level.__members__, "WARNING": Level.WARN, "CRITICAL": Level.FATAL}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def named(name: str) -> Level | None:
    """The level of this name, in any case; None when it is none."""
    return _NAMES.get(name.upper())


@dataclass(frozen=True, slots=True)
class LogLevels:
    """The format of a function's log and the thresholds that go with it."""

    json: bool = False
    application: Level = Level.INFO
    system: Level = Level.INFO

    @classmethod
    def of(cls, config: LoggingConfig) -> "LogLevels":
        return cls(
            config.format == "JSON",
            _threshold(config.application_level),
            _threshold(config.system_level),
        )

    def passes_system(self, level: Level) -> bool:
        """Whether an event of the platform is written to the log. Telemetry gets every event, whatever its level."""
        return not self.json or level >= self.system

    def passes_frame(self, level: str) -> bool:
        """Whether a framed record is written: `level` as the frame has it. One without a level always is."""
        return not self.json or _reaches(level, self.application)

    def passes_line(self, line: str) -> bool:
        """Whether a plain line is written: only JSON with a level and a time is ever held back."""
        return not self.json or self.application is Level.TRACE or _reaches(_level_of(line), self.application)


def _threshold(name: str | None) -> Level:
    level = named(name or "")
    return Level.INFO if level is None else level


def _reaches(name: str, threshold: Level) -> bool:
    level = named(name)
    return level is None or level >= threshold


def _level_of(line: str) -> str:
    """The level that a line of JSON claims; empty when it is not filtered by any."""
    if not line.lstrip().startswith("{") or '"level"' not in line:
        return ""
    try:
        record: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return ""
    level, timestamp = record.get("level"), record.get("timestamp")
    if not isinstance(level, str) or not isinstance(timestamp, str) or not _RFC3339.fullmatch(timestamp):
        return ""
    return level
