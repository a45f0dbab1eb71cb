"""A poller of a change stream against a server of MongoDB's protocol, with functions that answer as told."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from fakes.source_tools import DONE, FAILED, SCOPE, SECRET, ScriptedFunctions, Surroundings, until
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.sources.checkpoints import Fenced
from pasture.sources.kinds import documentdb
from system.sources.servers.mongodb import MongoDB

ARN = "arn:aws:rds:us-east-1:000000000000:cluster:meadow"

Database = AsyncDatabase[dict[str, Any]]


@dataclass
class KeptInMemory:
    kept: dict[str, bytes] = field(default_factory=dict)
    is_fenced: bool = False

    async def load(self) -> Mapping[str, bytes]:
        return dict(self.kept)

    async def save(self, part: str, value: bytes) -> None:
        if self.is_fenced:
            raise Fenced
        self.kept[part] = value

    async def drop(self, part: str) -> None:
        self.kept.pop(part, None)


def around(server: MongoDB, answer: Callable[[Any], Any] = lambda _event: DONE) -> Surroundings:
    secrets = {SECRET: {"username": "", "password": ""}}
    return Surroundings({"meadow": server.endpoint}, secrets, ScriptedFunctions(answer), KeptInMemory())


@asynccontextmanager
async def polling(surroundings: Surroundings, database: Database, **more: Any) -> AsyncIterator[None]:
    options: dict[str, Any] = {"batch_size": 10, "window_seconds": 0, "starting_position": "LATEST", **more}
    kept = {
        "SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": SECRET}],
        "DocumentDBEventSourceConfig": {"DatabaseName": database.name, "CollectionName": "cows"},
    }
    mapping = EventSourceMapping(SCOPE, "m", SourceKind.DOCUMENTDB, "f", source=ARN, more=kept, **options)
    poller = documentdb.make(mapping, surroundings.tools())
    await poller.open()
    try:
        yield
    finally:
        await poller.close(5.0)


@pytest.fixture
async def database(mongodb: MongoDB, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Each test's own."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb.endpoint)
    own = client[request.node.name[:60]]
    await own.create_collection("cows")
    yield own
    await client.close()


def names(functions: ScriptedFunctions) -> list[str]:
    return [one["event"]["fullDocument"]["name"] for event in functions.events for one in event["events"]]


def has_begun(surroundings: Surroundings) -> bool:
    return bool(surroundings.checkpoints.kept)


async def test_a_change_is_an_event_of_the_documented_shape(mongodb: MongoDB, database: Database) -> None:
    s = around(mongodb)
    async with polling(s, database):
        await until(lambda: has_begun(s))
        added = await database["cows"].insert_one({"name": "Berta", "age": 7, "calves": [1.5]})
        await until(lambda: s.functions.events)
    [event] = s.functions.events
    [one] = event.pop("events")
    change = one.pop("event")
    assert (event, one) == ({"eventSourceArn": ARN, "eventSource": "aws:docdb"}, {})
    assert change["_id"]["_data"]
    assert set(change["clusterTime"]["$timestamp"]) == {"t", "i"}
    cow = {"_id": {"$oid": str(added.inserted_id)}, "name": "Berta", "age": 7, "calves": [1.5]}
    assert {name: change[name] for name in ("documentKey", "fullDocument", "operationType")} == {
        "documentKey": {"_id": {"$oid": str(added.inserted_id)}},
        "fullDocument": cow,
        "operationType": "insert",
    }


async def test_reading_goes_on_after_the_last_batch_that_succeeded(mongodb: MongoDB, database: Database) -> None:
    s = around(mongodb)
    async with polling(s, database):
        await until(lambda: has_begun(s))
        await database["cows"].insert_one({"name": "1"})
        await until(lambda: s.told[-1:] == ["OK"])
        s.functions.answer = lambda _event: FAILED
        await database["cows"].insert_one({"name": "2"})
        await until(lambda: s.told[-1] == "PROBLEM: Function call failed")
    await database["cows"].insert_one({"name": "3"})
    s.functions.answer = lambda _event: DONE
    async with polling(s, database):
        await until(lambda: "3" in names(s.functions))
    assert list(dict.fromkeys(names(s.functions))) == ["1", "2", "3"]
    assert names(s.functions).count("1") == 1


async def test_a_batch_is_repeated_until_it_succeeds_and_order_is_kept(mongodb: MongoDB, database: Database) -> None:
    answers = [DONE, DONE, FAILED]
    s = around(mongodb, lambda _event: answers.pop())
    async with polling(s, database, batch_size=1):
        await until(lambda: has_begun(s))
        await database["cows"].insert_many([{"name": "1"}, {"name": "2"}])
        await until(lambda: len(s.functions.events) == 3)
    assert names(s.functions) == ["1", "1", "2"]


async def test_from_the_trim_horizon_everything_is_read_that_the_server_still_knows(
    mongodb: MongoDB, database: Database
) -> None:
    await database["cows"].insert_many([{"name": str(number)} for number in range(7)])
    s = around(mongodb)
    async with polling(s, database, batch_size=3, window_seconds=None, starting_position="TRIM_HORIZON"):
        await until(lambda: len(names(s.functions)) == 7)
    assert names(s.functions) == [str(number) for number in range(7)]
    assert [len(event["events"]) for event in s.functions.events] == [3, 3, 1]


async def test_whoever_is_fenced_off_reads_no_more(mongodb: MongoDB, database: Database) -> None:
    s = around(mongodb)
    async with polling(s, database):
        await until(lambda: has_begun(s))
        s.checkpoints.is_fenced = True
        await database["cows"].insert_one({"name": "1"})
        await until(lambda: s.functions.events)
        await database["cows"].insert_one({"name": "2"})
    assert names(s.functions) == ["1"]


async def test_a_server_that_is_not_there_is_said(database: Database) -> None:
    s = around(MongoDB(None, "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"))  # type: ignore[arg-type]
    async with polling(s, database):
        await until(lambda: s.told)
    assert s.told[0].startswith("PROBLEM: Connection error.")
