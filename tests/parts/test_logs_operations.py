"""The CloudWatch Logs operations: requests and answers by the service model."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from pasture.api.call import Call, Principal
from pasture.api.logs_operations import LogsOperations
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request
from pasture.kit.clock import ManualClock
from pasture.logs.errors import InvalidParameter, ResourceNotFound
from pasture.logs.service import LogService
from pasture.logs.store import LogStore

SCOPE = Scope("123456789012", "eu-west-1")
NOW = 1_700_000_000_000
GROUP, STREAM = "/aws/lambda/f", "2026/11/23/[$LATEST]x"
ARN = f"arn:aws:logs:eu-west-1:123456789012:log-group:{GROUP}"

_MODEL = botocore.session.get_session().get_service_model("logs")


class Client:
    """Calls operations by their names in the model, and holds both sides to it."""

    def __init__(self, service: LogService) -> None:
        self._operations = LogsOperations(service)

    async def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        model = _MODEL.operation_model(operation)
        call = Call("id", operation, SCOPE, Principal(), Request("POST", "/", Headers()), "http://localhost")
        self._hold(request, model.input_shape)
        answer: dict[str, Any] = await getattr(self._operations, xform_name(operation))(call, request)
        self._hold(answer, model.output_shape)
        return answer

    @staticmethod
    def _hold(value: dict[str, Any], shape: Any) -> None:
        if shape is None:
            assert value == {}
            return
        report = ParamValidator().validate(value, shape)
        assert not report.has_errors(), report.generate_report()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[LogService]:
    made = LogService(await LogStore.open(tmp_path / "logs.db"), ManualClock())
    yield made
    await made.close()


@pytest.fixture
async def client(service: LogService) -> Client:
    return Client(service)


@pytest.fixture
async def filled(client: Client) -> Client:
    await client("CreateLogGroup", logGroupName=GROUP)
    await client("CreateLogStream", logGroupName=GROUP, logStreamName=STREAM)
    events = [{"timestamp": NOW + number, "message": f"event {number}"} for number in range(3)]
    await client("PutLogEvents", logGroupName=GROUP, logStreamName=STREAM, logEvents=events)
    return client


async def test_a_group_is_described_as_aws_does(client: Client) -> None:
    await client("CreateLogGroup", logGroupName=GROUP, kmsKeyId="key", tags={"a": "b"})
    await client("PutRetentionPolicy", logGroupName=GROUP, retentionInDays=7)
    assert await client("DescribeLogGroups", logGroupNamePrefix="/aws") == {
        "logGroups": [
            {
                "logGroupName": GROUP,
                "creationTime": NOW,
                "retentionInDays": 7,
                "metricFilterCount": 0,
                "arn": f"{ARN}:*",
                "storedBytes": 0,
                "kmsKeyId": "key",
                "logGroupClass": "STANDARD",
                "logGroupArn": ARN,
                "deletionProtectionEnabled": False,
            }
        ]
    }


async def test_a_stream_is_described_as_aws_does(filled: Client) -> None:
    assert await filled("DescribeLogStreams", logGroupIdentifier=ARN) == {
        "logStreams": [
            {
                "logStreamName": STREAM,
                "creationTime": NOW,
                "firstEventTimestamp": NOW,
                "lastEventTimestamp": NOW + 2,
                "lastIngestionTime": NOW,
                "uploadSequenceToken": f"{NOW:056}",
                "arn": f"{ARN}:log-stream:{STREAM}",
                "storedBytes": 0,
            }
        ]
    }


async def test_a_stream_without_events_has_no_times_of_events(client: Client) -> None:
    await client("CreateLogGroup", logGroupName=GROUP)
    await client("CreateLogStream", logGroupName=GROUP, logStreamName=STREAM)
    (stream,) = (await client("DescribeLogStreams", logGroupName=GROUP))["logStreams"]
    assert set(stream) == {"logStreamName", "creationTime", "arn", "storedBytes"}


async def test_groups_come_in_pages_by_name(client: Client) -> None:
    for name in ("c", "a", "b"):
        await client("CreateLogGroup", logGroupName=name)
    first = await client("DescribeLogGroups", limit=2)
    second = await client("DescribeLogGroups", limit=2, nextToken=first["nextToken"])
    assert [[group["logGroupName"] for group in page["logGroups"]] for page in (first, second)] == [["a", "b"], ["c"]]
    assert "nextToken" not in second


async def test_groups_are_found_by_a_part_of_their_name_in_any_case(client: Client) -> None:
    for name in ("/aws/lambda/Payments", "/aws/lambda/orders"):
        await client("CreateLogGroup", logGroupName=name)
    found = await client("DescribeLogGroups", logGroupNamePattern="payM")
    assert [group["logGroupName"] for group in found["logGroups"]] == ["/aws/lambda/Payments"]
    with pytest.raises(InvalidParameter, match="mutually exclusive"):
        await client("DescribeLogGroups", logGroupNamePattern="x", logGroupNamePrefix="y")


@pytest.mark.parametrize("order", ["LogStreamName", "LastEventTime"])
@pytest.mark.parametrize("descending", [True, False])
async def test_streams_come_in_pages_in_both_orders(
    service: LogService, client: Client, order: str, descending: bool
) -> None:
    for number in range(5):
        service.writer(SCOPE, GROUP, f"s{number}").write(NOW + number // 2, "x")
    names: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = await client(
            "DescribeLogStreams", logGroupName=GROUP, orderBy=order, descending=descending, limit=2, **more
        )
        names += [stream["logStreamName"] for stream in page["logStreams"]]
        if "nextToken" not in page:
            break
        more = {"nextToken": page["nextToken"]}
    assert names == sorted((f"s{number}" for number in range(5)), reverse=descending)


async def test_streams_by_time_take_no_prefix(filled: Client) -> None:
    with pytest.raises(InvalidParameter, match="Cannot order by LastEventTime with a logStreamNamePrefix"):
        await filled("DescribeLogStreams", logGroupName=GROUP, orderBy="LastEventTime", logStreamNamePrefix="2026")


async def test_events_are_got_with_tokens(filled: Client) -> None:
    first = await filled("GetLogEvents", logGroupName=GROUP, logStreamName=STREAM, startFromHead=True, limit=2)
    assert first["events"] == [
        {"timestamp": NOW, "message": "event 0", "ingestionTime": NOW},
        {"timestamp": NOW + 1, "message": "event 1", "ingestionTime": NOW},
    ]
    token = first["nextForwardToken"]
    second = await filled("GetLogEvents", logGroupName=GROUP, logStreamName=STREAM, startFromHead=True, nextToken=token)
    assert [event["message"] for event in second["events"]] == ["event 2"]
    end = await filled(
        "GetLogEvents",
        logGroupName=GROUP,
        logStreamName=STREAM,
        startFromHead=True,
        nextToken=second["nextForwardToken"],
    )
    assert (end["events"], end["nextForwardToken"]) == ([], second["nextForwardToken"])


async def test_put_log_events_tells_what_it_rejected(filled: Client) -> None:
    old, new = {"timestamp": 1, "message": "old"}, {"timestamp": NOW + 86_400_000, "message": "new"}
    answer = await filled(
        "PutLogEvents", logGroupName=GROUP, logStreamName=STREAM, logEvents=[old, new], sequenceToken="any"
    )
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 1}


async def test_events_are_filtered_by_pattern_time_and_stream(filled: Client) -> None:
    found = await filled(
        "FilterLogEvents",
        logGroupIdentifier=ARN,
        logStreamNames=[STREAM],
        filterPattern="event -0",
        startTime=NOW,
        endTime=NOW + 1,
        interleaved=True,
    )
    (event,) = found["events"]
    assert (event["logStreamName"], event["timestamp"], event["message"]) == (STREAM, NOW + 1, "event 1")
    assert len(event["eventId"]) == 56
    assert found["searchedLogStreams"] == []
    assert "nextToken" not in found


@pytest.mark.parametrize("head", [True, False])
async def test_a_filter_goes_on_in_its_direction_whatever_is_said_later(filled: Client, head: bool) -> None:
    first = await filled("FilterLogEvents", logGroupName=GROUP, limit=2, startFromHead=head)
    second = await filled("FilterLogEvents", logGroupName=GROUP, limit=2, nextToken=first["nextToken"])
    told = [event["message"] for page in (first, second) for event in page["events"]]
    assert told == (["event 0", "event 1", "event 2"] if head else ["event 2", "event 1", "event 0"])


async def test_a_tail_that_follows_sees_every_event_once(service: LogService, filled: Client) -> None:
    """As `aws logs tail --follow`: again from the last time seen, leaving out the ids seen at that time."""
    seen: dict[str, str] = {}
    start = NOW
    for number in range(3):
        service.writer(SCOPE, GROUP, STREAM).write(NOW + 2, f"more {number}")
        page = await filled("FilterLogEvents", logGroupName=GROUP, startTime=start, interleaved=True)
        seen |= {event["eventId"]: event["message"] for event in page["events"]}
        start = page["events"][-1]["timestamp"]
    assert list(seen.values()) == ["event 0", "event 1", "event 2", "more 0", "more 1", "more 2"]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"logGroupName": GROUP, "logGroupIdentifier": GROUP},
        {"logGroupName": GROUP, "logStreamNames": ["a"], "logStreamNamePrefix": "a"},
        {"logGroupName": GROUP, "nextToken": "nonsense"},
        {"logGroupName": GROUP, "filterPattern": '"open'},
        {"logGroupName": GROUP, "startFromHead": False, "startTime": 5},
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(filled: Client, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        await filled("FilterLogEvents", **request_)


async def test_times_beyond_all_events_are_only_times(filled: Client) -> None:
    latest = (1 << 63) - 1
    assert len((await filled("FilterLogEvents", logGroupName=GROUP, startTime=0, endTime=latest))["events"]) == 3
    got = await filled("GetLogEvents", logGroupName=GROUP, logStreamName=STREAM, startTime=latest, endTime=latest)
    assert got["events"] == []


async def test_what_is_deleted_is_not_found(filled: Client) -> None:
    await filled("DeleteLogStream", logGroupName=GROUP, logStreamName=STREAM)
    with pytest.raises(ResourceNotFound, match="The specified log stream does not exist"):
        await filled("GetLogEvents", logGroupName=GROUP, logStreamName=STREAM)
    await filled("DeleteLogGroup", logGroupName=GROUP)
    with pytest.raises(ResourceNotFound, match="The specified log group does not exist"):
        await filled("DescribeLogStreams", logGroupName=GROUP)


async def test_retention_is_set_and_taken_back(filled: Client) -> None:
    await filled("PutRetentionPolicy", logGroupName=GROUP, retentionInDays=1)
    await filled("DeleteRetentionPolicy", logGroupName=GROUP)
    (group,) = (await filled("DescribeLogGroups", logGroupIdentifiers=[ARN, "none"]))["logGroups"]
    assert "retentionInDays" not in group


async def test_tags_are_kept_both_ways_of_asking(filled: Client) -> None:
    await filled("TagResource", resourceArn=ARN, tags={"a": "1", "b": "2"})
    await filled("TagLogGroup", logGroupName=GROUP, tags={"c": "3"})
    await filled("UntagResource", resourceArn=ARN, tagKeys=["a"])
    await filled("UntagLogGroup", logGroupName=GROUP, tags=["b"])
    told = [await filled("ListTagsForResource", resourceArn=ARN), await filled("ListTagsLogGroup", logGroupName=GROUP)]
    assert told == [{"tags": {"c": "3"}}] * 2
    with pytest.raises(InvalidParameter, match="Invalid ARN"):
        await filled("ListTagsForResource", resourceArn=GROUP)


async def test_a_protected_group_can_be_freed(client: Client) -> None:
    await client("CreateLogGroup", logGroupName=GROUP, deletionProtectionEnabled=True)
    await client("PutLogGroupDeletionProtection", logGroupIdentifier=ARN, deletionProtectionEnabled=False)
    await client("DeleteLogGroup", logGroupName=GROUP)
    assert await client("DescribeLogGroups") == {"logGroups": []}
