"""Blobs: whole under their own name, or not there."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pasture.store.blobs import Blobs

HELLO = hashlib.sha256(b"hello").hexdigest()

# Says the hash of every blob that is durable, until it is killed.
WRITER = """
import asyncio, sys
from pathlib import Path
from pasture.store.blobs import Blobs

async def main():
    blobs = Blobs(Path(sys.argv[1]))
    for number in range(1_000_000):
        print(await blobs.put(number.to_bytes(4, "big") * 500_000), flush=True)

asyncio.run(main())
"""


async def test_a_blob_is_found_by_the_hash_of_its_bytes(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    assert await blobs.put(b"hello") == HELLO
    assert blobs.path(HELLO) == tmp_path / "blobs" / HELLO[:2] / HELLO[2:4] / HELLO
    assert blobs.path(HELLO).read_bytes() == b"hello"
    assert await blobs.exists(HELLO)


async def test_putting_the_same_bytes_again_leaves_the_file_alone(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await blobs.put(b"hello")
    before = blobs.path(HELLO).stat()
    assert await blobs.put(b"hello") == HELLO
    assert blobs.path(HELLO).stat() == before


async def test_many_writers_of_the_same_bytes_leave_one_whole_file_and_no_leftovers(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    data = b"x" * 1_000_000
    (sha256,) = set(await asyncio.gather(*(blobs.put(data) for _ in range(20))))
    assert blobs.path(sha256).read_bytes() == data
    assert await blobs.sizes() == {sha256: 1_000_000}
    assert await blobs.clear_temporary() == 0


async def test_a_blob_that_is_deleted_is_gone_and_deleting_again_says_so(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await blobs.put(b"hello")
    assert [await blobs.delete(HELLO), await blobs.delete(HELLO)] == [True, False]
    assert not await blobs.exists(HELLO)
    assert await blobs.sizes() == {}


async def test_what_a_crash_left_half_written_is_no_blob_and_is_cleared(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await blobs.put(b"hello")
    (tmp_path / "temporary" / "half").write_bytes(b"hel")
    assert await blobs.sizes() == {HELLO: 5}
    assert await blobs.clear_temporary() == 1
    assert list((tmp_path / "temporary").iterdir()) == []
    assert await blobs.exists(HELLO)


async def test_a_blob_cannot_be_written_by_accident(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await blobs.put(b"hello")
    assert blobs.path(HELLO).stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "ABCDEF", HELLO.upper(), HELLO + "\n", "a" * 63])
async def test_a_name_that_is_not_a_hash_is_never_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        await Blobs(tmp_path).exists(name)


async def test_after_kill_9_every_blob_is_whole_and_every_acknowledged_one_is_there(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:  # noqa: ASYNC220 - nothing else waits
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().decode().strip() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().decode().split("\n")[:-1]
    blobs = Blobs(tmp_path)
    found = await blobs.sizes()
    assert set(acknowledged) <= set(found)
    for sha256 in found:
        assert hashlib.sha256(blobs.path(sha256).read_bytes()).hexdigest() == sha256
    await blobs.clear_temporary()
    assert len(list((tmp_path / "temporary").iterdir())) == 0


async def test_what_was_received_bit_by_bit_is_kept_as_if_it_had_been_put(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    async with blobs.receiving() as path:
        path.write_bytes(b"hello")
        await blobs.keep(path, HELLO)
        assert blobs.path(HELLO).read_bytes() == b"hello"
    assert blobs.path(HELLO).stat().st_mode & 0o777 == 0o444
    async with blobs.receiving() as path:
        path.write_bytes(b"hello")
        await blobs.keep(path, HELLO)
    assert await blobs.sizes() == {HELLO: 5}
    assert list((tmp_path / "blobs" / "temporary").iterdir()) == []


async def test_what_was_received_and_not_kept_is_gone(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    async with blobs.receiving() as path:
        path.write_bytes(b"half of it")
    assert not path.exists()
    assert await blobs.sizes() == {}
