"""Signing profiles in a data directory, and what a crash leaves of them."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fakes.management import zip_of
from pasture.domain.scope import Scope
from pasture.kit.clock import ManualClock
from pasture.kit.errors import OperatorError
from pasture.signing.profiles import Profiles, ProfileVersion
from pasture.signing.signer import Signer
from pasture.signing.verifying import inspect

HERE = Scope()
DAY = 86_400


class Desk:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.profiles = Profiles(directory / "data" / "signer", self.clock)

    @property
    def keys(self) -> list[Path]:
        return sorted((self.directory / "data" / "signer" / "keys").glob("*"))

    def sign(self, name: str = "builds", code: str = "one") -> bytes:
        source, target = self.directory / "in.zip", self.directory / "out.zip"
        source.write_bytes(zip_of(code))
        Signer(self.profiles, self.clock).sign(HERE, name, source, target)
        return target.read_bytes()

    def is_revoked(self, package: bytes) -> bool:
        found = inspect(package, self.profiles)
        assert found.signature is not None
        return found.revoked


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(OperatorError) as failure:
        call()
    return str(failure.value)


def test_a_profile_has_awss_arn_and_a_key_that_only_its_owner_reads(desk: Desk) -> None:
    made = desk.profiles.create(Scope("111122223333", "eu-west-1"), "builds", "90d")
    assert made.arn == f"arn:aws:signer:eu-west-1:111122223333:/signing-profiles/builds/{made.version}"
    assert (len(made.version), made.version.isalnum(), made.status) == (10, True, "Active")
    assert desk.profiles.find(made.arn) == made == Profiles(desk.directory / "data" / "signer").find(made.arn)
    [key] = desk.keys
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (key, key.parent, key.parent.parent)}
    assert modes == {key: 0o600, key.parent: 0o700, key.parent.parent: 0o700}
    assert stat.S_IMODE((desk.directory / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["a", "", "a-b", "a" * 65, "é" * 3, "../x"])
def test_a_profiles_name_is_as_aws_signer_has_it(desk: Desk, name: str) -> None:
    assert "is not a signing profile's name" in refusal(lambda: desk.profiles.create(HERE, name))


def test_there_is_one_version_that_signs_and_the_next_comes_when_it_is_canceled(desk: Desk) -> None:
    first = desk.profiles.create(HERE, "builds")
    old = desk.sign()
    assert "There is a signing profile builds already" in refusal(lambda: desk.profiles.create(HERE, "builds"))
    assert desk.profiles.cancel(HERE, "builds").status == "Canceled"
    assert "canceled already" in refusal(lambda: desk.profiles.cancel(HERE, "builds"))
    assert "it is canceled" in refusal(desk.sign)
    desk.clock.advance(1)
    second = desk.profiles.create(HERE, "builds")
    assert second.version != first.version
    assert [profile.status for profile in desk.profiles.versions(HERE, "builds")] == ["Canceled", "Active"]
    found = [inspect(package, desk.profiles).signature for package in (old, desk.sign())]
    assert [signature and signature.profile_version_arn for signature in found] == [first.arn, second.arn]


def test_a_profile_of_another_account_is_another(desk: Desk) -> None:
    desk.profiles.create(HERE, "builds")
    desk.profiles.create(Scope("111122223333"), "builds")
    assert "no signing profile builds" in refusal(lambda: desk.profiles.newest(Scope(region="eu-west-1"), "builds"))


def test_a_revoked_profile_takes_back_all_it_has_signed(desk: Desk) -> None:
    desk.profiles.create(HERE, "builds")
    package = desk.sign()
    assert not desk.is_revoked(package)
    desk.profiles.revoke(HERE, "builds", "stolen")
    assert desk.is_revoked(package)
    assert "it is revoked" in refusal(desk.sign)


def test_a_profile_may_be_revoked_from_a_time_on_which_can_only_come_earlier(desk: Desk) -> None:
    desk.profiles.create(HERE, "builds")
    before = desk.sign()
    desk.clock.advance(DAY)
    after = desk.sign()
    desk.profiles.revoke(HERE, "builds", "stolen", since=desk.clock.now())
    desk.profiles.revoke(HERE, "builds", "later", since=desk.clock.now() + DAY)
    assert (desk.is_revoked(before), desk.is_revoked(after)) == (False, True)
    desk.profiles.revoke(HERE, "builds", "stolen before", since=desk.clock.now() - 2 * DAY)
    assert desk.is_revoked(before)


def test_one_signature_may_be_revoked(desk: Desk) -> None:
    profile = desk.profiles.create(HERE, "builds")
    one, two = desk.sign(code="one"), desk.sign(code="two")
    signature = inspect(one, desk.profiles).signature
    assert signature is not None
    desk.profiles.revoke_job(profile.arn, signature.job_arn, "a bad build")
    assert (desk.is_revoked(one), desk.is_revoked(two)) == (True, False)


def test_what_another_process_revokes_counts_at_once(desk: Desk) -> None:
    desk.profiles.create(HERE, "builds")
    package = desk.sign()
    Profiles(desk.directory / "data" / "signer").revoke(HERE, "builds", "stolen")
    assert desk.is_revoked(package)


# Elsewhere...


def exported(profile: ProfileVersion) -> ProfileVersion:
    return msgspec.json.decode(msgspec.json.encode(profile), type=ProfileVersion)


def test_an_imported_profile_verifies_and_does_not_sign(desk: Desk, tmp_path: Path) -> None:
    made = desk.profiles.create(HERE, "builds")
    server = Desk(tmp_path / "server")
    server.profiles.take_in(exported(made))
    assert inspect(desk.sign(), server.profiles).signature is not None
    server.directory.mkdir(exist_ok=True)
    assert "its private key is not here" in refusal(server.sign)


def test_importing_again_takes_over_what_was_revoked_and_gives_nothing_back(desk: Desk, tmp_path: Path) -> None:
    made = desk.profiles.create(HERE, "builds")
    package = desk.sign()
    server = Profiles(tmp_path / "server" / "signer")
    server.take_in(exported(made))
    server.take_in(exported(desk.profiles.revoke(HERE, "builds", "stolen")))
    assert inspect(package, server).revoked
    server.take_in(exported(made))
    assert inspect(package, server).revoked


def test_a_profile_with_another_key_is_not_taken_in(desk: Desk) -> None:
    made = desk.profiles.create(HERE, "builds")
    forged = msgspec.structs.replace(made, public_key=bytes(32))
    assert "known here with another key" in refusal(lambda: desk.profiles.take_in(forged))
    assert desk.profiles.find(made.arn) == made


@pytest.mark.parametrize("change", [{"public_key": b""}, {"version": "../../../x"}, {"name": "a/b"}, {"account": "1"}])
def test_what_is_no_profile_is_not_taken_in(desk: Desk, change: dict[str, object]) -> None:
    made = desk.profiles.create(HERE, "builds")
    refusal(lambda: desk.profiles.take_in(msgspec.structs.replace(made, **change)))
    assert desk.profiles.items() == [made]


# Crashes...


def test_a_key_whose_profile_a_crash_has_prevented_goes_with_the_next_profile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("pasture.iam.ring.Ring._write", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.profiles.create(HERE, "builds")
    assert (len(desk.keys), desk.profiles.items()) == (1, [])
    made = desk.profiles.create(HERE, "builds")
    assert [path.stem for path in desk.keys] == [made.version]


def test_a_signed_archive_is_there_whole_or_not_at_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.profiles.create(HERE, "builds")
    package = desk.sign()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        desk.sign(code="two")
    monkeypatch.undo()
    assert (desk.directory / "out.zip").read_bytes() == package
    assert {path.name for path in desk.directory.iterdir()} == {"data", "in.zip", "out.zip"}


def test_the_private_key_of_another_profile_does_not_sign(desk: Desk) -> None:
    desk.profiles.create(HERE, "builds")
    other = desk.profiles.create(HERE, "others")
    for key in desk.keys:
        if key.stem != other.version:
            key.write_bytes((key.parent / f"{other.version}.pem").read_bytes())
    assert "is not the private key of" in refusal(desk.sign)
