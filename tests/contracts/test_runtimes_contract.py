"""What every family of runtimes promises."""

import threading
from pathlib import Path

import pytest

from pasture.runtimes.fake import FakeFamily
from pasture.runtimes.kinds.python import PythonFamily
from pasture.runtimes.registry import Runtimes, families
from pasture.runtimes.spec import InstalledRuntime, RuntimeFamily, RuntimeUnavailable


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtimes")


KINDS = ["python", "nodejs", "java", "ruby", "provided", "fake"]
NEED_NOTHING = {"provided"}


@pytest.fixture(params=KINDS)
def family(request: pytest.FixtureRequest, cache: Path) -> RuntimeFamily:
    return {family.name: family for family in (*families(cache), FakeFamily())}[request.param]


@pytest.fixture
def available(family: RuntimeFamily) -> str:
    found = next(iter(family.interpreters()), None)
    if found is None:
        pytest.skip(f"there is no interpreter for {family.name} on this machine")
    return found


def test_every_kind_is_under_this_contract(cache: Path) -> None:
    assert {family.name for family in families(cache)} | {"fake"} == set(KINDS)


def test_an_interpreter_is_only_named_for_an_identifier_of_the_family(family: RuntimeFamily) -> None:
    assert set(family.interpreters()) <= set(family.available()) <= set(family.identifiers())


@pytest.mark.parametrize("name", [kind for kind in KINDS if kind not in NEED_NOTHING])
def test_a_runtime_is_not_found_before_it_is_installed(name: str, tmp_path: Path) -> None:
    family = {family.name: family for family in (*families(tmp_path), FakeFamily())}[name]
    assert [family.find(identifier) for identifier in family.interpreters()] == [None] * len(family.interpreters())


def test_a_runtime_that_is_installed_is_found(family: RuntimeFamily, available: str) -> None:
    installed = family.install(available)
    assert installed == family.find(available)
    assert installed.identifier == available
    assert installed.version == family.version(available)
    assert installed.location == family.interpreters()[available]


def test_mounts_show_what_exists_at_absolute_paths(family: RuntimeFamily, available: str) -> None:
    installed = family.install(available)
    assert all(mount.source.exists() and mount.target.startswith("/") for mount in installed.mounts)


def test_two_at_once_install_once(family: RuntimeFamily, available: str) -> None:
    installed: list[InstalledRuntime] = []
    threads = [threading.Thread(target=lambda: installed.append(family.install(available))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert installed == [family.find(available)] * 2


def test_an_unknown_identifier_is_unavailable(family: RuntimeFamily) -> None:
    assert family.find("cobol85") is None
    assert not family.version("cobol85")
    with pytest.raises(RuntimeUnavailable, match="cobol85"):
        family.install("cobol85")


def test_without_an_installer_the_message_says_what_failed(tmp_path: Path) -> None:
    family = PythonFamily(tmp_path, pip=Path("/nowhere/python"))
    with pytest.raises(RuntimeUnavailable, match="cannot run /nowhere/python"):
        family.install(next(iter(family.interpreters())))


# The registry...


def test_the_registry_answers_from_memory_once_a_runtime_was_installed(family: RuntimeFamily, available: str) -> None:
    runtimes = Runtimes([family])
    assert runtimes.ready(available) is None
    installed = runtimes.install(available)
    assert runtimes.ready(available) is installed


def test_the_registry_says_which_runtimes_exist_here_when_asked_for_another(family: RuntimeFamily) -> None:
    runtimes = Runtimes([family])
    with pytest.raises(RuntimeUnavailable) as failure:
        runtimes.install("cobol85")
    here = ", ".join(runtimes.available()) or "none"
    assert str(failure.value) == f"the runtime cobol85 cannot be run here; these can: {here}"


def test_the_overview_has_a_line_for_every_identifier(family: RuntimeFamily, available: str) -> None:
    runtimes = Runtimes([family])
    runtimes.install(available)
    lines = {line.identifier: line for line in runtimes.overview()}
    assert tuple(lines) == runtimes.identifiers()
    assert lines[available].ready
    assert lines[available].version == family.version(available)
