"""In which order mounts are made, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.isolation.launcher.plan import BadMount, Bind, plan

SYSTEM = ("/usr", "/etc", "/dev", "/bin")


def test_without_mounts_there_is_nothing_to_do() -> None:
    assert plan([], SYSTEM) == []


def test_a_mount_point_of_its_own_is_made() -> None:
    assert plan([("/data/code", "/var/task")], SYSTEM) == [Bind("/data/code", "/var/task", make=True)]


def test_a_mount_within_another_comes_after_it_and_its_point_is_not_made() -> None:
    assert plan([("/empty", "/var/lang/lib/site-packages"), ("/python", "/var/lang")], SYSTEM) == [
        Bind("/python", "/var/lang", make=True),
        Bind("/empty", "/var/lang/lib/site-packages", make=False),
    ]


def test_a_mount_within_the_system_has_to_be_there_already() -> None:
    assert plan([("/data/certs", "/etc/ssl/certs")], SYSTEM) == [Bind("/data/certs", "/etc/ssl/certs", make=False)]


def test_a_name_that_only_begins_like_another_is_not_within_it() -> None:
    assert [bind.make for bind in plan([("/a", "/var/lang"), ("/b", "/var/lang2/x")], SYSTEM)] == [True, True]


def test_a_trailing_or_doubled_slash_makes_no_difference() -> None:
    assert plan([("/a", "//var/./task/")], SYSTEM) == [Bind("/a", "/var/task", make=True)]


@pytest.mark.parametrize("target", ["var/task", "", "/var/../etc", "/a\0b"])
def test_a_target_that_is_not_an_absolute_path_is_refused(target: str) -> None:
    with pytest.raises(BadMount, match="is not an absolute path"):
        plan([("/a", target)], SYSTEM)


@pytest.mark.parametrize("target", ["/", "/proc", "/proc/self", "/dev/null", "/tmp", "/tmp/x", "/sys/fs"])
def test_what_is_the_kernels_or_the_boxs_own_cannot_be_mounted_over(target: str) -> None:
    with pytest.raises(BadMount, match=f"nothing may be mounted at {target}"):
        plan([("/a", target)], SYSTEM)


def test_two_mounts_at_one_place_are_refused() -> None:
    with pytest.raises(BadMount, match="two mounts at /var/task"):
        plan([("/a", "/var/task"), ("/b", "/var/task/")], SYSTEM)


_names = st.sampled_from(["opt", "var", "lang", "task", "lib", "x"])
_targets = st.lists(_names, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))


@given(st.lists(_targets, unique=True, max_size=8))
def test_every_mount_is_planned_once_and_never_before_one_that_it_lies_in(targets: list[str]) -> None:
    binds = plan([(f"/source{target}", target) for target in targets], SYSTEM)
    order = [bind.target for bind in binds]
    assert sorted(order) == sorted(targets)
    for position, bind in enumerate(binds):
        outer = [target for target in order if bind.target.startswith(target + "/")]
        assert all(order.index(target) < position for target in outer)
        assert bind.make == (not outer)
        assert bind.source == f"/source{bind.target}"
