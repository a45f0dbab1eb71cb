"""Deployment packages from directories: what goes in, and that equal directories give equal bytes."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from pasture.cli.zipping import pack, read_package
from pasture.kit.errors import OperatorError


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(package: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(package)).namelist()


def test_a_directory_is_packed_sorted_and_without_byte_code_or_git(tmp_path: Path) -> None:
    files = {"z.py": "", "app.py": "", "lib/b.py": "", "lib/__pycache__/b.pyc": "", ".git/HEAD": "", ".hidden": ""}
    assert names(pack(write(tmp_path, files))) == [".hidden", "app.py", "lib/b.py", "z.py"]


def test_equal_directories_give_equal_bytes_whenever_and_in_whatever_order_they_were_written(tmp_path: Path) -> None:
    files = {"app.py": "print()", "lib/x.py": "y"}
    one = write(tmp_path / "one", files)
    other = write(tmp_path / "other", dict(reversed(files.items())))
    os.utime(other / "app.py", (1, 1))
    assert pack(one) == pack(other)


def test_permissions_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"bootstrap": "#!/bin/sh"})
    (tmp_path / "bootstrap").chmod(0o755)
    [info] = zipfile.ZipFile(io.BytesIO(pack(tmp_path))).infolist()
    assert info.external_attr >> 16 == stat.S_IFREG | 0o755


def test_a_link_inside_the_directory_stays_a_link(tmp_path: Path) -> None:
    write(tmp_path, {"lib/real.so.1": "binary"})
    (tmp_path / "lib" / "real.so").symlink_to("real.so.1")
    archive = zipfile.ZipFile(io.BytesIO(pack(tmp_path)))
    link = archive.getinfo("lib/real.so")
    assert (stat.S_ISLNK(link.external_attr >> 16), archive.read(link)) == (True, b"real.so.1")


def test_a_link_out_of_the_directory_is_packed_as_what_it_leads_to(tmp_path: Path) -> None:
    write(tmp_path, {"shared/util.py": "util", "fn/app.py": "app"})
    (tmp_path / "fn" / "shared").symlink_to("../shared")
    (tmp_path / "fn" / "copy.py").symlink_to(tmp_path / "shared" / "util.py")
    archive = zipfile.ZipFile(io.BytesIO(pack(tmp_path / "fn")))
    assert {name: archive.read(name) for name in archive.namelist()} == {
        "app.py": b"app",
        "copy.py": b"util",
        "shared/util.py": b"util",
    }


def test_a_link_to_a_directory_above_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"fn/app.py": ""})
    (tmp_path / "fn" / "up").symlink_to(tmp_path / "fn")
    with pytest.raises(OperatorError, match="links to a directory that it is in"):
        pack(tmp_path / "fn")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    with pytest.raises(OperatorError, match="which is not there"):
        pack(tmp_path)


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="is empty"):
        pack(tmp_path)


def test_a_pipe_in_the_directory_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": ""})
    os.mkfifo(tmp_path / "pipe")
    assert names(pack(tmp_path)) == ["app.py"]


def test_a_zip_file_is_taken_as_it_is(tmp_path: Path) -> None:
    package = pack(write(tmp_path / "fn", {"app.py": ""}))
    (tmp_path / "fn.zip").write_bytes(package)
    assert read_package(tmp_path / "fn.zip") == package


@pytest.mark.parametrize(("name", "says"), [("app.py", "is no zip file"), ("nothing", "There is no")])
def test_code_that_is_neither_directory_nor_zip_is_refused(tmp_path: Path, name: str, says: str) -> None:
    write(tmp_path, {"app.py": "print()"})
    with pytest.raises(OperatorError, match=says):
        read_package(tmp_path / name)
