"""The benchmarks run and say what they measured. What comes out of them on a busy machine is judged by nobody here."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from system.node import processes_with, until

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "run.py"


def start(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """With its temporary directory in ours, so that whatever it leaves behind is found."""
    command = [sys.executable, str(PROGRAM), "--quick", *arguments]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def leftovers(tmp_path: Path) -> tuple[list[Path], list[int]]:
    return list(tmp_path.glob("pasture-bench-*")), processes_with(str(tmp_path / "pasture-bench-"))


def test_chosen_rows_are_measured_and_printed_as_a_table(tmp_path: Path) -> None:
    figures, table = tmp_path / "figures.json", tmp_path / "table.md"
    run = start(tmp_path, "--rows", "warm,idle", "--json", str(figures), "--markdown", str(table))
    printed, said = run.communicate(timeout=110)
    assert run.returncode == 0, said
    assert table.read_text() in printed
    assert "| row | median | 5 %-95 % | floor | ratio | goal |" in printed
    known: dict[str, Any] = json.loads(figures.read_text())
    assert [row["row"] for row in known["rows"]] == [
        "warm invoke, concurrency 1, p50",
        "warm invoke, concurrency 1, p99",
        "idle environment, Python: memory (PSS)",
    ]
    assert all(row["median"] > 0 for row in known["rows"])
    assert 0 <= known["stalled"] <= 1
    assert leftovers(tmp_path) == ([], [])


def test_rows_of_concurrency_are_measured_beside_what_they_are_compared_with(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run = start(tmp_path, "--rows", "scale,admission,fairness", "--json", str(figures))
    _, said = run.communicate(timeout=110)
    assert run.returncode == 0, said
    rows: list[dict[str, Any]] = json.loads(figures.read_text())["rows"]
    assert [row["row"].split(" ", 2)[:2] for row in rows] == [
        *[["from", "0"]] * 2,
        *[["admission", "and"]] * 2,
        *[["a", "quiet"]] * 2,
    ]
    assert all(row["median"] > 0 for row in rows)
    # The kernel's floor needs root; the others are compared with ourselves.
    assert all((row["ratio"] or 0) > 0 or "root" in row["note"] for row in rows)
    assert leftovers(tmp_path) == ([], [])


def test_rows_of_events_are_measured_too(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run = start(tmp_path, "--rows", "accepted,latency,drained,queue", "--json", str(figures))
    _, said = run.communicate(timeout=110)
    assert run.returncode == 0, said
    rows: list[dict[str, Any]] = json.loads(figures.read_text())["rows"]
    assert [row["unit"] for row in rows] == ["/s", "ms", "ms", "/s", "MB"]
    assert all(row["median"] is not None and (row["ratio"] or 1) > 0 for row in rows)
    assert leftovers(tmp_path) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    run = start(tmp_path, "--rows", "cold")
    # A server is there, and environments are about to be.
    until(lambda: processes_with(str(tmp_path / "pasture-bench-")))
    run.send_signal(number)
    _, said = run.communicate(timeout=90)
    assert (run.returncode, "not measured: what was stopped" in said) == (1, True), said
    assert leftovers(tmp_path) == ([], [])


def test_rows_that_do_not_exist_are_refused_by_name(tmp_path: Path) -> None:
    run = start(tmp_path, "--rows", "warm,lukewarm")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "there is no lukewarm; there are cold, " in said
