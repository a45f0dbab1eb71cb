"""Points by the minute, in a SQLite file of their own.

A point that is there already is merged with what comes: a minute may be stored in parts. Series without a point left
are removed with the last of them.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import msgspec

from pasture.domain.scope import Scope
from pasture.metrics.names import Dimensions
from pasture.metrics.sample import Sample, bucket_of
from pasture.metrics.series import Key, Point, Points, Series
from pasture.store.file_store import FileStore
from pasture.store.opening import Schema

_SCHEMA = Schema(
    [
        [
            # `dimensions` is JSON, in order of name; `last` the time of the newest point.
            """CREATE TABLE series (
                id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, namespace TEXT NOT NULL,
                name TEXT NOT NULL, dimensions TEXT NOT NULL, last INTEGER NOT NULL)""",
            "CREATE UNIQUE INDEX series_names ON series (account, region, namespace, name, dimensions)",
            "CREATE INDEX series_ages ON series (last)",
            # `buckets` is NULL where all values are the same, and where their spread is not known.
            """CREATE TABLE points (
                series INTEGER NOT NULL, time INTEGER NOT NULL, unit TEXT NOT NULL, count REAL NOT NULL,
                total REAL NOT NULL, minimum REAL NOT NULL, maximum REAL NOT NULL, buckets BLOB,
                PRIMARY KEY (series, time, unit)) WITHOUT ROWID""",
            "CREATE INDEX points_by_time ON points (time)",
        ],
    ],
    # As with logs: points survive the death of the server, the last ones need not survive a loss of power.
    synchronous="NORMAL",
    shrinks=True,
)

T = TypeVar("T")

# Points of one transaction: others write between two.
_BATCH = 2_000
# Series that one page of a listing looks at, at most: filters may pass over most of them.
_LOOKED_AT = 5_000
_STEP_POINTS = 5_000
_STEP_PAGES = 100
_FREE_PAGES = 4_096


@dataclass(frozen=True, slots=True)
class Listing:
    """What ListMetrics asks. A filter without a value asks for the dimension whatever its value."""

    namespace: str | None = None
    name: str | None = None
    filters: Sequence[tuple[str, str | None]] = ()
    since: int = 0
    after: int = 0
    """The number of the last series of the page before."""
    limit: int = 500


class MetricStore(FileStore):
    schema = _SCHEMA

    async def merge(self, points: Points) -> None:
        """In order; what was not stored when this raises StoreFailed is still in `points`."""
        while points:
            part = list(islice(points.items(), _BATCH))
            await self._database.write(lambda c, part=part: _merge(c, part))  # type: ignore[misc]
            for key, _ in part:
                del points[key]

    async def read(self, work: Callable[["Reader"], T]) -> T:
        """`work` runs in a thread, on one state of the store."""
        return await self._database.read(lambda c: work(Reader(c)))

    async def sweep_step(self, before: int) -> bool:
        """Remove some of what is older; False when there is nothing to remove."""
        return await self._database.write(lambda c: _sweep(c, before))


class Reader:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def points(self, series: Series, start: int, end: int) -> list[Point]:
        """From `start` to before `end`, in order of time."""
        rows = self._connection.execute(
            "SELECT time, unit, count, total, minimum, maximum, buckets FROM points"
            " WHERE series = (SELECT id FROM series WHERE account = ? AND region = ? AND namespace = ? AND name = ?"
            " AND dimensions = ?) AND time >= ? AND time < ? ORDER BY time",
            (*_identity(series), start, end),
        )
        return [Point(time, unit, _sample(*rest)) for time, unit, *rest in rows]

    def list(self, scope: Scope, listing: Listing) -> tuple[list[Series], int | None]:
        """A page, and where the next one begins; it may be empty where filters pass over much."""
        where, values = "account = ? AND region = ? AND id > ? AND last >= ?", [scope.account, scope.region]
        rows = self._connection.execute(
            f"SELECT id, namespace, name, dimensions FROM series WHERE {where}"
            " AND namespace = coalesce(?, namespace) AND name = coalesce(?, name) ORDER BY id LIMIT ?",
            (*values, listing.after, listing.since, listing.namespace, listing.name, _LOOKED_AT),
        ).fetchall()
        found: list[Series] = []
        for number, namespace, name, text in rows:
            dimensions = tuple((key, value) for key, value in json.loads(text))
            if _fits(dimensions, listing.filters):
                found.append(Series(scope.account, scope.region, namespace, name, dimensions))
                if len(found) == listing.limit:
                    return found, number if number != rows[-1][0] or len(rows) == _LOOKED_AT else None
        return found, rows[-1][0] if len(rows) == _LOOKED_AT else None


def _identity(series: Series) -> tuple[str, str, str, str, str]:
    dimensions = json.dumps(series.dimensions, ensure_ascii=False, separators=(",", ":"))
    return series.account, series.region, series.namespace, series.name, dimensions


def _fits(dimensions: Dimensions, filters: Sequence[tuple[str, str | None]]) -> bool:
    known = dict(dimensions)
    return all(known.get(name) == value if value is not None else name in known for name, value in filters)


def _merge(c: sqlite3.Connection, points: list[tuple[Key, Sample]]) -> None:
    numbers: dict[Series, int] = {}
    for key, sample in points:
        number = numbers.get(key.series)
        if number is None:
            number = numbers[key.series] = _number(c, key)
        place = (number, key.time, key.unit)
        row = c.execute(
            "SELECT count, total, minimum, maximum, buckets FROM points WHERE series = ? AND time = ? AND unit = ?",
            place,
        ).fetchone()
        whole = sample
        if row is not None:
            whole = _sample(*row)
            whole.merge(sample)
        c.execute(
            "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, whole.count, whole.total, whole.minimum, whole.maximum, _packed(whole)),
        )


def _number(c: sqlite3.Connection, key: Key) -> int:
    (number,) = c.execute(
        "INSERT INTO series (account, region, namespace, name, dimensions, last) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET last = max(last, excluded.last) RETURNING id",
        (*_identity(key.series), key.time),
    ).fetchone()
    return int(number)


def _packed(sample: Sample) -> bytes | None:
    if sample.buckets is None or sample.minimum == sample.maximum:
        return None
    return msgspec.msgpack.encode(sample.buckets)


def _sample(count: float, total: float, minimum: float, maximum: float, packed: bytes | None) -> Sample:
    sample = Sample()
    sample.count, sample.total, sample.minimum, sample.maximum = count, total, minimum, maximum
    if packed is not None:
        sample.buckets = msgspec.msgpack.decode(packed, type=dict[int, float])
    else:
        sample.buckets = {bucket_of(minimum): count} if minimum == maximum and minimum >= 0 else None
    return sample


def _sweep(c: sqlite3.Connection, before: int) -> bool:
    """Oldest first; then series that have outlived their points; then the space."""
    old = "SELECT series, time, unit FROM points WHERE time < ? ORDER BY time LIMIT ?"
    if c.execute(f"DELETE FROM points WHERE (series, time, unit) IN ({old})", (before, _STEP_POINTS)).rowcount:
        return True
    dead = "SELECT id FROM series WHERE last < ? LIMIT ?"
    if c.execute(f"DELETE FROM series WHERE id IN ({dead})", (before, _STEP_POINTS)).rowcount:
        return True
    (free,) = c.execute("PRAGMA freelist_count").fetchone()
    if free < _FREE_PAGES:
        return False
    c.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()
    return bool(c.execute("PRAGMA freelist_count").fetchone()[0] < free)
