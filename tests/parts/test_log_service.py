"""The log service: pages, searches, retention and deletion over a real store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pasture.domain.scope import Scope
from pasture.kit.clock import ManualClock
from pasture.logs import reading, sweeping
from pasture.logs.errors import InvalidParameter, ResourceAlreadyExists, ResourceNotFound, TooManyTags, Validation
from pasture.logs.records import Group, Search, Span
from pasture.logs.rules import DAY_MS
from pasture.logs.service import EventsPage, EventsQuery, LogService
from pasture.logs.spec import LogEvent
from pasture.logs.store import LogStore

SCOPE = Scope()
NOW = 1_700_000_000_000

Ask = Callable[[LogService], Awaitable[object]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path) -> LogStore:
    return await LogStore.open(tmp_path / "logs.db")


@pytest.fixture
async def service(store: LogStore, clock: ManualClock) -> AsyncIterator[LogService]:
    made = LogService(store, clock)
    yield made
    await made.close()


def write(service: LogService, stream: str, *times: int) -> None:
    writer = service.writer(SCOPE, "g", stream)
    for time in times:
        writer.write(NOW + time, f"{stream}@{time}")


def said(page: EventsPage) -> list[str]:
    return [event.message for event in page.events]


async def rows(store: LogStore, table: str) -> int:
    count: int = await store._database.read(lambda c: c.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    return count


async def pages(store: LogStore) -> int:
    count: int = await store._database.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    return count


async def test_pages_of_a_stream_go_forward_to_the_end_and_find_what_comes_later(service: LogService) -> None:
    write(service, "s", 1, 2, 3)
    first = await service.events(SCOPE, "g", "s", EventsQuery(limit=2, from_head=True))
    second = await service.events(SCOPE, "g", "s", EventsQuery(limit=2, token=first.forward_token))
    end = await service.events(SCOPE, "g", "s", EventsQuery(limit=2, token=second.forward_token))
    assert [said(page) for page in (first, second, end)] == [["s@1", "s@2"], ["s@3"], []]
    assert end.forward_token == second.forward_token
    write(service, "s", 4)
    assert said(await service.events(SCOPE, "g", "s", EventsQuery(token=end.forward_token))) == ["s@4"]


async def test_pages_of_a_stream_go_backward_from_the_newest(service: LogService) -> None:
    write(service, "s", 1, 2, 3)
    newest = await service.events(SCOPE, "g", "s", EventsQuery(limit=2))
    before = await service.events(SCOPE, "g", "s", EventsQuery(limit=2, token=newest.backward_token))
    end = await service.events(SCOPE, "g", "s", EventsQuery(limit=2, token=before.backward_token))
    assert [said(page) for page in (newest, before, end)] == [["s@2", "s@3"], ["s@1"], []]
    assert end.backward_token == before.backward_token
    assert said(await service.events(SCOPE, "g", "s", EventsQuery(token=before.forward_token))) == ["s@2", "s@3"]


async def test_a_stream_is_ordered_by_time_not_by_arrival(service: LogService) -> None:
    write(service, "s", 5, 1, 3, 1)
    assert said(await service.events(SCOPE, "g", "s", EventsQuery())) == ["s@1", "s@1", "s@3", "s@5"]


async def test_the_end_of_a_span_is_not_in_it(service: LogService) -> None:
    write(service, "s", 1, 2, 3)
    assert said(await service.events(SCOPE, "g", "s", EventsQuery(start=NOW + 2, end=NOW + 3))) == ["s@2"]


async def test_an_empty_stream_has_tokens_that_find_its_first_event(service: LogService) -> None:
    await service.create_group(SCOPE, Group("g", 0))
    await service.create_stream(SCOPE, "g", "s")
    page = await service.events(SCOPE, "g", "s", EventsQuery())
    assert said(page) == []
    write(service, "s", 1)
    assert said(await service.events(SCOPE, "g", "s", EventsQuery(token=page.forward_token))) == ["s@1"]


async def test_a_page_holds_a_megabyte_at_most_and_one_event_at_least(service: LogService) -> None:
    writer = service.writer(SCOPE, "g", "s")
    for _ in range(5):
        writer.write(NOW, "x" * 250_000)
    assert len((await service.events(SCOPE, "g", "s", EventsQuery())).events) == 4


@pytest.mark.parametrize(
    ("search", "finds"),
    [
        (Search(Span(), 10), ["a@1", "b@2", "ab@3", "a@4"]),
        (Search(Span(forward=False), 10), ["a@4", "ab@3", "b@2", "a@1"]),
        (Search(Span(NOW + 2, NOW + 4), 10), ["b@2", "ab@3"]),
        (Search(Span(), 10, streams=("a",)), ["a@1", "a@4"]),
        (Search(Span(), 10, streams=("a", "b")), ["a@1", "b@2", "a@4"]),
        (Search(Span(forward=False), 10, streams=("a", "b")), ["a@4", "b@2", "a@1"]),
        (Search(Span(), 10, prefix="a"), ["a@1", "ab@3", "a@4"]),
        (Search(Span(NOW + 2), 10, prefix="a"), ["ab@3", "a@4"]),
        (Search(Span(), 10, matches=lambda message: "b" in message), ["b@2", "ab@3"]),
    ],
)
async def test_a_search_finds(service: LogService, search: Search, finds: list[str]) -> None:
    write(service, "a", 1, 4)
    write(service, "b", 2)
    write(service, "ab", 3)
    found = await service.search(SCOPE, "g", search)
    assert ([event.message for event in found.events], found.rest) == (finds, None)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("prefix", ["", "s"])
async def test_a_search_goes_on_where_it_stopped_and_finds_everything_once(
    service: LogService, forward: bool, prefix: str
) -> None:
    for stream in range(120):
        write(service, f"s{stream}", 1, 1, stream)
    seen, after = [], None
    while True:
        found = await service.search(SCOPE, "g", Search(Span(after=after, forward=forward), 7, prefix=prefix))
        seen += [event.position for event in found.events]
        after = found.rest
        if after is None:
            break
    assert seen == sorted(seen, reverse=not forward)
    assert len(set(seen)) == len(seen) == 360


async def test_a_search_for_what_is_rare_stops_to_let_others_and_goes_on(service: LogService) -> None:
    write(service, "s", *range(reading.SEARCH_EVENTS + 10))
    wanted = f"@{reading.SEARCH_EVENTS + 5}"
    first = await service.search(SCOPE, "g", Search(Span(), 10, matches=lambda message: wanted in message))
    second = await service.search(
        SCOPE, "g", Search(Span(after=first.rest), 10, matches=lambda message: wanted in message)
    )
    assert (list(first.events), [event.message for event in second.events]) == ([], ["s" + wanted])
    assert second.rest is None


async def test_a_search_that_takes_long_is_answered_with_where_to_go_on(
    service: LogService, clock: ManualClock
) -> None:
    write(service, "s", 1, 2, 3)

    def slow(message: str) -> bool:
        clock.advance(0.7)
        return True

    first = await service.search(SCOPE, "g", Search(Span(), 10, matches=slow))
    assert [event.message for event in first.events] == ["s@1", "s@2"]
    second = await service.search(SCOPE, "g", Search(Span(after=first.rest), 10, matches=slow))
    assert [event.message for event in second.events] == ["s@3"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda service: service.group(SCOPE, "g"),
        lambda service: service.delete_group(SCOPE, "g"),
        lambda service: service.set_retention(SCOPE, "g", 1),
        lambda service: service.create_stream(SCOPE, "g", "s"),
        lambda service: service.search(SCOPE, "g", Search(Span(), 1)),
        lambda service: service.streams_by_name(SCOPE, "g", limit=1),
    ],
)
async def test_a_group_that_is_not_there_is_not_found(service: LogService, ask: Ask) -> None:
    with pytest.raises(ResourceNotFound, match=r"^The specified log group does not exist\.$"):
        await ask(service)


@pytest.mark.parametrize(
    "ask",
    [
        lambda service: service.delete_stream(SCOPE, "g", "s"),
        lambda service: service.events(SCOPE, "g", "s", EventsQuery()),
        lambda service: service.put_events(SCOPE, "g", "s", [LogEvent(NOW, "x")]),
        lambda service: service.search(SCOPE, "g", Search(Span(), 1, streams=("s",))),
    ],
)
async def test_a_stream_that_is_not_there_is_not_found(service: LogService, ask: Ask) -> None:
    await service.create_group(SCOPE, Group("g", 0))
    with pytest.raises(ResourceNotFound, match=r"^The specified log stream does not exist\.$"):
        await ask(service)


async def test_a_group_and_a_stream_are_created_once(service: LogService) -> None:
    await service.create_group(SCOPE, Group("g", 0, tags={"k": "v"}))
    await service.create_stream(SCOPE, "g", "s")
    with pytest.raises(ResourceAlreadyExists, match=r"^The specified log group already exists$"):
        await service.create_group(SCOPE, Group("g", 0))
    with pytest.raises(ResourceAlreadyExists, match=r"^The specified log stream already exists$"):
        await service.create_stream(SCOPE, "g", "s")
    assert await service.group(SCOPE, "g") == Group("g", NOW, tags={"k": "v"})


async def test_a_group_of_another_account_or_region_is_another(service: LogService) -> None:
    await service.create_group(SCOPE, Group("g", 0))
    for other in (Scope(account="111111111111"), Scope(region="eu-west-1")):
        assert await service.groups(other) == []
        await service.create_group(other, Group("g", 0))


async def test_put_events_stores_the_good_and_tells_of_the_bad(service: LogService) -> None:
    await service.create_group(SCOPE, Group("g", 0))
    await service.create_stream(SCOPE, "g", "s")
    batch = [LogEvent(NOW - 15 * DAY_MS, "old"), LogEvent(NOW, "good")]
    rejected = await service.put_events(SCOPE, "g", "s", batch)
    assert rejected.too_old_end == 1
    assert said(await service.events(SCOPE, "g", "s", EventsQuery())) == ["good"]


async def test_stored_bytes_count_messages_and_26_for_each_and_shrink_with_deletion(service: LogService) -> None:
    write(service, "s", 1, 2)
    write(service, "t", 1)
    assert (await service.group(SCOPE, "g")).stored_bytes == 3 * (3 + 26)
    await service.delete_stream(SCOPE, "g", "s")
    await service.sweep()
    assert (await service.group(SCOPE, "g")).stored_bytes == 3 + 26


async def test_a_deleted_stream_is_not_seen_at_once_and_gone_after_the_sweep(
    service: LogService, store: LogStore
) -> None:
    write(service, "s", 1, 2)
    write(service, "t", 3)
    await service.delete_stream(SCOPE, "g", "s")
    found = await service.search(SCOPE, "g", Search(Span(), 10))
    assert [event.message for event in found.events] == ["t@3"]
    await service.create_stream(SCOPE, "g", "s")
    await service.sweep()
    assert (await rows(store, "events"), await rows(store, "streams")) == (1, 2)


async def test_a_deleted_group_takes_its_streams_and_events_in_steps_and_its_name_is_free(
    service: LogService, store: LogStore
) -> None:
    write(service, "s", *range(sweeping.STEP_EVENTS + 1))
    write(service, "t", 1)
    await service.delete_group(SCOPE, "g")
    await service.create_group(SCOPE, Group("g", 0))
    assert await service.streams_by_name(SCOPE, "g", limit=10) == []
    assert await store.sweep_step(NOW) is True
    assert await rows(store, "events") == 2
    await service.sweep()
    assert [await rows(store, table) for table in ("events", "streams", "groups")] == [0, 0, 1]


async def test_a_protected_group_is_not_deleted(service: LogService) -> None:
    await service.create_group(SCOPE, Group("g", 0, protected=True))
    with pytest.raises(Validation, match="deletion protection"):
        await service.delete_group(SCOPE, "g")
    await service.set_protection(SCOPE, "g", False)
    await service.delete_group(SCOPE, "g")


async def test_retention_removes_what_is_old_and_streams_that_hold_nothing_else(
    service: LogService, store: LogStore, clock: ManualClock
) -> None:
    write(service, "old", 1, 2)
    write(service, "both", 1)
    await service.flush()
    await service.set_retention(SCOPE, "g", 1)
    clock.advance(2 * DAY_MS / 1000)
    write(service, "both", 2 * DAY_MS)
    await service.flush()
    await service.sweep()
    (left,) = await service.streams_by_name(SCOPE, "g", limit=10)
    assert (left.name, left.first_event) == ("both", NOW + 2 * DAY_MS)
    assert (await service.group(SCOPE, "g")).stored_bytes == len(f"both@{2 * DAY_MS}") + 26
    assert await rows(store, "events") == 1


async def test_space_of_what_is_removed_is_given_back_when_there_is_much(service: LogService, store: LogStore) -> None:
    writer = service.writer(SCOPE, "g", "s")
    for number in range(100):
        for _ in range(3):
            writer.write(NOW + number, "x" * 100_000)
        await service.flush()
    before = await pages(store)
    await service.delete_group(SCOPE, "g")
    await service.sweep()
    assert before > 7_000
    assert await pages(store) < 4_200


async def test_without_retention_nothing_expires(service: LogService, clock: ManualClock) -> None:
    write(service, "s", 1)
    await service.flush()
    await service.set_retention(SCOPE, "g", 1)
    await service.set_retention(SCOPE, "g", None)
    clock.advance(100 * DAY_MS / 1000)
    await service.sweep()
    assert said(await service.events(SCOPE, "g", "s", EventsQuery())) == ["s@1"]


async def test_streams_are_listed_by_last_event_both_ways(service: LogService) -> None:
    write(service, "late", 9)
    write(service, "early", 1)
    await service.flush()
    await service.create_stream(SCOPE, "g", "empty")
    newest = await service.streams_by_time(SCOPE, "g", limit=2, descending=True)
    assert [stream.name for stream in newest] == ["late", "early"]
    rest = await service.streams_by_time(SCOPE, "g", after=(NOW + 1, "early"), limit=2, descending=True)
    assert [stream.name for stream in rest] == ["empty"]
    oldest = await service.streams_by_time(SCOPE, "g", limit=9)
    assert [stream.name for stream in oldest] == ["empty", "early", "late"]


async def test_tags_beyond_the_limit_change_nothing(service: LogService) -> None:
    await service.create_group(SCOPE, Group("g", 0, tags={"a": "1"}))
    with pytest.raises(TooManyTags):
        await service.set_tags(SCOPE, "g", {str(number): "" for number in range(50)})
    assert (await service.group(SCOPE, "g")).tags == {"a": "1"}


async def test_tags_are_merged_and_removed(service: LogService) -> None:
    await service.create_group(SCOPE, Group("g", 0, tags={"a": "1"}))
    await service.set_tags(SCOPE, "g", {"b": "2", "a": "3"})
    await service.remove_tags(SCOPE, "g", ["a", "none"])
    assert (await service.group(SCOPE, "g")).tags == {"b": "2"}


async def test_a_token_of_another_making_is_refused(service: LogService) -> None:
    write(service, "s", 1)
    with pytest.raises(InvalidParameter, match="The specified nextToken is invalid"):
        await service.events(SCOPE, "g", "s", EventsQuery(token="f/1"))
