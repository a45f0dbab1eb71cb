"""What every kind of document store promises, judged over all of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pasture.store.documents import Change, Document, Documents, RevisionConflict
from pasture.store.kinds.memory import MemoryDocuments
from pasture.store.kinds.sqlite import SqliteDocuments


@pytest.fixture(params=["memory", "sqlite"])
async def documents(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Documents]:
    made: Documents = MemoryDocuments() if request.param == "memory" else await SqliteDocuments.open(tmp_path / "d.db")
    yield made
    await made.close()


async def keys(documents: Documents, prefix: str, *, after: str = "", limit: int = 1_000) -> list[str]:
    return [document.key for document in await documents.list(prefix, after=after, limit=limit)]


async def test_what_was_put_is_what_is_got(documents: Documents) -> None:
    put = await documents.put("functions/f", b"\x00value")
    assert await documents.get("functions/f") == put == Document("functions/f", b"\x00value", put.revision)


async def test_nothing_is_got_where_nothing_was_put(documents: Documents) -> None:
    assert await documents.get("functions/f") is None


async def test_a_revision_grows_with_every_write_even_after_the_newest_document_is_deleted(
    documents: Documents,
) -> None:
    first = await documents.put("a", b"1")
    second = await documents.put("b", b"1")
    await documents.delete("b")
    third = await documents.put("b", b"1")
    assert first.revision < second.revision < third.revision


async def test_expecting_nothing_creates_once(documents: Documents) -> None:
    await documents.put("a", b"first", expect=0)
    with pytest.raises(RevisionConflict):
        await documents.put("a", b"second", expect=0)
    found = await documents.get("a")
    assert found is not None
    assert found.value == b"first"


async def test_expecting_the_revision_read_replaces_and_an_older_one_conflicts(documents: Documents) -> None:
    old = await documents.put("a", b"1")
    new = await documents.put("a", b"2", expect=old.revision)
    with pytest.raises(RevisionConflict) as conflict:
        await documents.put("a", b"3", expect=old.revision)
    assert conflict.value.key == "a"
    assert await documents.get("a") == new


async def test_expecting_a_revision_of_what_is_not_there_conflicts(documents: Documents) -> None:
    with pytest.raises(RevisionConflict):
        await documents.put("a", b"1", expect=7)
    with pytest.raises(RevisionConflict):
        await documents.delete("a", expect=7)
    assert await documents.get("a") is None


async def test_delete_says_whether_there_was_something(documents: Documents) -> None:
    await documents.put("a", b"1")
    assert [await documents.delete("a"), await documents.delete("a")] == [True, False]


async def test_delete_with_an_old_revision_leaves_the_document(documents: Documents) -> None:
    old = await documents.put("a", b"1")
    new = await documents.put("a", b"2")
    with pytest.raises(RevisionConflict):
        await documents.delete("a", expect=old.revision)
    assert await documents.get("a") == new
    assert await documents.delete("a", expect=new.revision) is True


async def test_list_gives_a_prefix_in_order_of_code_points(documents: Documents) -> None:
    # As UTF-16 the last two would change places.
    for key in ("p/b", "p/", "p/\U0001f600", "p/\uffee", "p/é", "p/B", "q", "p", "o/x", "p0"):
        await documents.put(key, b"")
    assert await keys(documents, "p/") == ["p/", "p/B", "p/b", "p/é", "p/\uffee", "p/\U0001f600"]


async def test_list_goes_on_after_a_key_page_by_page(documents: Documents) -> None:
    for number in range(5):
        await documents.put(f"p/{number}", b"")
    pages = [await keys(documents, "p/", after=after, limit=2) for after in ("", "p/1", "p/3", "p/4")]
    assert pages == [["p/0", "p/1"], ["p/2", "p/3"], ["p/4"], []]


async def test_an_empty_prefix_lists_and_counts_everything(documents: Documents) -> None:
    for key in ("b", "a", "\U0010ffffz"):
        await documents.put(key, b"")
    assert await keys(documents, "") == ["a", "b", "\U0010ffffz"]
    assert await documents.count("") == 3


async def test_prefixes_at_the_end_of_unicode_find_what_starts_with_them(documents: Documents) -> None:
    for key in ("a\U0010ffff", "a\U0010ffffb", "b", "\U0010ffff1", "x\ud7ff1", "x\ue0001"):
        await documents.put(key, b"")
    assert await keys(documents, "a\U0010ffff") == ["a\U0010ffff", "a\U0010ffffb"]
    assert await keys(documents, "\U0010ffff") == ["\U0010ffff1"]
    assert await keys(documents, "x\ud7ff") == ["x\ud7ff1"]


async def test_count_counts_a_prefix(documents: Documents) -> None:
    for key in ("p/1", "p/2", "q/1"):
        await documents.put(key, b"")
    assert [await documents.count(prefix) for prefix in ("p/", "q/", "r/")] == [2, 1, 0]


async def test_a_watcher_is_told_of_puts_and_deletes_under_its_prefix_in_order(documents: Documents) -> None:
    seen: list[Change] = []
    documents.watch("p/", seen.append)
    first = await documents.put("p/1", b"1")
    await documents.put("q/1", b"no concern")
    second = await documents.put("p/1", b"2")
    await documents.delete("p/1")
    await documents.delete("p/1")
    assert seen == [Change("p/1", first), Change("p/1", second), Change("p/1", None)]


async def test_a_watcher_knows_of_a_write_before_the_writer_goes_on(documents: Documents) -> None:
    cache: dict[str, Document | None] = {}

    def keep(change: Change) -> None:
        cache[change.key] = change.document

    documents.watch("", keep)
    written = await documents.put("a", b"1")
    assert cache == {"a": written}


async def test_a_watcher_is_not_told_of_a_conflict_nor_after_it_stopped(documents: Documents) -> None:
    seen: list[Change] = []
    stop = documents.watch("", seen.append)
    with pytest.raises(RevisionConflict):
        await documents.put("a", b"1", expect=5)
    stop()
    stop()
    await documents.put("a", b"1")
    assert seen == []


async def test_a_watcher_that_fails_harms_neither_the_writer_nor_the_others(documents: Documents) -> None:
    reported: list[str] = []
    seen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))

    def fails(change: Change) -> None:
        raise ZeroDivisionError(change.key)

    documents.watch("", fails)
    documents.watch("", lambda change: seen.append(change.key))
    await documents.put("a", b"1")
    assert (seen, reported) == (["a"], ["a watcher of '' failed at 'a'"])


async def test_of_200_writers_that_want_to_create_one_document_one_wins(documents: Documents) -> None:
    async def create(number: int) -> int | None:
        try:
            return int((await documents.put("a", str(number).encode(), expect=0)).value)
        except RevisionConflict:
            return None

    answers = await asyncio.gather(*(create(number) for number in range(200)))
    winners = [number for number in answers if number is not None]
    found = await documents.get("a")
    assert found is not None
    assert [int(found.value)] == winners


async def test_the_conflict_of_one_writer_does_not_harm_the_199_beside_it(documents: Documents) -> None:
    writes = [documents.put(f"k{number}", b"1", expect=9 if number == 100 else 0) for number in range(200)]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(answer) for answer in answers].count(RevisionConflict) == 1
    assert await documents.count("k") == 199


async def test_200_writers_of_one_counter_with_compare_and_set_lose_no_step(documents: Documents) -> None:
    await documents.put("n", b"0")

    async def step() -> None:
        while True:
            found = await documents.get("n")
            assert found is not None
            try:
                await documents.put("n", str(int(found.value) + 1).encode(), expect=found.revision)
            except RevisionConflict:
                continue
            return

    await asyncio.gather(*(step() for _ in range(20)))
    found = await documents.get("n")
    assert found is not None
    assert found.value == b"20"


async def test_a_writer_that_was_cancelled_may_have_written_and_watchers_know_it(documents: Documents) -> None:
    seen: list[str] = []
    documents.watch("", lambda change: seen.append(change.key))
    task = asyncio.create_task(documents.put("a", b"1"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await documents.put("b", b"1")
    assert [document.key for document in await documents.list("")] == seen


_KEYS = st.text(st.sampled_from("ab/é\ud7ff\U0010ffff"), min_size=1, max_size=4)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.sets(_KEYS, max_size=12), prefix=_KEYS | st.just(""), after=_KEYS | st.just(""))
def test_both_kinds_list_and_count_alike(
    tmp_path_factory: pytest.TempPathFactory, written: set[str], prefix: str, after: str
) -> None:
    async def told_by(documents: Documents) -> tuple[list[str], int]:
        for key in written:
            await documents.put(key, b"")
        told = await keys(documents, prefix, after=after), await documents.count(prefix)
        await documents.close()
        return told

    async def both() -> None:
        sqlite = await SqliteDocuments.open(tmp_path_factory.mktemp("d") / "d.db")
        listed = sorted(key for key in written if key.startswith(prefix) and key > after)
        counted = sum(key.startswith(prefix) for key in written)
        assert await told_by(sqlite) == await told_by(MemoryDocuments()) == (listed, counted)

    asyncio.run(both())
