"""What the SQLite store promises beyond the contract: reopening, kill -9, damaged and full disks."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pasture.kit.errors import OperatorError
from pasture.store.database import Database
from pasture.store.errors import StoreFailed, StoreFull
from pasture.store.kinds.sqlite import SqliteDocuments
from pasture.store.opening import Schema

# Acknowledges on standard output what it has written, until it is killed.
WRITER = """
import asyncio, sys
from pathlib import Path
from pasture.store.kinds.sqlite import SqliteDocuments
from pasture.store.opening import Schema

async def write(documents, writer):
    for number in range(1_000_000):
        await documents.put(f"w{writer}/{number:07}", bytes([number % 256]) * 3_000, expect=0)
        sys.stdout.write(f"w{writer}/{number:07}\\n")
        sys.stdout.flush()

async def main():
    documents = await SqliteDocuments.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(documents, writer) for writer in range(20)))

asyncio.run(main())
"""


async def test_documents_and_revisions_survive_reopening(tmp_path: Path) -> None:
    documents = await SqliteDocuments.open(tmp_path / "d.db")
    kept = await documents.put("a", b"1")
    gone = await documents.put("b", b"1")
    await documents.delete("b")
    await documents.close()
    reopened = await SqliteDocuments.open(tmp_path / "d.db")
    assert await reopened.get("a") == kept
    assert (await reopened.put("c", b"1")).revision > gone.revision
    await reopened.close()


async def test_after_kill_9_every_acknowledged_write_is_there_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:  # noqa: ASYNC220 - nothing else waits
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().decode().strip() for _ in range(500)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().decode().split("\n")[:-1]
    documents = await SqliteDocuments.open(path)
    found = {document.key: document.value for document in await documents.list("", limit=1_000_000)}
    await documents.close()
    assert set(acknowledged) <= set(found)
    assert all(value == bytes([int(key[-7:]) % 256]) * 3_000 for key, value in found.items())


@pytest.mark.parametrize("content", [b"no database " * 1_000, b"SQLite format 3\x00" + bytes(200)])
async def test_a_file_that_is_damaged_is_the_operators_to_mend(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.db").write_bytes(content)
    with pytest.raises(OperatorError, match=r"cannot open .*d\.db: .* restore it from a backup"):
        await SqliteDocuments.open(tmp_path / "d.db")


async def test_damage_in_the_middle_of_the_file_is_the_operators_to_mend(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    documents = await SqliteDocuments.open(path)
    await asyncio.gather(*(documents.put(f"k{number:05}", b"x" * 500) for number in range(500)))
    await documents.close()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    damaged = await SqliteDocuments.open(path)
    with pytest.raises(OperatorError, match=r"cannot read .*d\.db: .* restore it from a backup"):
        await damaged.list("k")
    await damaged.close()


async def test_a_file_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    newer = await Database.open(path, Schema([["CREATE TABLE a (x)"], ["CREATE TABLE b (x)"]]))
    await newer.close()
    before = path.read_bytes()
    with pytest.raises(OperatorError, match=r"a newer Pasture has written it \(format 2, this one knows 1\)"):
        await SqliteDocuments.open(path)
    assert path.read_bytes() == before


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(OperatorError, match="another program's database"):
        await SqliteDocuments.open(tmp_path / "d.db")


async def test_a_directory_that_is_not_there_is_the_operators_to_mend(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="Check that the directory exists"):
        await SqliteDocuments.open(tmp_path / "none" / "d.db")


async def test_an_older_file_is_brought_forward_with_its_content(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    first = ["CREATE TABLE a (x)", "INSERT INTO a VALUES (1)"]
    await (await Database.open(path, Schema([first]))).close()
    brought = await Database.open(path, Schema([first, ["ALTER TABLE a ADD COLUMN y DEFAULT 2"]]))
    assert await brought.read(lambda c: c.execute("SELECT x, y FROM a").fetchall()) == [(1, 2)]
    await brought.close()


async def test_when_the_disk_is_full_writers_are_told_and_it_works_again_when_there_is_room(tmp_path: Path) -> None:
    documents = await SqliteDocuments.open(tmp_path / "d.db")
    small = await documents.put("small", b"1")
    # SQLite's own limit answers as a full disk does.
    await documents._database.write(lambda c: c.execute("PRAGMA max_page_count = 40").fetchall())
    answers = await asyncio.gather(
        *(documents.put(f"big{number}", b"x" * 100_000) for number in range(5)),
        documents.put("small", b"2", expect=small.revision),
        return_exceptions=True,
    )
    full = [answer for answer in answers if isinstance(answer, StoreFull)]
    assert len(full) >= 4
    assert "Free space" in str(full[0])
    still = await documents.get("small")
    assert still is not None
    assert still.value == b"2"
    await documents._database.write(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchall())
    await documents.put("big", b"x" * 100_000)
    assert await documents.count("big") == 1 + 5 - len(full)
    await documents.close()


async def test_what_was_handed_in_before_close_is_written(tmp_path: Path) -> None:
    documents = await SqliteDocuments.open(tmp_path / "d.db")
    writes = [asyncio.ensure_future(documents.put(f"k{number}", b"1")) for number in range(300)]
    await asyncio.sleep(0)
    await documents.close()
    await documents.close()
    await asyncio.gather(*writes)
    reopened = await SqliteDocuments.open(tmp_path / "d.db")
    assert await reopened.count("k") == 300
    await reopened.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    documents = await SqliteDocuments.open(tmp_path / "d.db")
    await documents.close()
    with pytest.raises(RuntimeError, match="is closed"):
        await documents.put("a", b"1")
    with pytest.raises(RuntimeError, match="is closed"):
        await documents.get("a")


async def test_a_write_that_fails_unexpectedly_fails_alone_and_the_store_goes_on(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "d.db", Schema([["CREATE TABLE a (x)"]]))

    def ends_the_transaction(c: sqlite3.Connection) -> None:
        c.execute("ROLLBACK")

    answers = await asyncio.gather(
        database.write(lambda c: c.execute("INSERT INTO a VALUES (1)").rowcount),
        database.write(lambda c: c.execute("INSERT INTO none VALUES (1)").rowcount),
        database.write(ends_the_transaction),
        database.write(lambda c: c.execute("INSERT INTO a VALUES (2)").rowcount),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [int, StoreFailed, StoreFailed, int]
    assert await database.read(lambda c: c.execute("SELECT x FROM a").fetchall()) == [(1,), (2,)]
    await database.close()
