"""A number in a file of the kernel's, read by a descriptor that is kept."""

from pathlib import Path

from pasture.isolation.launcher.gauge import Gauge


def test_it_shows_what_the_file_says_now(tmp_path: Path) -> None:
    file = tmp_path / "memory.peak"
    file.write_text("8704000\n")
    gauge = Gauge(str(file))
    assert gauge.read() == 8704000
    file.write_text("8704001\n")
    assert gauge.read() == 8704001


def test_without_a_file_it_shows_nothing(tmp_path: Path) -> None:
    assert Gauge(str(tmp_path / "none")).read() == 0


def test_closed_it_holds_no_descriptor_and_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "memory.peak").write_text("1\n")
    before = set(Path("/proc/self/fd").iterdir())
    gauge = Gauge(str(tmp_path / "memory.peak"))
    assert len(set(Path("/proc/self/fd").iterdir()) - before) == 1
    gauge.close()
    assert gauge.read() == 0
    gauge.close()
    assert set(Path("/proc/self/fd").iterdir()) - before == set()
