"""How many environments may be starting at once."""

from pathlib import Path

import pytest

from pasture.environments.processors import Pressure, Starts, processors

PSI = "some avg10={:.2f} avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


@pytest.mark.parametrize(("count", "at_once"), [(1, 8), (2, 8), (4, 16), (64, 256)])
def test_a_few_for_each_processor_start_at_once(count: int, at_once: int) -> None:
    assert Starts(count, lambda: False).at_once == at_once


def test_while_the_processors_are_idle_twice_as_many_are_let_in_each_time() -> None:
    starts = Starts(2, lambda: False)
    assert [starts.grow(), starts.grow(), starts.rest()] == [16, 32, 8]


def test_while_they_are_busy_a_few_more_are() -> None:
    starts = Starts(2, lambda: True)
    assert [starts.grow(), starts.grow(), starts.rest()] == [10, 12, 8]


def test_pressure_is_what_was_stalled_since_the_last_look(tmp_path: Path) -> None:
    file, now = tmp_path / "cpu", [100.0]
    pressure = Pressure(lambda: now[0], file)
    told = []
    for seconds, recent, total in ((0, 90, 0), (0.1, 90, 10_000), (0.1, 0, 100_000), (60, 0, 60_000_000)):
        now[0] += seconds
        file.write_text(PSI.format(recent, total))
        told.append(pressure())
    assert told == [True, False, True, False]


@pytest.mark.parametrize("text", [None, "", "some\n", "nonsense here\n"])
def test_where_the_kernel_does_not_tell_of_pressure_those_that_want_to_run_are_counted(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "cpu"
    if text is not None:
        file.write_text(text)
    assert Pressure(pressure=file)() in {True, False}
    assert processors() >= 1
