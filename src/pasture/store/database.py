"""One SQLite file: a writer thread that commits in groups, and a few readers beside it. Knows no table.

Whoever writes hands in a function of the connection and awaits its answer. The writer
takes every function that waits, runs each in a savepoint of one transaction, commits
once, and answers them all: many writers share one wait for the disk. A function that
raises is undone alone. When the transaction itself fails, every writer in it gets the
error and nothing of it stays.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pasture.store.errors import StoreBusy, StoreFailed, StoreFull
from pasture.store.opening import Schema, connect, connect_reader, failure

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

_GROUP = 1_000
_READERS = 2


@dataclass(slots=True, eq=False)
class _Write:
    work: Work[Any]
    answer: "asyncio.Future[Any]"
    after: Callable[[Any], None] | None
    result: Any = None
    error: BaseException | None = None


class Database:
    """Made by `open`, which binds it to the running event loop."""

    def __init__(self, path: Path, schema: Schema, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._connection = connect(path, schema)
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for _ in range(_READERS):
            self._readers.put(connect_reader(path))
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix=f"read {path.name}")
        # A daemon, so that a server that crashes is not held back: what was acknowledged is durable.
        self._thread = threading.Thread(target=self._run, name=f"write {path.name}", daemon=True)
        self._thread.start()
        self._closed = False

    @classmethod
    async def open(cls, path: Path, schema: Schema) -> Self:
        """Raises OperatorError when the file is damaged, not ours, newer than this program, or cannot be opened."""
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(cls, path, schema, loop)

    def __repr__(self) -> str:
        return f"Database({self._path}{', closed' if self._closed else ''})"

    @property
    def path(self) -> Path:
        return self._path

    async def write(self, work: Work[T], after: Callable[[T], None] | None = None) -> T:
        """Returns when durable. `after` is called on the loop, in the order of commits, before the writer goes on.

        `work` may be run a second time when the transaction has failed: it may change nothing but the database.
        """
        return await self.submit(work, after)

    def submit(self, work: Work[T], after: Callable[[T], None] | None = None) -> "asyncio.Future[T]":
        """As `write`, not awaited: works run in the order in which they are submitted."""
        if self._closed:
            raise RuntimeError(f"{self._path} is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._writes.put(_Write(work, answer, after))
        return answer

    async def read(self, work: Work[T]) -> T:
        """Sees every write that was acknowledged before, from one snapshot."""
        if self._closed:
            raise RuntimeError(f"{self._path} is closed")
        return await self._loop.run_in_executor(self._pool, self._read, work)

    async def close(self) -> None:
        """Everything handed in before is still written. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._writes.put(None)
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._thread.join()
        self._pool.shutdown()
        for _ in range(_READERS):
            self._readers.get().close()
        # The last to close folds the write-ahead log into the file.
        self._connection.close()

    def _read(self, work: Work[T]) -> T:
        connection = self._readers.get()
        try:
            connection.execute("BEGIN")
            return work(connection)
        except sqlite3.Error as error:
            raise failure(self._path, "read", error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._readers.put(connection)

    # The writer's thread...

    def _run(self) -> None:
        while group := self._next_group():
            failed = self._attempt(group)
            if isinstance(failed, StoreFull):
                self._fold()
            if failed and (len(group) > 1 or isinstance(failed, StoreFull)) and not isinstance(failed, StoreBusy):
                # Alone, so that one write that is too big for the disk fails alone.
                for write in group:
                    self._attempt([write])
            # The loop may be gone when the server is torn down without close(); then nobody waits.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_answer, group)

    def _next_group(self) -> list[_Write]:
        """At least one write; empty at the end."""
        first = self._writes.get()
        if first is None:
            return []
        group = [first]
        with suppress(queue.Empty):
            while len(group) < _GROUP:
                following = self._writes.get_nowait()
                if following is None:
                    self._writes.put(None)
                    break
                group.append(following)
        return group

    def _attempt(self, group: list[_Write]) -> StoreFailed | None:
        for write in group:
            write.error = None
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001 - every writer of the group gets it
            failed = failure(self._path, "write", error)
            self._undo(group, failed)
            return failed
        return None

    def _fold(self) -> None:
        """Put what the write-ahead log has into the file: it then begins anew, in the room that it has on the disk."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _commit(self, group: list[_Write]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for write in group:
            execute("SAVEPOINT one")
            try:
                write.result = write.work(self._connection)
            except sqlite3.IntegrityError as error:
                write.error = failure(self._path, "write", error)
            except sqlite3.Error:
                raise  # the disk or the file: everybody's
            except Exception as error:  # noqa: BLE001 - handed to the writer
                write.error = error
            if write.error is not None:
                execute("ROLLBACK TO one")
            execute("RELEASE one")
        execute("COMMIT")

    def _undo(self, group: list[_Write], error: StoreFailed) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors
                self._connection.execute("ROLLBACK")
        for write in group:
            write.error = error


def _answer(group: list[_Write]) -> None:
    """On the loop. A writer that was cancelled has written all the same, so `after` is called for it too."""
    for write in group:
        try:
            if write.error is None and write.after is not None:
                write.after(write.result)
        except Exception as error:  # noqa: BLE001 - the writer's; the others of the group are answered all the same
            write.error = error
        if write.answer.done():
            continue
        if write.error is None:
            write.answer.set_result(write.result)
        else:
            write.answer.set_exception(write.error)
