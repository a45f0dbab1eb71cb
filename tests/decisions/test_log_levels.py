"""Which records reach a function's log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.function import LoggingConfig
from pasture.logs.levels import Level, LogLevels, named

TIME = '"timestamp":"2026-03-04T10:11:12.123Z"'
WARN = LogLevels(json=True, application=Level.WARN)


def test_the_defaults_of_the_json_format_are_info() -> None:
    assert LogLevels.of(LoggingConfig("/g", "JSON")) == LogLevels(True, Level.INFO, Level.INFO)


def test_the_thresholds_are_those_of_the_configuration() -> None:
    config = LoggingConfig("/g", "JSON", "TRACE", "WARN")
    assert LogLevels.of(config) == LogLevels(True, Level.TRACE, Level.WARN)


@pytest.mark.parametrize(
    ("name", "level"),
    [("warn", Level.WARN), ("WARNING", Level.WARN), ("Critical", Level.FATAL), ("NOTICE", None), ("", None)],
)
def test_loggers_name_levels_in_their_own_ways(name: str, level: Level | None) -> None:
    assert named(name) is level


@pytest.mark.parametrize(
    ("level", "passes"),
    [("DEBUG", False), ("INFO", False), ("WARN", True), ("ERROR", True), ("CRITICAL", True), ("", True)],
)
def test_a_frame_passes_by_its_level_or_for_want_of_one(level: str, passes: bool) -> None:
    assert WARN.passes_frame(level) is passes


@pytest.mark.parametrize(
    "line",
    [
        f'{{"level":"INFO",{TIME},"message":"m"}}\n',
        f' {{{TIME},"level":"debug"}}',
        '{"level":"TRACE","timestamp":"2026-03-04T10:11:12+01:00"}\n',
    ],
)
def test_json_with_a_lower_level_and_a_time_is_held_back(line: str) -> None:
    assert not WARN.passes_line(line)


@pytest.mark.parametrize(
    "line",
    [
        f'{{"level":"ERROR",{TIME}}}\n',
        f'{{"level":"whatever",{TIME}}}\n',
        f'{{"level":7,{TIME}}}\n',
        '{"level":"INFO"}\n',
        '{"level":"INFO","timestamp":"yesterday"}\n',
        '{"level":"INFO","timestamp":1700000000}\n',
        f'{{"level":"INFO",{TIME}\n',
        f'[{{"level":"INFO",{TIME}}}]\n',
        "INFO of a program that writes no JSON\n",
        '{"a":' + "[" * 100_000 + '"level"\n',
    ],
)
def test_any_other_line_passes(line: str) -> None:
    assert WARN.passes_line(line)


@pytest.mark.parametrize(("level", "passes"), [(Level.DEBUG, False), (Level.INFO, True), (Level.WARN, True)])
def test_events_of_the_platform_pass_from_their_threshold_on(level: Level, passes: bool) -> None:
    assert LogLevels(json=True).passes_system(level) is passes


@given(st.text(), st.sampled_from(["", *Level.__members__]), st.sampled_from(Level))
def test_the_text_format_holds_nothing_back(line: str, level: str, system: Level) -> None:
    text = LogLevels(json=False, application=Level.FATAL, system=Level.WARN)
    assert text.passes_line(line)
    assert text.passes_frame(level)
    assert text.passes_system(system)


@given(st.text() | st.builds(lambda inner: "{" + inner + '"level":"INFO"}', st.text()), st.sampled_from(Level))
def test_whatever_a_program_prints_is_judged(line: str, threshold: Level) -> None:
    assert LogLevels(json=True, application=threshold).passes_line(line) in {True, False}
