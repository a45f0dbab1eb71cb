"""Log writers: in order, never waiting, bounded, and nothing runs when nobody writes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pasture.domain.scope import Scope
from pasture.kit.clock import ManualClock
from pasture.logs import intake
from pasture.logs.records import Search, Span
from pasture.logs.service import EventsQuery, LogService
from pasture.logs.store import LogStore

SCOPE = Scope()
GROUP, STREAM = "/aws/lambda/f", "2026/11/23/[$LATEST]x"
NOW = 1_700_000_000_000


@pytest.fixture
async def store(tmp_path: Path) -> LogStore:
    return await LogStore.open(tmp_path / "logs.db")


@pytest.fixture
async def service(store: LogStore) -> AsyncIterator[LogService]:
    made = LogService(store, ManualClock())
    await made.open()
    yield made
    await made.close()


async def messages(service: LogService, stream: str = STREAM) -> list[str]:
    page = await service.events(SCOPE, GROUP, stream, EventsQuery(from_head=True))
    return [event.message for event in page.events]


async def test_what_was_written_is_read_at_once_and_in_order(service: LogService) -> None:
    writer = service.writer(SCOPE, GROUP, STREAM)
    for number in range(100):
        writer.write(NOW, f"{number}\n")
    assert await messages(service) == [f"{number}\n" for number in range(100)]


async def test_group_and_stream_come_into_being_with_the_first_event(service: LogService) -> None:
    writer = service.writer(SCOPE, GROUP, STREAM)
    assert await service.groups(SCOPE) == []
    writer.write(NOW, "x")
    assert [group.name for group in await service.groups(SCOPE)] == [GROUP]
    (stream,) = await service.streams_by_name(SCOPE, GROUP, limit=50)
    assert (stream.name, stream.first_event, stream.last_event, stream.last_ingestion) == (STREAM, NOW, NOW, NOW)


async def test_a_writer_brings_back_a_group_that_was_deleted_under_it(service: LogService) -> None:
    writer = service.writer(SCOPE, GROUP, STREAM)
    writer.write(NOW, "before")
    await service.delete_group(SCOPE, GROUP)
    writer.write(NOW, "after")
    assert await messages(service) == ["after"]


async def test_events_are_stored_soon_without_any_reader(service: LogService, store: LogStore) -> None:
    service.writer(SCOPE, GROUP, STREAM).write(NOW, "x")
    async with asyncio.timeout(5):
        # Around the service, whose reads would store it.
        while not await store.groups(SCOPE, prefix="", containing="", after="", limit=1):
            pass


async def test_close_stores_what_was_written(tmp_path: Path) -> None:
    first = LogService(await LogStore.open(tmp_path / "l.db"), ManualClock())
    first.writer(SCOPE, GROUP, STREAM).write(NOW, "last words")
    await first.close()
    again = LogService(await LogStore.open(tmp_path / "l.db"), ManualClock())
    assert await messages(again) == ["last words"]
    await again.close()


async def test_many_writers_share_one_order_by_time_within_a_group(service: LogService) -> None:
    for number in range(50):
        service.writer(SCOPE, GROUP, f"s{number % 5}").write(NOW + number, str(number))
    found = await service.search(SCOPE, GROUP, Search(Span(), 100))
    assert [event.message for event in found.events] == [str(number) for number in range(50)]


async def test_a_writer_that_floods_loses_events_and_says_how_many_without_waiting(service: LogService) -> None:
    writer = service.writer(SCOPE, GROUP, STREAM)
    other = service.writer(SCOPE, GROUP, "other")
    line = "x" * 100_000
    for number in range(60):
        writer.write(NOW + number, line)
    other.write(NOW, "not harmed")
    kept = intake.WRITER_LIMIT // (100_000 + 26)
    events = (await service.search(SCOPE, GROUP, Search(Span(), 10_000, streams=(STREAM,)))).events
    while len(events) < kept + 1:
        after = events[-1].position
        events = [
            *events,
            *(await service.search(SCOPE, GROUP, Search(Span(after=after), 10_000, streams=(STREAM,)))).events,
        ]
    assert len(events) == kept + 1
    assert (
        events[-1].message == f"{60 - kept} log events were dropped here: they came faster than they could be stored\n"
    )
    assert await messages(service, "other") == ["not harmed"]


async def test_a_message_larger_than_an_event_is_cut(service: LogService) -> None:
    service.writer(SCOPE, GROUP, STREAM).write(NOW, "é" * 600_000)
    found = await service.search(SCOPE, GROUP, Search(Span(), 100))
    assert "".join(event.message for event in found.events) == "é" * 600_000
    assert len(found.events) == 3


async def test_half_a_surrogate_pair_and_a_nul_do_no_harm(service: LogService) -> None:
    service.writer(SCOPE, GROUP, STREAM).write(NOW, "a\ud800b\x00c")
    assert await messages(service) == ["a?b\x00c"]


async def test_an_idle_writer_is_small_and_keeps_no_task(service: LogService) -> None:
    before = len(asyncio.all_tasks())
    writers = [service.writer(SCOPE, GROUP, f"s{number}") for number in range(1_000)]
    assert len(asyncio.all_tasks()) == before
    assert not hasattr(writers[0], "__dict__")


async def test_a_full_disk_loses_events_with_a_note_and_the_log_goes_on(
    service: LogService, store: LogStore, caplog: pytest.LogCaptureFixture
) -> None:
    writer = service.writer(SCOPE, GROUP, STREAM)
    writer.write(NOW, "before")
    await service.flush()
    (pages,) = await store._database.read(lambda c: c.execute("PRAGMA page_count").fetchone())
    await store._database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())
    writer.write(NOW, "x" * 100_000)
    await service.flush()
    await store._database.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall())
    writer.write(NOW, "after")
    told = [record.getMessage().partition(": cannot")[0] for record in caplog.records]
    assert told == ["log events are lost"]
    assert await messages(service) == [
        "before",
        "after",
        "1 log events were dropped here: they came faster than they could be stored\n",
    ]


@pytest.mark.parametrize("time", [0, NOW + 3 * 3_600_000, NOW - 15 * 86_400_000, 1 << 62, -1])
async def test_a_time_that_cannot_be_is_taken_as_now(service: LogService, time: int) -> None:
    service.writer(SCOPE, GROUP, STREAM).write(time, "x")
    page = await service.events(SCOPE, GROUP, STREAM, EventsQuery())
    assert [event.position.timestamp for event in page.events] == [NOW]


async def test_a_reader_that_gives_up_loses_nothing_of_what_was_written(service: LogService, store: LogStore) -> None:
    writer = service.writer(SCOPE, GROUP, STREAM)
    for number in range(3 * intake._BATCH):
        writer.write(NOW, str(number))
    reading = asyncio.create_task(service.flush())
    while writer.waiting:  # noqa: ASYNC110 - until it has begun, and no further
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await service.flush()
    (stored,) = await store._database.read(lambda c: c.execute("SELECT count(*) FROM events").fetchone())
    assert stored == 3 * intake._BATCH


async def test_who_reads_between_an_answer_and_its_end_reads_the_end_too(service: LogService) -> None:
    writer = service.writer(SCOPE, GROUP, STREAM)
    writer.write(NOW, "START")
    writer.owes(True)

    def ends() -> None:
        writer.write(NOW, "END")
        writer.owes(False)

    asyncio.get_running_loop().call_later(0.01, ends)
    assert await messages(service) == ["START", "END"]


async def test_an_end_that_does_not_come_is_not_waited_for_long(
    service: LogService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_LAST_WORDS_SECONDS", 0.01)
    writer = service.writer(SCOPE, GROUP, STREAM)
    writer.write(NOW, "START")
    writer.owes(True)
    assert await messages(service) == ["START"]
