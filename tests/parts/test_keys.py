"""The ring of access keys, over a real file."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pasture.api.auth.keys import KeyRing
from pasture.kit.clock import ManualClock
from pasture.kit.errors import OperatorError


def ring(folder: Path) -> KeyRing:
    return KeyRing(folder / "keys.json", ManualClock(1_700_000_000))


def test_a_key_that_is_made_is_found(tmp_path: Path) -> None:
    key = ring(tmp_path).create("123456789012", "ci")
    assert ring(tmp_path).find(key.id) == key
    assert (key.account, key.description, key.created) == ("123456789012", "ci", 1_700_000_000)
    assert re.fullmatch("AKIA[A-Z2-7]{16}", key.id)
    assert re.fullmatch("[A-Za-z0-9+/]{40}", key.secret)


def test_a_ring_without_a_file_is_empty(tmp_path: Path) -> None:
    assert (ring(tmp_path).list(), ring(tmp_path).find("AKIA")) == ([], None)


def test_a_deleted_key_is_gone(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    first, second = keys.create(), keys.create()
    assert (keys.delete(first.id), keys.delete(first.id), keys.list()) == (True, False, [second])


def test_a_running_ring_sees_what_another_one_changes(tmp_path: Path) -> None:
    running, other = ring(tmp_path), ring(tmp_path)
    key = other.create()
    assert running.find(key.id) == key
    other.delete(key.id)
    assert running.find(key.id) is None


def test_a_running_ring_sees_a_file_that_was_edited_in_place_moved_away_or_put_back(tmp_path: Path) -> None:
    running, file = ring(tmp_path), tmp_path / "keys.json"
    key = ring(tmp_path).create()
    assert running.find(key.id) == key
    file.write_text(file.read_text().replace(key.secret, "edited"))
    edited = running.find(key.id)
    assert edited is not None
    assert edited.secret == "edited"
    file.rename(tmp_path / "away.json")
    assert running.find(key.id) is None
    (tmp_path / "away.json").rename(file)
    assert running.find(key.id) == edited


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    ring(tmp_path).create()
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_a_secret_is_not_in_a_repr(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    key = keys.create()
    assert key.secret not in f"{key!r} {keys!r}"


def test_an_account_is_twelve_digits(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="'12' is not an account"):
        ring(tmp_path).create("12")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(OperatorError, match=r"cannot read the access keys in .*keys\.json"):
        ring(tmp_path).find("AKIA")


MAKES_FIVE = """
import sys
from pathlib import Path
from pasture.api.auth.keys import KeyRing
for _ in range(5):
    KeyRing(Path(sys.argv[1])).create()
"""


def test_processes_that_write_at_once_lose_no_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKES_FIVE, str(tmp_path / "keys.json")]
    writers = [subprocess.Popen(command) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(ring(tmp_path).list()) == 15
