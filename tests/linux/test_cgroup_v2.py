"""Cgroups of version 2: in a mounted hierarchy, with whatever controllers it has, in a process that may be moved."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pasture.isolation.launcher import cgroup_v2
from pasture.isolation.launcher.cgroups import Hierarchy, Limits, Place, mounted

# Single-threaded, as the launcher is: clones a child into the group, which then sleeps.
_CLONE = """
import json, os, sys, time
from pasture.isolation.launcher import cgroup_v2, syscalls
group = cgroup_v2.GroupV2({"": sys.argv[1]})
pid, pidfd = syscalls.clone(0, group.descriptor())
if pid == 0:
    time.sleep(1000)
print(json.dumps(pid), flush=True)
print(json.dumps(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture
def hierarchy() -> Hierarchy:
    places = mounted() if sys.platform == "linux" else []
    found = cgroup_v2.find(f"test-{os.getpid()}", _without_moving(places))
    if found is None:
        pytest.skip("no cgroup of version 2 can be written here")
    return found


def _without_moving(places: list[Place]) -> list[Place]:
    """From the top: this process, which runs tests, stays where it is."""
    return [Place(place.controllers, place.mount, place.mount) for place in places]


def test_a_group_is_made_entered_by_cloning_frozen_killed_and_removed(hierarchy: Hierarchy) -> None:
    group = hierarchy.group("one")
    group.make()
    group.limit(Limits(64 << 20, 0.5, 10))
    directory = Path(group.directories[""])
    child = subprocess.Popen(
        [sys.executable, "-c", _CLONE, str(directory)], stdout=subprocess.PIPE, text=True, env=_environment()
    )
    assert child.stdout is not None
    pid = json.loads(child.stdout.readline())
    assert group.pids() == [pid]
    group.freeze()
    assert "frozen 1" in (directory / "cgroup.events").read_text()
    group.kill()
    assert (os.waitstatus_to_exitcode(json.loads(child.stdout.readline())), child.wait()) == (-signal.SIGKILL, 0)
    group.remove()
    group.remove()
    hierarchy.remove()
    assert not directory.parent.exists()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_what_a_crash_left_is_cleared(hierarchy: Hierarchy) -> None:
    for name in ("1-1", "1-2", "2-1"):
        hierarchy.group(name).make()
    hierarchy.clear("1-")
    assert [entry.name for entry in os.scandir(hierarchy.roots[""]) if entry.is_dir()] == ["2-1"]
    hierarchy.clear()
    hierarchy.remove()
    assert not Path(hierarchy.roots[""]).exists()


def test_controllers_that_are_not_there_are_named(hierarchy: Hierarchy) -> None:
    given = Path(hierarchy.roots[""], "cgroup.subtree_control").read_text().split()
    missing = [name for name in ("memory", "cpu", "pids") if name not in given]
    hierarchy.remove()
    assert [", ".join(missing) in warning for warning in hierarchy.warnings] == ([True] if missing else [])


def test_reading_a_group_that_is_gone_answers_with_nothing(hierarchy: Hierarchy) -> None:
    group = hierarchy.group("gone")
    hierarchy.remove()
    assert (group.pids(), group.peak_memory_bytes(), group.oom_kills()) == ([], 0, 0)
    group.thaw()
    group.kill()
    group.remove()


def test_changes_of_a_file_of_the_kernels_wake_whoever_waits(hierarchy: Hierarchy) -> None:
    group = hierarchy.group("watched")
    group.make()
    changes = cgroup_v2.Changes(group.directories[""] + "/cgroup.events")
    try:
        assert select.select([changes], [], [], 0)[0] == []
        group.freeze()
        assert select.select([changes], [], [], 5)[0] == [changes]
        changes.clear()
        assert select.select([changes], [], [], 0)[0] == []
    finally:
        changes.close()
        group.remove()
