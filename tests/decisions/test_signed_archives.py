"""A signature is for the whole archive: whatever is changed, it is not good any more."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pasture.domain.code_signing import TAMPERED, UNSIGNED, CodeSignature, Inspection
from pasture.domain.scope import Scope
from pasture.kit.clock import ManualClock
from pasture.signing import archive
from pasture.signing.errors import Unsignable
from pasture.signing.profiles import Profiles
from pasture.signing.signer import Signer
from pasture.signing.verifying import inspect

JOB = "00000000-0000-4000-8000-000000000000"
Entries = list[tuple[str, bytes]]


class Desk:
    """A profile, and who signs with it."""

    def __init__(self, directory: Path) -> None:
        clock = ManualClock()
        self.profiles = Profiles(directory / "signer", clock)
        self.profile = self.profiles.create(Scope(), "builds")
        self._signer = Signer(self.profiles, clock, lambda: JOB)
        self._directory = directory

    def sign(self, package: bytes) -> bytes:
        source, target = self._directory / "in.zip", self._directory / "out.zip"
        source.write_bytes(package)
        self._signer.sign(Scope(), "builds", source, target)
        return target.read_bytes()

    def inspect(self, package: bytes) -> Inspection:
        return inspect(package, self.profiles)

    def is_good(self, package: bytes) -> bool:
        found = self.inspect(package)
        return found.signature is not None and not found.tampered


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


def zipped(entries: Entries, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        for name, data in entries:
            file.writestr(zipfile.ZipInfo(name), data, compression)
    return content.getvalue()


def entries_of(package: bytes) -> Entries:
    with zipfile.ZipFile(io.BytesIO(package)) as file:
        return [(info.filename, file.read(info)) for info in file.infolist()]


PACKAGE = zipped([("app.py", b"def handler(event, context): return 1\n"), ("lib/a.txt", b"a" * 40)])

names = st.text("abc/.é", min_size=1, max_size=6).filter(lambda name: not name.startswith("/"))
contents = st.lists(st.tuples(names, st.binary(max_size=200)), min_size=1, max_size=6, unique_by=lambda entry: entry[0])


def test_a_signed_archive_says_who_has_signed_it_until_when(desk: Desk) -> None:
    found = desk.inspect(desk.sign(PACKAGE))
    assert found.signature == CodeSignature(
        desk.profile.arn, f"arn:aws:signer:us-east-1:000000000000:/signing-jobs/{JOB}"
    )
    assert (found.tampered, found.revoked) == (False, False)
    assert found.expires > 1_700_000_000 + 11 * 365 * 86_400


def test_an_archive_without_a_signature_has_none(desk: Desk) -> None:
    assert desk.inspect(PACKAGE) == UNSIGNED
    assert desk.inspect(b"no zip") == UNSIGNED
    assert desk.inspect(b"") == UNSIGNED


@given(contents, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
@settings(deadline=None, max_examples=60)
def test_whatever_is_signed_opens_as_before_with_the_signature_as_its_last_entry(
    desk: Desk, entries: Entries, compression: int
) -> None:
    signed = desk.sign(zipped(entries, compression))
    assert desk.is_good(signed)
    with zipfile.ZipFile(io.BytesIO(signed)) as file:
        assert file.testzip() is None
    assert entries_of(signed)[:-1] == entries
    assert entries_of(signed)[-1][0] == archive.NAME


def test_no_bit_of_a_signed_archive_can_be_changed(desk: Desk) -> None:
    signed = desk.sign(PACKAGE)
    changed = bytearray(signed)
    good = []
    for bit in range(8 * len(signed)):
        changed[bit // 8] ^= 1 << bit % 8
        if desk.is_good(bytes(changed)):
            good.append(bit)
        changed[bit // 8] ^= 1 << bit % 8
    assert good == []
    assert desk.is_good(bytes(changed))


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_no_stretch_of_it_can_be_replaced_removed_or_put_in(desk: Desk, data: st.DataObject) -> None:
    signed = desk.sign(PACKAGE)
    start = data.draw(st.integers(0, len(signed)))
    end = data.draw(st.integers(start, min(len(signed), start + 40)))
    changed = signed[:start] + data.draw(st.binary(max_size=40)) + signed[end:]
    assert desk.is_good(changed) is (changed == signed)


def added(entries: Entries) -> Entries:
    return [("evil.py", b"import os"), *entries]


def added_behind(entries: Entries) -> Entries:
    return [*entries, ("evil.py", b"import os")]


def removed(entries: Entries) -> Entries:
    return entries[1:]


def renamed(entries: Entries) -> Entries:
    return [("app2.py", entries[0][1]), *entries[1:]]


def doubled(entries: Entries) -> Entries:
    return [entries[0], *entries]


def emptied(entries: Entries) -> Entries:
    return [(entries[0][0], b""), *entries[1:]]


def turned_round(entries: Entries) -> Entries:
    return [entries[1], entries[0], entries[2]]


def moved_over_the_boundary(entries: Entries) -> Entries:
    """Name and content joined are the same."""
    (name, content), *rest = entries
    return [(name + content[:1].decode(), content[1:]), *rest]


def only_repacked(entries: Entries) -> Entries:
    return entries


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "change",
    [added, added_behind, removed, renamed, doubled, emptied, turned_round, moved_over_the_boundary, only_repacked],
)
def test_a_signature_that_is_packed_with_other_entries_is_none_of_theirs(
    desk: Desk, change: Callable[[Entries], Entries]
) -> None:
    repacked = zipped(change(entries_of(desk.sign(PACKAGE))))
    assert desk.inspect(repacked) == TAMPERED


@given(contents, contents)
@settings(deadline=None, max_examples=60)
def test_the_signature_of_one_archive_is_not_good_for_another(desk: Desk, one: Entries, other: Entries) -> None:
    first, second = desk.sign(zipped(one)), desk.sign(zipped(other))
    with io.BytesIO(first) as file:
        foreign = archive.read_signed(file)
    with io.BytesIO(second) as file:
        own = archive.read_signed(file)
    assert foreign is not None
    assert own is not None
    grafted = second[: own.body.size] + archive.tail(foreign.envelope, own.body)
    assert desk.is_good(grafted) is (zipped(one) == zipped(other))
    assert desk.inspect(grafted).tampered is (zipped(one) != zipped(other))


def test_a_signature_of_an_unknown_profile_is_none(desk: Desk, tmp_path: Path) -> None:
    signed = Desk(tmp_path).sign(PACKAGE)
    assert desk.inspect(signed) == UNSIGNED
    assert desk.inspect(signed.replace(b"lib/a", b"lib/b")) == TAMPERED


def test_the_mode_of_a_file_is_signed_too(desk: Desk) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        info = zipfile.ZipInfo("run.sh")
        info.external_attr = 0o100644 << 16
        file.writestr(info, "true")
    signed = desk.sign(content.getvalue())
    at = signed.rindex((0o100644 << 16).to_bytes(4, "little"), 0, signed.rindex(archive.NAME.encode()) - 46)
    changed = signed[:at] + (0o100755 << 16).to_bytes(4, "little") + signed[at + 4 :]
    assert zipfile.ZipFile(io.BytesIO(changed)).infolist()[0].external_attr == 0o100755 << 16
    assert desk.inspect(changed) == TAMPERED


@pytest.mark.parametrize("suffix", [b"x", b"\0" * 22, b"PK\5\6" + bytes(18)])
def test_nothing_can_be_put_behind_a_signed_archive(desk: Desk, suffix: bytes) -> None:
    assert not desk.is_good(desk.sign(PACKAGE) + suffix)


# What cannot be signed...


def unsignable(package: bytes) -> str:
    with pytest.raises(Unsignable) as failure:
        archive.read_unsigned(io.BytesIO(package))
    return str(failure.value)


def test_what_is_signed_already_empty_or_no_archive_cannot_be_signed(desk: Desk) -> None:
    assert unsignable(desk.sign(PACKAGE)) == "it has a signature already"
    assert unsignable(zipped([])) == "it is empty"
    assert unsignable(b"no zip") == unsignable(b"") == "it is no zip archive, or a broken one"
    assert unsignable(b"#!/bin/sh\n" + PACKAGE).startswith("something stands before its first entry")


def test_a_comment_of_the_archive_is_left_out_when_it_is_signed(desk: Desk) -> None:
    content = io.BytesIO(PACKAGE)
    with zipfile.ZipFile(content, "a") as file:
        file.comment = b"hello there"
    signed = desk.sign(content.getvalue())
    assert desk.is_good(signed)
    assert zipfile.ZipFile(io.BytesIO(signed)).comment == b""


def test_an_archive_of_a_streaming_tool_can_be_signed(desk: Desk) -> None:
    """Sizes behind the data, and 64-bit fields where none are needed."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.content += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as file, file.open("app.py", "w", force_zip64=True) as entry:
        entry.write(b"x = 1\n")
    signed = desk.sign(pipe.content)
    assert desk.is_good(signed)
    assert entries_of(signed)[0] == ("app.py", b"x = 1\n")
