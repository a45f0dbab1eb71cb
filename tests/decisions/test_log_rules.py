"""What CloudWatch Logs accepts in a batch, as retention, as tags."""

import pytest

from pasture.logs import rules
from pasture.logs.errors import InvalidParameter, TooManyTags
from pasture.logs.rules import DAY_MS, HOUR_MS, Rejected
from pasture.logs.spec import LogEvent

NOW = 1_700_000_000_000


def events(*times: int) -> list[LogEvent]:
    return [LogEvent(NOW + time, f"at {time}") for time in times]


def test_a_batch_in_order_is_accepted_whole() -> None:
    batch = events(-5, -5, 0)
    assert rules.judge(batch, NOW, None) == (batch, Rejected())


def test_a_batch_out_of_order_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="must be in chronological order"):
        rules.judge(events(0, -1), NOW, None)


def test_events_too_old_and_too_new_are_rejected_and_the_others_are_not() -> None:
    batch = events(-14 * DAY_MS - 1, -15, 2 * HOUR_MS, 2 * HOUR_MS + 1)
    assert rules.judge(batch, NOW, None) == (batch[1:3], Rejected(too_new_start=3, too_old_end=1))


def test_events_before_the_retention_are_expired() -> None:
    batch = events(-2 * DAY_MS, 0)
    assert rules.judge(batch, NOW, 1) == (batch[1:], Rejected(expired_end=1))


def test_a_batch_of_nothing_but_old_events_stores_nothing() -> None:
    assert rules.judge(events(-15 * DAY_MS), NOW, None) == ([], Rejected(too_old_end=1))


def test_a_batch_may_span_a_day_and_no_more() -> None:
    rules.judge(events(-DAY_MS, 0), NOW, None)
    with pytest.raises(InvalidParameter, match="cannot span more than 24 hours"):
        rules.judge(events(-DAY_MS - 1, 0), NOW, None)


def test_a_batch_is_measured_in_bytes_with_26_for_each_event() -> None:
    rules.judge([LogEvent(NOW, "é" * ((1_048_576 - 26) // 2))], NOW, None)
    with pytest.raises(InvalidParameter, match="Upload too large: 1048578 bytes exceeds limit of 1048576"):
        rules.judge([LogEvent(NOW, "é" * ((1_048_576 - 24) // 2))], NOW, None)


@pytest.mark.parametrize("batch", [[], [LogEvent(NOW, "")], [LogEvent(NOW, "x")] * 10_001])
def test_a_batch_of_nothing_or_too_much_is_refused(batch: list[LogEvent]) -> None:
    with pytest.raises(InvalidParameter):
        rules.judge(batch, NOW, None)


def test_only_the_retentions_of_aws_are_accepted() -> None:
    rules.check_retention(None)
    rules.check_retention(3653)
    with pytest.raises(InvalidParameter, match=r"Value '2' at 'retentionInDays' .* enum value set: \[1, 3, 5, 7,"):
        rules.check_retention(2)


def test_tags_have_limits() -> None:
    rules.check_tags({"k": "v"})
    with pytest.raises(TooManyTags):
        rules.check_tags({str(number): "" for number in range(51)})
    for tags in ({"": "v"}, {"k" * 129: "v"}, {"k": "v" * 257}, {"aws:k": "v"}):
        with pytest.raises(InvalidParameter):
            rules.check_tags(tags)
