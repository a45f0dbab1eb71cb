"""Deployment packages: what is unpacked and how, and what is refused."""

import asyncio
import hashlib
import io
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.errors import ApiError, InvalidParameterValue, RequestEntityTooLarge
from pasture.domain.function import Code
from pasture.domain.limits import Limits
from pasture.functions.package import Packages
from pasture.functions.unzip import unzip
from pasture.store.blobs import Blobs

LIMIT = 1_000_000

REFUSED = "Could not unzip uploaded file. Please check your file, then try to upload again."


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes | str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in entries:
            archive.writestr(entry(name) if isinstance(name, str) else name, data)
    return content.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, str]:
    return entry(name, 0o120777), target


def tree_of(directory: Path) -> dict[str, object]:
    """Every path below, with its content, where its link leads, or None for a directory."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(directory):
        for name in [*folders, *files]:
            path = Path(folder, name)
            key = str(path.relative_to(directory))
            if path.is_symlink():
                found[key] = f"-> {path.readlink()}"
            else:
                found[key] = None if path.is_dir() else path.read_bytes()
    return found


def refusal(zip_bytes: bytes, into: Path) -> str:
    with pytest.raises(InvalidParameterValue) as failure:
        unzip(zip_bytes, into, LIMIT)
    return failure.value.message


# What is unpacked...


def test_files_directories_and_links_come_out(tmp_path: Path) -> None:
    unzip(
        zip_of(
            ("main.py", "code"), ("pkg/sub/a.txt", b"a"), (entry("empty/", 0o40755), b""), link("pkg/l", "../main.py")
        ),
        tmp_path,
        LIMIT,
    )
    assert tree_of(tmp_path) == {
        "main.py": b"code",
        "pkg": None,
        "pkg/sub": None,
        "pkg/sub/a.txt": b"a",
        "pkg/l": "-> ../main.py",
        "empty": None,
    }


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (0o100600, 0o644),
        (0o100644, 0o644),
        (0o100666, 0o644),
        (0o100744, 0o755),
        (0o104755, 0o755),
        (0o755, 0o755),
        (0, 0o644),
    ],
)
def test_files_are_readable_by_everyone_and_executable_when_they_were(tmp_path: Path, mode: int, expected: int) -> None:
    unzip(zip_of((entry("bootstrap", mode), "x")), tmp_path, LIMIT)
    assert stat.S_IMODE((tmp_path / "bootstrap").stat().st_mode) == expected


def test_directories_are_open_to_everyone_whatever_the_archive_says(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        unzip(zip_of((entry("d/", 0o40700), b""), ("e/f", b"")), tmp_path, LIMIT)
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (".", "d", "e")] == [0o755] * 3


def test_the_same_package_is_the_same_tree_whenever_it_is_unpacked(tmp_path: Path) -> None:
    unzip(zip_of(("d/f", b""), link("l", "d")), tmp_path, LIMIT)
    assert {(tmp_path / name).lstat().st_mtime for name in ("d", "d/f", "l", ".")} == {315_532_800.0}


def test_names_are_utf8_flagged_or_not(tmp_path: Path) -> None:
    flagged = zip_of(("käse.py", b"x"))
    unflagged = bytearray(flagged)
    central = unflagged.index(b"PK\1\2")
    unflagged[7] &= ~0x08
    unflagged[central + 9] &= ~0x08
    unzip(bytes(unflagged), tmp_path, LIMIT)
    assert tree_of(tmp_path) == {"käse.py": b"x"}


def test_a_dot_and_a_doubled_slash_in_a_name_mean_nothing(tmp_path: Path) -> None:
    unzip(zip_of(("./a//b.py", b"x"), (entry("./", 0o40755), b"")), tmp_path, LIMIT)
    assert tree_of(tmp_path) == {"a": None, "a/b.py": b"x"}


def test_links_within_the_package_may_climb_meet_and_lead_nowhere(tmp_path: Path) -> None:
    unzip(
        zip_of(link("a/b/up", "../../x"), link("x", "a"), link("y", "x/b/up/nowhere"), link("self", ".")),
        tmp_path,
        LIMIT,
    )
    assert (tmp_path / "a/b/up").readlink() == Path("../../x")


# What is refused...


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "a/..",
        "/etc/passwd",
        "//x",
        "..",
        "a\\b",
        "..\\evil",
        "x" * 256,
        "d/" * 600 + "f",
        ".",
    ],
)
def test_a_name_that_leaves_its_place_is_refused(tmp_path: Path, name: str) -> None:
    into = tmp_path / "into"
    into.mkdir()
    assert refusal(zip_of((name, b"x")), into) == REFUSED
    assert tree_of(tmp_path) == {"into": None}


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    assert refusal(zip_of(("aXb", b"x")).replace(b"aXb", b"a\0b"), tmp_path) == REFUSED


@pytest.mark.parametrize(
    "links",
    [
        [link("l", "/etc/passwd")],
        [link("l", "../outside")],
        [link("a/l", "../../outside")],
        [link("a/l", "b/../../../outside")],
        [link("up", "a/.."), link("l", "up/../outside")],
        [link("a/deep", "../a"), link("l", "a/deep/../../outside")],
        [link("d", "e/f"), link("e/f", ".."), link("l", "d/../../outside")],
        [link("l", "l")],
        [link("a", "b"), link("b", "a")],
        [link("l", "")],
        [link("l", "x" * 5000)],
        [link("l", "a\0b")],
    ],
)
def test_a_link_that_may_lead_out_or_in_a_circle_is_refused(
    tmp_path: Path, links: list[tuple[zipfile.ZipInfo, str]]
) -> None:
    assert refusal(zip_of(*links), tmp_path) == REFUSED
    assert tree_of(tmp_path) == {}


def test_links_that_would_take_long_to_follow_are_refused(tmp_path: Path) -> None:
    far = "a/../" * 800
    links = [link(f"l{n}", f"{far}l{n + 1}" if n % 30 else far) for n in range(3_000)]
    assert refusal(zip_of(*links), tmp_path) == REFUSED
    assert tree_of(tmp_path) == {}


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    assert refusal(zip_of(link("d", "e"), ("d/f", b"x")), tmp_path) == REFUSED
    assert tree_of(tmp_path) == {}


@pytest.mark.parametrize(
    "names", [["a", "a"], ["a", "./a"], ["a", "a/"], ["a/", "a"], ["a", "a/b"], ["a/b", "a"], ["a/b/c", "a/b"]]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_for_one_path_are_refused(tmp_path: Path, names: list[str]) -> None:
    assert refusal(zip_of(*((entry(name), b"") for name in names)), tmp_path) == REFUSED


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_special_files_are_refused(tmp_path: Path, kind: int) -> None:
    assert refusal(zip_of((entry("x", kind | 0o644), b"")), tmp_path) == REFUSED


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_uncommon_compression_is_refused(tmp_path: Path, method: int) -> None:
    info = entry("x")
    info.compress_type = method
    assert refusal(zip_of((info, b"x" * 100)), tmp_path) == REFUSED


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    encrypted = bytearray(zip_of(("x", b"x")))
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\1\2") + 8] |= 1
    assert refusal(bytes(encrypted), tmp_path) == REFUSED


@pytest.mark.parametrize("junk", [b"not a zip", b"", b"PK\3\4", b"PK\5\6" + bytes(17)])
def test_what_is_no_zip_is_refused(tmp_path: Path, junk: bytes) -> None:
    assert refusal(junk, tmp_path) == REFUSED


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    assert refusal(zip_of(), tmp_path) == "Uploaded file must be a non-empty zip"


def test_a_damaged_entry_is_refused(tmp_path: Path) -> None:
    damaged = bytearray(zip_of(("x", os.urandom(1000))))
    damaged[200] ^= 0xFF
    assert refusal(bytes(damaged), tmp_path) == REFUSED


# What would be too much...


def test_what_really_comes_out_is_counted(tmp_path: Path) -> None:
    bomb = zip_of(*((f"f{n}", bytes(300_000)) for n in range(4)))
    assert len(bomb) < 3_000
    assert refusal(bomb, tmp_path) == f"Unzipped size must be smaller than {LIMIT} bytes"


def test_a_package_of_exactly_the_limit_fits(tmp_path: Path) -> None:
    unzip(zip_of(("a", bytes(LIMIT - 1)), ("b", b"x")), tmp_path, LIMIT)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == LIMIT


def test_a_size_that_lies_does_not_help(tmp_path: Path) -> None:
    """The sizes in both headers say 10 bytes; 5,000,000 come out."""
    bomb = bytearray(zip_of(("x", bytes(5_000_000))))
    central = bomb.index(b"PK\1\2")
    bomb[22:26] = struct.pack("<I", 10)
    bomb[central + 24 : central + 28] = struct.pack("<I", 10)
    assert refusal(bytes(bomb), tmp_path) == REFUSED
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    whole = zip_of(("a", b"x" * 10_000))
    central = whole.index(b"PK\1\2")
    end = whole.index(b"PK\5\6")
    directory = whole[central:end]
    many = b"".join(directory.replace(b"a", name) for name in (b"a", b"b", b"c"))
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, len(many), central, 0)
    assert refusal(whole[:central] + many + tail, tmp_path) == REFUSED


@pytest.mark.parametrize("names", [[f"f{n}" for n in range(21)], [f"{'d/' * 20}f"]])
def test_too_many_entries_are_refused_with_the_directories_they_imply(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(InvalidParameterValue, match="Could not unzip"):
        unzip(zip_of(*((name, b"") for name in names)), tmp_path, LIMIT, entries_max=20)


names = st.text(st.sampled_from("ab./\\\0-"), min_size=1, max_size=12)
kinds = st.sampled_from([0o100644, 0o40755, 0o120777, 0o10644])


@given(st.lists(st.tuples(names, kinds, st.text(st.sampled_from("ab./"), max_size=9)), min_size=1, max_size=5))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_archive_leaves_its_directory(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, int, str]]
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    into = outer / "into"
    into.mkdir()
    try:
        unzip(zip_of(*((entry(name, mode), content) for name, mode, content in entries)), into, LIMIT)
    except ApiError:
        pass
    else:
        for folder, folders, files in os.walk(into):
            for name in [*folders, *files]:
                assert Path(folder, name).resolve().is_relative_to(into)
    assert list(outer.iterdir()) == [into]


# Kept, held and collected...


@pytest.fixture
async def packages(tmp_path: Path) -> Packages:
    packages = Packages(tmp_path / "packages", Blobs(tmp_path / "blobs"), Limits(code_zipped_bytes=10_000))
    await packages.open()
    return packages


PACKAGE = zip_of(("main.py", b"code"))
SHA256 = hashlib.sha256(PACKAGE).hexdigest()


async def add(packages: Packages, zip_bytes: bytes = PACKAGE) -> Code:
    async with packages.adding(zip_bytes) as code:
        return code


def says(*referenced: str) -> "Callable[[str], asyncio.Future[bool]]":
    def is_referenced(sha256: str) -> "asyncio.Future[bool]":
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answer.set_result(sha256 in referenced)
        return answer

    return is_referenced


async def test_a_package_is_kept_under_its_digest(packages: Packages, tmp_path: Path) -> None:
    assert await add(packages) == Code(SHA256, len(PACKAGE))
    assert await packages.tree(SHA256) == tmp_path / "packages" / SHA256
    assert tree_of(tmp_path / "packages" / SHA256) == {"main.py": b"code"}


async def test_a_package_that_is_too_large_is_answered_before_it_is_read(packages: Packages) -> None:
    with pytest.raises(RequestEntityTooLarge) as failure:
        await add(packages, bytes(10_001))
    assert failure.value.message == "Zipped size must be smaller than 10000 bytes"


async def test_a_package_that_is_refused_leaves_nothing(packages: Packages, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterValue):
        await add(packages, zip_of(("a", b"x"), ("../b", b"x")))
    assert tree_of(tmp_path / "packages") == {}
    assert not (tmp_path / "blobs").exists()


async def test_a_check_answers_the_digest_and_keeps_nothing(packages: Packages, tmp_path: Path) -> None:
    assert await packages.check(PACKAGE) == Code(SHA256, len(PACKAGE))
    assert tree_of(tmp_path / "packages") == {}


async def test_a_tree_that_is_gone_is_unpacked_again_from_its_blob(packages: Packages, tmp_path: Path) -> None:
    await add(packages)
    (tmp_path / "packages" / SHA256).rename(tmp_path / "elsewhere")
    assert tree_of(await packages.tree(SHA256)) == {"main.py": b"code"}


async def test_a_tree_without_a_blob_is_not_found(packages: Packages) -> None:
    with pytest.raises(FileNotFoundError):
        await packages.tree("0" * 64)


async def test_leftovers_of_a_killed_server_are_cleared(tmp_path: Path) -> None:
    directory = tmp_path / "packages"
    (directory / ".making-1234" / "d").mkdir(parents=True)
    (directory / ("0" * 64)).mkdir()
    packages = Packages(directory, Blobs(tmp_path / "blobs"), Limits())
    await packages.open()
    await add(packages)
    await Packages(directory, Blobs(tmp_path / "blobs"), Limits()).open()
    assert tree_of(directory) == {SHA256: None, f"{SHA256}/main.py": b"code"}


async def test_many_who_add_and_ask_at_once_get_one_whole_tree(packages: Packages, tmp_path: Path) -> None:
    await asyncio.gather(*(add(packages) for _ in range(8)))
    trees = await asyncio.gather(*(packages.tree(SHA256) for _ in range(8)))
    assert {tree_of(tree)["main.py"] for tree in trees} == {b"code"}
    assert tree_of(tmp_path / "packages") == {SHA256: None, f"{SHA256}/main.py": b"code"}


async def test_what_is_neither_held_nor_referenced_is_collected(packages: Packages, tmp_path: Path) -> None:
    await add(packages)
    assert await packages.remove_unless_needed(SHA256, says())
    assert tree_of(tmp_path / "packages") == {}
    with pytest.raises(FileNotFoundError):
        await packages.tree(SHA256)


async def test_what_is_referenced_is_not_collected(packages: Packages) -> None:
    await add(packages)
    assert not await packages.remove_unless_needed(SHA256, says(SHA256))
    assert (await packages.tree(SHA256)).is_dir()


async def test_what_is_held_is_collected_only_when_the_last_holder_has_let_go(packages: Packages) -> None:
    await add(packages)
    packages.hold(SHA256)
    packages.hold(SHA256)
    packages.release(SHA256)
    assert not await packages.remove_unless_needed(SHA256, says())
    packages.release(SHA256)
    assert await packages.remove_unless_needed(SHA256, says())


async def test_a_blob_whose_tree_is_gone_is_collected_too(packages: Packages, tmp_path: Path) -> None:
    await add(packages)
    (tmp_path / "packages" / SHA256).rename(tmp_path / "elsewhere")
    assert await packages.remove_unless_needed(SHA256, says())
    assert not Blobs(tmp_path / "blobs").path(SHA256).exists()


async def test_a_package_that_comes_while_it_is_collected_stays(packages: Packages) -> None:
    """It comes after the collector has asked whether anything refers to it, and before it removes it."""
    await add(packages)
    asked, proceed = asyncio.Event(), asyncio.Event()

    async def is_referenced(_sha256: str) -> bool:
        asked.set()
        await proceed.wait()
        return False

    collecting = asyncio.create_task(packages.remove_unless_needed(SHA256, is_referenced))
    await asked.wait()
    adding = asyncio.create_task(add(packages))
    proceed.set()
    await asyncio.gather(collecting, adding)
    assert tree_of(await packages.tree(SHA256)) == {"main.py": b"code"}
    assert not await packages.remove_unless_needed(SHA256, says(SHA256))


async def test_a_package_is_suspected_when_its_last_holder_lets_go(packages: Packages) -> None:
    packages.hold(SHA256)
    packages.hold(SHA256)
    waiting = asyncio.create_task(packages.suspects())
    packages.release(SHA256)
    await asyncio.sleep(0)
    assert not waiting.done()
    packages.release(SHA256)
    assert await waiting == {SHA256}


async def test_everything_there_is_anything_of_is_stored(packages: Packages, tmp_path: Path) -> None:
    await add(packages)
    await Blobs(tmp_path / "blobs").put(b"a blob without a tree")
    (tmp_path / "packages" / ("0" * 64)).mkdir()
    assert await packages.stored() == {SHA256, "0" * 64, hashlib.sha256(b"a blob without a tree").hexdigest()}
