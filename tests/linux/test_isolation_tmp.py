"""A /tmp on disk: its size, what it costs in memory, and that nothing of it is left."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.isolation_programs import MIB, box, python, shell
from linux.box_fixtures import attached, opened, skip_without_namespaces, until
from pasture.isolation.spec import Exit, Isolation, Sandbox, SandboxError
from pasture.isolation.tmp_images import TmpImages


@pytest.fixture
async def isolation(tmp_path: Path) -> AsyncIterator[Isolation]:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as kind:
        if missing := [warning for warning in kind.warnings if "/tmp" in warning]:
            pytest.skip(missing[0])
        yield kind


async def size_of_tmp(sandbox: Sandbox) -> int:
    script = "import os; s = os.statvfs('/tmp'); print(s.f_bavail * s.f_frsize)"
    how, text = await python(sandbox, script)
    assert how == Exit(0), text
    return int(text)


@pytest.mark.parametrize("megabytes", [1, 16, 512, 10_240])
async def test_it_has_the_size_that_was_asked_for(isolation: Isolation, megabytes: int) -> None:
    size = await size_of_tmp(await isolation.create(box("sized", tmp=megabytes * MIB)))
    assert 0.93 * megabytes * MIB < size <= megabytes * MIB


async def test_boxes_with_different_sizes_follow_each_other(isolation: Isolation) -> None:
    sizes = [16, 512, 512, 16, 32]
    for n, megabytes in enumerate(sizes):
        sandbox = await isolation.create(box(f"box-{n}", tmp=megabytes * MIB))
        assert round(await size_of_tmp(sandbox) / MIB / megabytes, 1) == 1


async def test_it_is_empty_and_everyone_may_write(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("empty"))
    assert await shell(sandbox, "ls -A /tmp; stat -c '%a %u' /tmp") == (Exit(0), "1777 0\n")


async def test_what_is_in_it_does_not_count_against_the_memory(isolation: Isolation) -> None:
    sandbox = await isolation.create(box("small", memory=64 * MIB, tmp=256 * MIB))
    script = (
        "with open('/tmp/big', 'wb') as f:\n"
        "    for _ in range(200): f.write(bytes(1 << 20))\n"
        "kept = bytearray(b'x') * (40 << 20)\n"
        "print(sum(len(piece) for piece in iter(lambda f=open('/tmp/big', 'rb'): f.read(1 << 20), b'')) >> 20)"
    )
    assert await python(sandbox, script) == (Exit(0), "200\n")


async def test_what_is_deleted_is_given_back_to_the_host(isolation: Isolation, tmp_path: Path) -> None:
    sandbox = await isolation.create(box("giving", tmp=128 * MIB))
    await shell(sandbox, "head -c 100M /dev/urandom > /tmp/big; sync /tmp/big")
    full = _free(tmp_path)
    await shell(sandbox, "rm /tmp/big; sync /tmp")
    await until(lambda: _free(tmp_path) - full > 80 * MIB)


def _free(path: Path) -> int:
    there = os.statvfs(path)
    return there.f_bfree * there.f_frsize


async def test_nothing_of_a_box_is_left(tmp_path: Path) -> None:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as isolation:
        for n in range(10):
            sandbox = await isolation.create(box(f"box-{n}"))
            await shell(sandbox, "head -c 1M /dev/zero > /tmp/file")
            await sandbox.destroy()
        # Besides those of the blank boxes in stock.
        await until(lambda: len(attached(tmp_path)) <= isolation.stock)
        images = tmp_path / "run" / "tmp-images"
        assert [path.suffix for path in images.iterdir()] == [".ext4"] * len(list(images.iterdir()))
    await until(lambda: attached(tmp_path) == [])
    assert not (tmp_path / "run" / "tmp-images").exists()


async def test_a_program_that_holds_a_file_open_does_not_keep_it(tmp_path: Path) -> None:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as isolation:
        sandbox = await isolation.create(box("holding"))
        await shell(sandbox, "cd /tmp; setsid sh -c 'exec 5>/tmp/file; sleep 1000' >/dev/null 2>&1 &")
        await sandbox.destroy()
    await until(lambda: attached(tmp_path) == [])


async def test_images_of_an_earlier_session_are_made_anew(tmp_path: Path) -> None:
    skip_without_namespaces()
    images = tmp_path / "run" / "tmp-images"
    images.mkdir(parents=True)
    (images / f"{16 * MIB}.ext4").write_bytes(b"half of it")
    async with opened(tmp_path / "run") as isolation:
        assert await size_of_tmp(await isolation.create(box("one", tmp=16 * MIB))) > 15 * MIB


async def test_more_than_the_disk_has_is_refused_by_name(isolation: Isolation, tmp_path: Path) -> None:
    too_much = _free(tmp_path) // MIB + 1024
    with pytest.raises(SandboxError, match=r"cannot copy .*\.ext4: No space left on device"):
        await isolation.create(box("huge", tmp=too_much * MIB))


def test_where_an_image_cannot_be_made_it_is_said_why(tmp_path: Path) -> None:
    why = "there is no mkfs.ext4 (Debian's package e2fsprogs)" if os.geteuid() == 0 else "a /tmp on disk takes root"
    assert TmpImages(tmp_path / "images", path=str(tmp_path)).why_not() == why
