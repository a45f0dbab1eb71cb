"""What becomes of batches of records that have an order, and which shards are to be read."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pasture.sources.ordered_batches import Batch, Progress, Rules, Settled, expired, failed, succeeded
from pasture.sources.shards import Shard, ready
from pasture.sources.stream_records import StreamRecord, stopped


@dataclass(frozen=True)
class Dated:
    timestamp: int


def batch(many: int) -> Batch[Dated]:
    return Batch(tuple(Dated(number) for number in range(many)))


def all_of(settled: Settled[Dated]) -> tuple[Dated, ...]:
    given_up = settled.given_up.records if settled.given_up is not None else ()
    return settled.done + given_up + tuple(record for one in settled.rest for record in one.records)


@given(many=st.integers(1, 50), stop=st.integers(0, 49) | st.none(), retries=st.integers(-1, 2), bisects=st.booleans())
def test_every_record_is_done_given_up_or_tried_again_in_order(
    many: int, stop: int | None, retries: int, bisects: bool
) -> None:
    rules = Rules(retries, bisects=bisects, reports=True)
    one = batch(many)
    at = None if stop is None or stop >= many else stop
    assert all_of(succeeded(one, at, rules)) == one.records
    assert all_of(failed(one, rules)) == one.records


@given(many=st.integers(1, 200), bad=st.integers(0, 199), retries=st.integers(0, 3))
def test_splitting_finds_the_one_record_that_fails_and_gives_up_no_other(many: int, bad: int, retries: int) -> None:
    rules = Rules(retries, bisects=True)
    work = [batch(many)]
    done: list[Dated] = []
    given_up: list[Dated] = []
    while work:
        one = work.pop(0)
        settled = failed(one, rules) if Dated(bad) in one.records else succeeded(one, None, rules)
        done += settled.done
        given_up += settled.given_up.records if settled.given_up is not None else ()
        work = [*settled.rest, *work]
    assert given_up == ([Dated(bad)] if bad < many else [])
    assert done == sorted(done, key=lambda record: record.timestamp)
    assert set(done) | set(given_up) == set(batch(many).records)


def test_a_split_uses_no_retry_up_and_counts_as_a_call() -> None:
    first, second = failed(batch(3), Rules(0, bisects=True)).rest
    assert [len(first.records), len(second.records)] == [1, 2]
    assert (first.failures, first.calls) == (0, 1)


def test_without_a_number_of_retries_a_batch_is_never_given_up() -> None:
    one = batch(1)
    for _ in range(100):
        (one,) = failed(one, Rules()).rest
    assert one.failures == 100


def test_what_is_too_old_is_told_from_what_follows_it() -> None:
    old, young = expired(batch(4), Rules(age_seconds=60), 60.0015)
    assert (old, young) == (Batch((Dated(0), Dated(1))), Batch((Dated(2), Dated(3))))
    assert expired(batch(2), Rules(), 1e9) == (None, batch(2))


def test_children_wait_for_parents_that_are_listed_and_for_no_others() -> None:
    shards = [Shard("a"), Shard("b"), Shard("c", ("a", "b")), Shard("d", ("gone",)), Shard("e", ("c",))]
    assert ready(shards, set()) == ["a", "b", "d"]
    assert ready(shards, {"a"}) == ["b", "d"]
    assert ready(shards, {"a", "b", "d"}) == ["c"]


def test_of_the_records_that_a_function_names_the_first_is_where_it_stopped() -> None:
    records = [StreamRecord(str(number), 0, b"{}", {}, b"") for number in range(4)]
    assert stopped(records, b'{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "1"}]}') == 1
    assert stopped(records, b'{"batchItemFailures": []}') is None
    assert stopped(records, b"null") is None
    assert stopped(records, b'{"batchItemFailures": [{"itemIdentifier": "nobody"}]}') == 0
    assert stopped(records, b"no json") == 0


@given(st.data(), st.integers(1, 30))
def test_what_is_committed_has_nothing_before_it_that_is_not_done(data: st.DataObject, many: int) -> None:
    records = [Dated(number // 2) for number in range(many)]
    progress = Progress(records)
    last = -1
    done: set[int] = set()
    for at in data.draw(st.permutations(range(many))):
        progress.done([records[at]])
        done.add(at)
        first_left = next((number for number in range(many) if number not in done), many)
        reached = progress.reached()
        assert (reached is None) == (first_left - 1 == last)
        if reached is not None:
            last = first_left - 1
            assert reached is records[last]
    assert last == many - 1
    assert progress.left() == []
