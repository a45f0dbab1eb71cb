"""Event source mappings: what a client sends, and the whole of what it gets; nothing is polled."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, Management, management
from pasture.domain.event_source import EventSourceMapping
from pasture.domain.scope import Scope
from pasture.functions.event_source_settling import MappingSettling

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2025-02-22T03:03:25.490"
CLUSTER = "arn:aws:kafka:us-east-1:000000000000:cluster/c/0a1b-1"
DATABASE = "arn:aws:rds:us-east-1:000000000000:cluster:d"
SECRET = [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s"}]
NOW = 1_700_000_000.0
UNKNOWN = "0a1b2c3d-0000-4000-8000-000000000000"

NO_MAPPING = ("ResourceNotFoundException", "The resource you requested does not exist.")
NO_FUNCTION = ("InvalidParameterValueException", "Function does not exist")
PATTERN = '{"body": {"city": ["Seattle"]}}'


def kafka(*servers: str) -> dict[str, Any]:
    return {
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": list(servers)}},
        "StartingPosition": "TRIM_HORIZON",
        "Topics": ["topic"],
        "SourceAccessConfigurations": SECRET,
    }


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        await running.created("g")
        yield running


async def create(node: Management, **more: Any) -> dict[str, Any]:
    """The answer; when this returns, the mapping is at rest."""
    answer = await node.call("CreateEventSourceMapping", **{"FunctionName": "f", "EventSourceArn": QUEUE, **more})
    await node.settling.idle()
    return answer


async def get(node: Management, mapping: dict[str, Any]) -> dict[str, Any]:
    return await node.call("GetEventSourceMapping", UUID=mapping["UUID"])


async def update(node: Management, mapping: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = await node.call("UpdateEventSourceMapping", UUID=mapping["UUID"], **changes)
    await node.settling.idle()
    return answer


async def listed(node: Management, **request: Any) -> list[str]:
    answer = await node.call("ListEventSourceMappings", **request)
    return [mapping["UUID"] for mapping in answer["EventSourceMappings"]]


# What is shown...


async def test_a_queues_mapping_is_answered_whole_and_shown_the_same_when_it_is_enabled(node: Management) -> None:
    answer = await create(node)
    assert answer == {
        "UUID": answer["UUID"],
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{answer['UUID']}",
        "EventSourceArn": QUEUE,
        "FunctionArn": ARN,
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "LastModified": NOW,
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
    }
    shown = {**answer, "State": "Enabled"}
    assert await get(node, answer) == shown
    assert await node.call("ListEventSourceMappings") == {"EventSourceMappings": [shown]}


@pytest.mark.parametrize(("source", "position"), [(STREAM, "LATEST"), (TABLE, "TRIM_HORIZON")])
async def test_a_streams_mapping_shows_every_setting_of_streams(node: Management, source: str, position: str) -> None:
    answer = await create(node, EventSourceArn=source, StartingPosition=position)
    assert answer == {
        "UUID": answer["UUID"],
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{answer['UUID']}",
        "EventSourceArn": source,
        "FunctionArn": ARN,
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "StartingPosition": position,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "BisectBatchOnFunctionError": False,
        "TumblingWindowInSeconds": 0,
        "DestinationConfig": {"OnFailure": {}},
        "FunctionResponseTypes": [],
        "LastModified": NOW,
        "LastProcessingResult": "No records processed",
        "State": "Creating",
        "StateTransitionReason": "User action",
    }


async def test_a_mapping_of_self_managed_kafka_joins_a_group_of_its_own(node: Management) -> None:
    answer = await node.call("CreateEventSourceMapping", FunctionName="f", **kafka("kafka:1000"))
    assert answer == {
        "UUID": answer["UUID"],
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{answer['UUID']}",
        "FunctionArn": ARN,
        "BatchSize": 100,
        **kafka("kafka:1000"),
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": answer["UUID"]},
        "LastModified": NOW,
        "LastProcessingResult": "No records processed",
        "State": "Creating",
        "StateTransitionReason": "User action",
    }


async def test_everything_that_is_set_is_shown(node: Management) -> None:
    common = {"MaximumBatchingWindowInSeconds": 5, "FilterCriteria": {"Filters": [{"Pattern": PATTERN}]}}
    queue = {
        **common,
        "BatchSize": 500,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 7},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    assert (await create(node, **queue)).items() >= queue.items()
    stream = {
        **common,
        "StartingPosition": "AT_TIMESTAMP",
        "ParallelizationFactor": 10,
        "MaximumRecordAgeInSeconds": 60,
        "MaximumRetryAttempts": 0,
        "BisectBatchOnFunctionError": True,
        "DestinationConfig": {"OnFailure": {"Destination": QUEUE}},
    }
    assert (await create(node, EventSourceArn=STREAM, **stream, StartingPositionTimestamp=_moment(5.0))).items() >= {
        **stream,
        "StartingPositionTimestamp": 5.0,
    }.items()
    cluster = {
        "Topics": ["t"],
        "StartingPosition": "LATEST",
        "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"},
        "ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": 3, "PollerGroupName": "p"},
        "LoggingConfig": {"SystemLogLevel": "WARN"},
    }
    assert (await create(node, EventSourceArn=CLUSTER, **cluster)).items() >= cluster.items()
    answer = await create(
        node,
        EventSourceArn=DATABASE,
        StartingPosition="LATEST",
        DocumentDBEventSourceConfig={"DatabaseName": "d"},
        SourceAccessConfigurations=SECRET,
    )
    assert answer["DocumentDBEventSourceConfig"] == {"DatabaseName": "d", "FullDocument": "Default"}
    assert answer["SourceAccessConfigurations"] == SECRET


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# Functions...


@pytest.mark.parametrize(
    ("name", "arn"),
    [("f", ARN), (ARN, ARN), ("f:live", f"{ARN}:live"), ("000000000000:function:f:1", f"{ARN}:1"), ("f:$LATEST", f"{ARN}:$LATEST")],
)  # fmt: skip
async def test_a_mapping_is_for_a_function_a_version_or_an_alias(node: Management, name: str, arn: str) -> None:
    assert (await create(node, FunctionName=name))["FunctionArn"] == arn


@pytest.mark.parametrize("name", ["unknown", "f:2", "f:gone"])
async def test_the_function_must_be_there(node: Management, name: str) -> None:
    request = {"FunctionName": name, "EventSourceArn": QUEUE}
    assert await node.refusal("CreateEventSourceMapping", **request) == NO_FUNCTION
    known = await create(node)
    assert await node.refusal("UpdateEventSourceMapping", UUID=known["UUID"], FunctionName=name) == NO_FUNCTION


async def test_what_is_wrong_with_the_request_is_told_first(node: Management) -> None:
    told = ("InvalidParameterValueException", "Unrecognized event source.")
    assert await node.refusal("CreateEventSourceMapping", FunctionName="unknown") == told


async def test_functions_of_other_accounts_and_regions_have_no_mappings_here(node: Management) -> None:
    other = ARN.replace("000000000000", "111122223333")
    request = {"FunctionName": other, "EventSourceArn": QUEUE}
    assert await node.refusal("CreateEventSourceMapping", **request) == ("AccessDeniedException", "")
    assert await node.refusal("ListEventSourceMappings", FunctionName=ARN.replace("us-east-1", "eu-west-1")) == (
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )


async def test_a_mapping_outlives_its_function(node: Management) -> None:
    mapping = await create(node)
    await node.call("DeleteFunction", FunctionName="f")
    assert (await get(node, mapping))["State"] == "Enabled"
    assert await listed(node, FunctionName="f") == [mapping["UUID"]]
    await node.call("DeleteEventSourceMapping", UUID=mapping["UUID"])
    await node.settling.idle()
    assert await node.refusal("GetEventSourceMapping", UUID=mapping["UUID"]) == NO_MAPPING


# Twice the same...


async def test_a_function_reads_a_queue_once(node: Management) -> None:
    known = await create(node)
    told = (
        "ResourceConflictException",
        (
            f'An event source mapping with SQS arn (" {QUEUE} ") and function (" f ") already exists. '
            f"Please update or delete the existing mapping with UUID {known['UUID']}"
        ),
    )
    assert await node.refusal("CreateEventSourceMapping", FunctionName=ARN, EventSourceArn=QUEUE) == told
    await create(node, FunctionName="g")
    await create(node, FunctionName="f:live")
    await create(node, EventSourceArn=f"{QUEUE}2")


@pytest.mark.parametrize("source", [STREAM, TABLE])
async def test_a_function_reads_a_stream_once(node: Management, source: str) -> None:
    request = {"FunctionName": "f", "EventSourceArn": source, "StartingPosition": "LATEST"}
    known = await create(node, **request)
    assert await node.refusal("CreateEventSourceMapping", **request) == (
        "ResourceConflictException",
        (
            f'The event source arn (" {source} ") and function (" f ") provided mapping already exists. '
            f"Please update or delete the existing mapping with UUID {known['UUID']}"
        ),
    )


async def test_a_function_reads_a_topic_of_a_server_once(node: Management) -> None:
    known = await node.call("CreateEventSourceMapping", FunctionName="f", **kafka("kafka:1000"))
    for servers in (["kafka:1000"], ["kafka:1000", "kafka:2000"]):
        assert await node.refusal("CreateEventSourceMapping", FunctionName="f", **kafka(*servers)) == (
            "ResourceConflictException",
            (
                f'An event source mapping with event source ("{",".join(servers)}"), function ("{ARN}"), '
                'topics ("topic") already exists. '
                f"Please update or delete the existing mapping with UUID {known['UUID']}"
            ),
        )
    await node.call("CreateEventSourceMapping", FunctionName="f", **{**kafka("kafka:1000"), "Topics": ["other"]})


async def test_an_update_gives_no_function_a_source_twice(node: Management) -> None:
    known, other = await create(node), await create(node, FunctionName="g")
    code, _ = await node.refusal("UpdateEventSourceMapping", UUID=other["UUID"], FunctionName="f")
    assert code == "ResourceConflictException"
    assert (await update(node, known, FunctionName="f", BatchSize=5))["BatchSize"] == 5


async def test_of_many_who_ask_at_once_one_gets_the_queue(node: Management) -> None:
    request: dict[str, Any] = {"FunctionName": "f", "EventSourceArn": QUEUE}
    asked = [node.call("CreateEventSourceMapping", **request) for _ in range(10)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    await node.settling.idle()
    assert len(await listed(node)) == 1


# Changes...


async def test_an_update_changes_what_it_names(node: Management) -> None:
    created = await create(node, MaximumBatchingWindowInSeconds=3)
    node.clock.advance(1)
    answer = await update(node, created, BatchSize=20, FunctionName="g:$LATEST")
    assert answer == {
        **created,
        "BatchSize": 20,
        "FunctionArn": f"{ARN[:-1]}g:$LATEST",
        "LastModified": NOW + 1,
        "State": "Updating",
    }
    assert (await get(node, created))["State"] == "Enabled"


async def test_an_empty_setting_takes_away_what_there_was(node: Management) -> None:
    settings = {
        "FilterCriteria": {"Filters": [{"Pattern": PATTERN}]},
        "ScalingConfig": {"MaximumConcurrency": 5},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    plain = await create(node, FunctionName="g")
    created = await create(node, **settings)
    empty = {
        "FilterCriteria": {},
        "ScalingConfig": {},
        "KMSKeyArn": "",
        "MetricsConfig": {},
        "FunctionResponseTypes": [],
    }
    answer = await update(node, created, **empty)
    assert answer.keys() == plain.keys()
    stream = await create(
        node, EventSourceArn=STREAM, StartingPosition="LATEST", DestinationConfig={"OnFailure": {"Destination": QUEUE}}
    )
    assert (await update(node, stream, DestinationConfig={"OnFailure": {}}))["DestinationConfig"] == {"OnFailure": {}}


async def test_a_mapping_is_disabled_and_enabled(node: Management) -> None:
    mapping = await create(node, Enabled=False)
    assert mapping["State"] == "Creating"
    assert (await get(node, mapping))["State"] == "Disabled"
    for enabled, on_the_way, at_rest in (
        (True, "Enabling", "Enabled"),
        (True, "Updating", "Enabled"),
        (False, "Disabling", "Disabled"),
        (False, "Updating", "Disabled"),
    ):
        assert (await update(node, mapping, Enabled=enabled))["State"] == on_the_way
        assert (await get(node, mapping))["State"] == at_rest


async def test_a_mapping_that_is_deleted_is_gone_when_it_has_come_to_rest(node: Management) -> None:
    mapping = await create(node)
    answer = await node.call("DeleteEventSourceMapping", UUID=mapping["UUID"])
    assert answer == {**mapping, "State": "Deleting"}
    await node.settling.idle()
    for operation in ("Get", "Update", "Delete"):
        assert await node.refusal(f"{operation}EventSourceMapping", UUID=mapping["UUID"]) == NO_MAPPING
    assert await listed(node) == await listed(node, FunctionName="f") == await listed(node, EventSourceArn=QUEUE) == []
    assert not [document.key for document in await node.documents.list("") if "mapping" in document.key]


async def test_a_mapping_that_is_nowhere_is_not_found(node: Management) -> None:
    for operation in ("Get", "Update", "Delete"):
        assert await node.refusal(f"{operation}EventSourceMapping", UUID=UNKNOWN) == NO_MAPPING
    mapping = await create(node)
    request = {"scope": Scope("111122223333"), "UUID": mapping["UUID"]}
    assert await node.refusal("GetEventSourceMapping", **request) == NO_MAPPING
    assert await node.call("ListEventSourceMappings", scope=Scope(region="eu-west-1")) == {"EventSourceMappings": []}


class Reader:
    """Takes as long as the test wants to follow a mapping."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.followed: list[tuple[str, bool]] = []
        self.failures: list[OSError] = []

    async def __call__(self, mapping: EventSourceMapping) -> None:
        await self.go_on.wait()
        if self.failures:
            raise self.failures.pop()
        self.followed.append((mapping.state, mapping.enabled))


@pytest.fixture
async def reader(node: Management) -> AsyncIterator[Reader]:
    reader = Reader()
    await node.settling.close()
    node.settling = MappingSettling(node.catalog.event_source_mappings, followed=reader, sleep=_no_time)
    await node.settling.open()
    yield reader
    await node.settling.close()


async def _no_time(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_while_a_mapping_is_on_its_way_it_is_in_use(node: Management, reader: Reader) -> None:
    mapping = await node.call("CreateEventSourceMapping", FunctionName="f", EventSourceArn=QUEUE)
    assert await node.refusal("UpdateEventSourceMapping", UUID=mapping["UUID"], BatchSize=1) == (
        "ResourceInUseException",
        "Cannot update the event source mapping because it is in use.",
    )
    assert await node.refusal("DeleteEventSourceMapping", UUID=mapping["UUID"]) == (
        "ResourceInUseException",
        "Cannot delete the event source mapping because it is in use.",
    )
    assert (await get(node, mapping))["State"] == "Creating"
    reader.go_on.set()
    await node.settling.idle()
    assert (await get(node, mapping))["State"] == "Enabled"


async def test_whoever_reads_is_told_of_every_change_before_it_has_come_to_rest(
    node: Management, reader: Reader
) -> None:
    reader.go_on.set()
    reader.failures = [OSError("the broker is away")]
    mapping = await create(node)
    await update(node, mapping, Enabled=False)
    await node.call("DeleteEventSourceMapping", UUID=mapping["UUID"])
    await node.settling.idle()
    assert reader.followed == [("Creating", True), ("Disabling", False), ("Deleting", False)]


# Lists...


async def test_mappings_are_listed_by_function_and_by_source(node: Management) -> None:
    plain, alias, other = (
        await create(node),
        await create(node, FunctionName="f:live"),
        await create(node, FunctionName="g"),
    )
    stream = await create(node, EventSourceArn=STREAM, StartingPosition="LATEST")
    every = {mapping["UUID"] for mapping in (plain, alias, other, stream)}
    assert set(await listed(node)) == every
    for name in ("f", ARN, "function:f", "000000000000:function:f"):
        assert set(await listed(node, FunctionName=name)) == {plain["UUID"], stream["UUID"]}
    assert await listed(node, FunctionName=f"{ARN}:live") == [alias["UUID"]]
    assert set(await listed(node, EventSourceArn=QUEUE)) == every - {stream["UUID"]}
    assert await listed(node, EventSourceArn=QUEUE, FunctionName="g") == [other["UUID"]]
    assert await listed(node, EventSourceArn=QUEUE, FunctionName="unknown") == []
    await update(node, plain, FunctionName="g:$LATEST")
    assert await listed(node, FunctionName="f") == [stream["UUID"]]
    assert set(await listed(node, EventSourceArn=QUEUE)) == every - {stream["UUID"]}


@pytest.mark.parametrize("by", [{}, {"FunctionName": "f"}, {"EventSourceArn": QUEUE}])
async def test_mappings_are_listed_in_pages(node: Management, by: dict[str, Any]) -> None:
    wanted = set()
    for number in range(5):
        mine = await create(node, EventSourceArn=f"{QUEUE}{number}")
        name = (await node.created(f"h{number}"))["FunctionName"]
        theirs = await create(node, FunctionName=name)
        match by:
            case {"FunctionName": _}:
                wanted |= {mine["UUID"]}
            case {"EventSourceArn": _}:
                wanted |= {theirs["UUID"]}
            case _:
                wanted |= {mine["UUID"], theirs["UUID"]}
    found: list[str] = []
    marker: dict[str, Any] = {}
    while True:
        page = await node.call("ListEventSourceMappings", MaxItems=2, **by, **marker)
        assert len(page["EventSourceMappings"]) <= 2
        found += [mapping["UUID"] for mapping in page["EventSourceMappings"]]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert (sorted(found), len(found)) == (sorted(wanted), len(wanted))


async def test_a_page_has_a_hundred_mappings_whatever_is_asked_for(node: Management) -> None:
    for number in range(101):
        await node.call("CreateEventSourceMapping", FunctionName="f", EventSourceArn=f"{QUEUE}{number}")
    page = await node.call("ListEventSourceMappings", MaxItems=10_000)
    assert (len(page["EventSourceMappings"]), "NextMarker" in page) == (100, True)
    assert len(await listed(node, Marker=page["NextMarker"])) == 1


# Tags...


async def test_a_mapping_is_made_with_tags_and_tagged(node: Management) -> None:
    mapping = await create(node, Tags={"a": "1"})
    arn = mapping["EventSourceMappingArn"]
    assert "Tags" not in mapping
    assert await node.call("TagResource", Resource=arn, Tags={"b": "2"}) == {}
    assert await node.call("ListTags", Resource=arn) == {"Tags": {"a": "1", "b": "2"}}
    assert await node.call("UntagResource", Resource=arn, TagKeys=["a"]) == {}
    assert await node.call("ListTags", Resource=arn) == {"Tags": {"b": "2"}}
    assert (await get(node, mapping))["State"] == "Enabled"


async def test_fifty_tags_are_the_most_that_a_mapping_has(node: Management) -> None:
    told = ("InvalidParameterValueException", "Number of tags exceeds resource tag limit.")
    tags = {f"t{number}": "" for number in range(51)}
    request = {"FunctionName": "f", "EventSourceArn": QUEUE}
    assert await node.refusal("CreateEventSourceMapping", **request, Tags=tags) == told
    mapping = await create(node)
    assert await node.refusal("TagResource", Resource=mapping["EventSourceMappingArn"], Tags=tags) == told


async def test_what_is_nowhere_has_no_tags(node: Management) -> None:
    mapping = await create(node)
    for arn in (
        f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{UNKNOWN}",
        mapping["EventSourceMappingArn"].replace("us-east-1", "eu-west-1"),
    ):
        told = ("ResourceNotFoundException", f"Event source mapping not found: {arn}")
        assert await node.refusal("ListTags", Resource=arn) == told
        assert await node.refusal("TagResource", Resource=arn, Tags={"a": "b"}) == told
        assert await node.refusal("UntagResource", Resource=arn, TagKeys=["a"]) == told
