"""What AWS says to event source mappings that cannot be."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pasture.domain.errors import InvalidParameterValue
from pasture.domain.event_source import SourceKind, kind_of
from pasture.domain.identifiers import FunctionRef
from pasture.domain.scope import Scope
from pasture.functions.event_source_configuration import drafted, edited
from pasture.functions.event_source_validation import check_create, check_mapping, check_update

HERE = Scope()
NOW = 1_700_000_000.0
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
FIFO = f"{QUEUE}.fifo"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
CONSUMER = f"{STREAM}/consumer/c:1700000000"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2025-02-22T03:03:25.490"
CLUSTER = "arn:aws:kafka:us-east-1:000000000000:cluster/c/0a1b-1"
BROKER = "arn:aws:mq:us-east-1:000000000000:broker:b:b-1"
DATABASE = "arn:aws:rds:us-east-1:000000000000:cluster:d"
SECRET = [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s"}]

SQS: dict[str, Any] = {"EventSourceArn": QUEUE}
KINESIS: dict[str, Any] = {"EventSourceArn": STREAM, "StartingPosition": "LATEST"}
DYNAMODB: dict[str, Any] = {"EventSourceArn": TABLE, "StartingPosition": "TRIM_HORIZON"}
MSK: dict[str, Any] = {"EventSourceArn": CLUSTER, "StartingPosition": "LATEST", "Topics": ["t"]}
KAFKA: dict[str, Any] = {
    "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}},
    "StartingPosition": "LATEST",
    "Topics": ["t"],
    "SourceAccessConfigurations": SECRET,
}
MQ: dict[str, Any] = {"EventSourceArn": BROKER, "Queues": ["q"], "SourceAccessConfigurations": SECRET}
DOCUMENTDB: dict[str, Any] = {
    "EventSourceArn": DATABASE,
    "StartingPosition": "LATEST",
    "DocumentDBEventSourceConfig": {"DatabaseName": "d"},
    "SourceAccessConfigurations": SECRET,
}
KINDS: dict[str, dict[str, Any]] = {
    "SQS": SQS,
    "Kinesis": KINESIS,
    "DynamoDB": DYNAMODB,
    "MSK": MSK,
    "SelfManagedKafka": KAFKA,
    "MQ": MQ,
    "DocumentDB": DOCUMENTDB,
}
PROVISIONED = {"ProvisionedPollerConfig": {"MinimumPollers": 2}}
REGISTRY = {
    "SchemaRegistryURI": "https://registry",
    "EventRecordFormat": "JSON",
    "SchemaValidationConfigs": [{"Attribute": "VALUE"}],
}
QUEUE_MODE = {
    **{name: value for name, value in KAFKA.items() if name != "StartingPosition"},
    "SelfManagedKafkaEventSourceConfig": {"ConsumptionMode": "Queue"},
}


def create(*parts: dict[str, Any], **more: Any) -> Any:
    request = {name: value for part in parts for name, value in part.items()} | more
    kind = check_create(request, HERE, NOW)
    mapping = drafted(request, kind, HERE, FunctionRef("f"), "u")
    check_mapping(mapping)
    return mapping


def update(mapping: Any, **request: Any) -> Any:
    check_update(request, mapping)
    changed = edited(mapping, request)
    check_mapping(changed)
    return changed


def refused(*parts: dict[str, Any], **more: Any) -> str:
    with pytest.raises(InvalidParameterValue) as caught:
        create(*parts, **more)
    return caught.value.message


def update_refused(mapping: Any, **request: Any) -> str:
    with pytest.raises(InvalidParameterValue) as caught:
        update(mapping, **request)
    return caught.value.message


def without(request: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != member}


def unsupported(member: str) -> str:
    return f"Unsupported {member} parameter for given event source mapping type."


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        (QUEUE, SourceKind.SQS),
        (FIFO, SourceKind.SQS),
        (STREAM, SourceKind.KINESIS),
        (CONSUMER, SourceKind.KINESIS),
        (TABLE, SourceKind.DYNAMODB),
        (CLUSTER, SourceKind.MSK),
        ("arn:aws:kafka:us-east-1:000000000000:vpc-connection/111122223333/c/0a1b-1", SourceKind.MSK),
        (BROKER, SourceKind.MQ),
        (DATABASE, SourceKind.DOCUMENTDB),
        (QUEUE.replace("arn:aws:", "arn:aws-cn:"), SourceKind.SQS),
        ("", None),
        ("arn:aws:sns:us-east-1:000000000000:t", None),
        ("arn:aws:dynamodb:us-east-1:000000000000:table/t", None),
        ("arn:aws:sqs:us-east-1:000000000000:", None),
    ],
)
def test_the_arn_says_what_kind_of_source_it_is(arn: str, kind: SourceKind | None) -> None:
    assert kind_of(arn) is kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_takes_what_it_needs(kind: str) -> None:
    assert create(KINDS[kind]).kind == kind


def test_a_source_must_be_one() -> None:
    assert refused() == refused(EventSourceArn="arn:aws:sns:us-east-1:000000000000:t") == "Unrecognized event source."
    assert refused(SQS, SelfManagedEventSource=KAFKA["SelfManagedEventSource"]) == (
        "Only one of EventSourceArn and SelfManagedEventSource may be specified."
    )
    assert (
        refused(KAFKA, SelfManagedEventSource={}) == "Required 'selfManagedEventSource.endpoints' parameter is missing."
    )
    assert refused(EventSourceArn=QUEUE.replace("us-east-1", "eu-west-1")) == (
        "The event source must be in the region of the function ('us-east-1')."
    )


# The settings that few kinds take, with a value that one of them takes.
SETTINGS: dict[str, tuple[Any, set[str]]] = {
    "ParallelizationFactor": (2, {"Kinesis", "DynamoDB"}),
    "TumblingWindowInSeconds": (5, {"Kinesis", "DynamoDB"}),
    "MaximumRecordAgeInSeconds": (60, {"Kinesis", "DynamoDB", "MSK", "SelfManagedKafka"}),
    "MaximumRetryAttempts": (1, {"Kinesis", "DynamoDB", "MSK", "SelfManagedKafka"}),
    "BisectBatchOnFunctionError": (True, {"Kinesis", "DynamoDB", "MSK", "SelfManagedKafka"}),
    "DestinationConfig": ({"OnFailure": {"Destination": QUEUE}}, {"Kinesis", "DynamoDB", "MSK", "SelfManagedKafka"}),
    "FunctionResponseTypes": (["ReportBatchItemFailures"], {"SQS", "Kinesis", "DynamoDB", "MSK", "SelfManagedKafka"}),
    "FilterCriteria": ({"Filters": [{"Pattern": '{"a": ["b"]}'}]}, set(KINDS) - {"DocumentDB"}),
    "ScalingConfig": ({"MaximumConcurrency": 2}, {"SQS"}),
    "ProvisionedPollerConfig": ({"MinimumPollers": 2}, {"SQS", "MSK", "SelfManagedKafka"}),
    "LoggingConfig": ({"SystemLogLevel": "WARN"}, {"MSK", "SelfManagedKafka"}),
    "Topics": (["t"], {"MSK", "SelfManagedKafka"}),
    "Queues": (["q"], {"MQ"}),
    "AmazonManagedKafkaEventSourceConfig": ({"ConsumerGroupId": "g"}, {"MSK"}),
    "SelfManagedKafkaEventSourceConfig": ({"ConsumerGroupId": "g"}, {"SelfManagedKafka"}),
    "DocumentDBEventSourceConfig": ({"DatabaseName": "d"}, {"DocumentDB"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("member", SETTINGS)
def test_a_kind_of_source_takes_its_settings_and_no_others(kind: str, member: str) -> None:
    value, takers = SETTINGS[member]
    if kind in takers:
        create(KINDS[kind], **{member: value})
    else:
        assert refused(KINDS[kind], **{member: value}) == unsupported(member)
        if member not in {"Topics", "Queues"}:
            assert update_refused(create(KINDS[kind]), **{member: value}) == unsupported(member)


@pytest.mark.parametrize(
    ("request_", "member", "told"),
    [
        (MSK, "Topics", "Required 'topics' parameter is missing."),
        (KAFKA, "Topics", "Required 'topics' parameter is missing."),
        (KAFKA, "SourceAccessConfigurations", "Required 'sourceAccessConfigurations' parameter is missing."),
        (MQ, "Queues", "Required 'queues' parameter is missing."),
        (MQ, "SourceAccessConfigurations", "Required 'sourceAccessConfigurations' parameter is missing."),
        (DOCUMENTDB, "SourceAccessConfigurations", "Required 'sourceAccessConfigurations' parameter is missing."),
        (
            DOCUMENTDB,
            "DocumentDBEventSourceConfig",
            "Required 'documentDBEventSourceConfig.databaseName' parameter is missing.",
        ),
    ],
)
def test_what_a_kind_of_source_needs_must_be_there(request_: dict[str, Any], member: str, told: str) -> None:
    assert refused(without(request_, member)) == told


# Where to begin...


@pytest.mark.parametrize("kind", ["Kinesis", "DynamoDB", "MSK", "SelfManagedKafka", "DocumentDB"])
def test_a_stream_is_read_from_a_place_that_somebody_has_said(kind: str) -> None:
    assert refused(without(KINDS[kind], "StartingPosition")) == (
        "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
        "Member must not be null."
    )


def test_queues_have_no_place_to_begin() -> None:
    told = "StartingPosition is not valid for SQS event sources."
    assert refused(SQS, StartingPosition="LATEST") == told
    assert refused(SQS, StartingPositionTimestamp=datetime.fromtimestamp(1, UTC)) == told
    assert refused(MQ, StartingPosition="LATEST") == unsupported("StartingPosition")


def test_a_moment_to_begin_at_is_a_moment_and_has_been() -> None:
    at = {"StartingPosition": "AT_TIMESTAMP"}
    assert create(KINESIS, at, StartingPositionTimestamp=datetime.fromtimestamp(NOW, UTC)).starting_timestamp == NOW
    assert refused(KINESIS, at) == "Need to specify a timestamp"
    assert refused(KINESIS, StartingPositionTimestamp=datetime.fromtimestamp(1, UTC)) == (
        "Timestamp only valid with StartingPosition AT_TIMESTAMP"
    )
    assert refused(KINESIS, at, StartingPositionTimestamp=datetime.fromtimestamp(NOW + 1, UTC)) == (
        "StartingPositionTimestamp cannot be in the future."
    )
    assert refused(KINESIS, at, StartingPositionTimestamp=datetime.fromtimestamp(-1, UTC)) == (
        "Received Exception while reading from provided stream. class java.lang.Long can not be converted to a Timestamp"
    )
    assert refused(DYNAMODB, at, StartingPositionTimestamp=datetime.fromtimestamp(1, UTC)) == (
        f"Unsupported starting position for arn type: {TABLE}"
    )


# Batches...


def test_large_batches_of_a_queue_need_time_to_fill() -> None:
    told = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    assert refused(SQS, BatchSize=11) == told
    large = create(SQS, BatchSize=11, MaximumBatchingWindowInSeconds=1)
    assert update_refused(large, MaximumBatchingWindowInSeconds=0) == told
    assert update_refused(create(SQS), BatchSize=11) == told


def test_fifo_queues_have_small_batches_and_no_window() -> None:
    told = "Batching window is not supported for FIFO queues"
    assert refused(EventSourceArn=FIFO, MaximumBatchingWindowInSeconds=1) == told
    assert refused(EventSourceArn=FIFO, BatchSize=100, MaximumBatchingWindowInSeconds=1) == told
    assert create(EventSourceArn=FIFO, BatchSize=10, MaximumBatchingWindowInSeconds=0).batch_size == 10


def test_a_tumbling_window_is_for_one_batch_at_a_time() -> None:
    told = "A tumbling window cannot be used with a ParallelizationFactor greater than 1."
    assert refused(KINESIS, TumblingWindowInSeconds=1, ParallelizationFactor=2) == told
    assert update_refused(create(KINESIS, ParallelizationFactor=2), TumblingWindowInSeconds=1) == told


@pytest.mark.parametrize("age", [0, 59])
def test_records_are_given_a_minute_at_least(age: int) -> None:
    assert "at 'maximumRecordAgeInSeconds' failed to satisfy constraint" in refused(
        KINESIS, MaximumRecordAgeInSeconds=age
    )
    assert create(KINESIS, MaximumRecordAgeInSeconds=-1).record_age_seconds == -1


# Filters and destinations...


@pytest.mark.parametrize("filters", [[{"Pattern": "single-string"}], [{}], [{"Pattern": ""}], [{"Pattern": "{}"}]])
def test_filters_must_be_patterns(filters: list[dict[str, str]]) -> None:
    assert refused(SQS, FilterCriteria={"Filters": filters}) == "Invalid filter pattern definition."


def test_five_filters_are_the_most() -> None:
    one = {"Pattern": '{"a": ["b"]}'}
    assert len(create(SQS, FilterCriteria={"Filters": [one] * 5}).filters) == 5
    assert refused(SQS, FilterCriteria={"Filters": [one] * 6}) == "Number of filters exceeds the limit of 5."


@pytest.mark.parametrize("kind", KINDS)
def test_what_went_well_has_no_destination(kind: str) -> None:
    assert refused(KINDS[kind], DestinationConfig={"OnSuccess": {"Destination": QUEUE}}) == unsupported(
        "DestinationConfig"
    )


def test_what_failed_goes_to_a_queue_a_topic_or_a_bucket() -> None:
    for arn in (QUEUE, "arn:aws:sns:us-east-1:000000000000:t", "arn:aws:s3:::bucket"):
        assert create(KINESIS, DestinationConfig={"OnFailure": {"Destination": arn}}).on_failure == arn
    assert create(MSK, DestinationConfig={"OnFailure": {"Destination": "kafka://t"}}).on_failure == "kafka://t"
    for arn in ("kafka://t", "arn:aws:lambda:us-east-1:000000000000:function:f"):
        assert refused(KINESIS, DestinationConfig={"OnFailure": {"Destination": arn}}) == (
            "The provided destination config DestinationConfig(onSuccess=null, "
            f"onFailure=OnFailure(destination={arn})) is invalid."
        )


# Pollers...


def test_provisioned_mode_has_its_bounds() -> None:
    assert refused(SQS, ProvisionedPollerConfig={}) == (
        "Either MinimumPollers or MaximumPollers are required if ProvisionedPollerConfig is provided."
    )
    of_queues = "MinimumPollers should be between [2, 200] and MaximumPollers should be between [MinimumPollers, 10000]"
    assert refused(SQS, ProvisionedPollerConfig={"MinimumPollers": 1}) == of_queues
    assert refused(SQS, ProvisionedPollerConfig={"MinimumPollers": 9, "MaximumPollers": 8}) == of_queues
    assert create(MSK, ProvisionedPollerConfig={"MinimumPollers": 1, "MaximumPollers": 2000}).pollers.maximum == 2000
    assert refused(MSK, ProvisionedPollerConfig={"MaximumPollers": 2001}) == (
        "MinimumPollers should be between [1, 200] and MaximumPollers should be between [MinimumPollers, 2000]"
    )
    assert refused(SQS, ProvisionedPollerConfig={"MinimumPollers": 2, "PollerGroupName": "g"}) == unsupported(
        "PollerGroupName"
    )


def test_provisioned_mode_and_a_concurrency_exclude_each_other() -> None:
    told = (
        "Provisioned mode for SQS ESM does not support maximum concurrency feature. "
        "Use MaximumPollers as the control mechanism and remove maximum concurrency."
    )
    assert refused(SQS, PROVISIONED, ScalingConfig={"MaximumConcurrency": 5}) == told
    assert update_refused(create(SQS, PROVISIONED), ScalingConfig={"MaximumConcurrency": 5}) == told
    assert (
        update(create(SQS, PROVISIONED), ProvisionedPollerConfig={}, ScalingConfig={"MaximumConcurrency": 5}).pollers
        is None
    )


def test_metrics_of_kafka_need_provisioned_mode_and_others_count_events_only() -> None:
    everything = {"Metrics": ["EventCount", "ErrorCount", "KafkaMetrics"]}
    assert refused(MSK, MetricsConfig=everything) == (
        "MetricsConfig is only available for Provisioned Mode. "
        "Enable Provisioned Mode by specifying MinimumPollers in ProvisionedPollerConfig."
    )
    assert create(MSK, PROVISIONED, MetricsConfig=everything).more["MetricsConfig"] == everything
    assert create(SQS, MetricsConfig={"Metrics": ["EventCount"]}).more["MetricsConfig"] == {"Metrics": ["EventCount"]}
    assert refused(SQS, MetricsConfig=everything) == unsupported("MetricsConfig")


# Kafka...


def test_a_schema_registry_needs_provisioned_mode_and_all_its_parts() -> None:
    config = {"AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": REGISTRY}}
    assert create(MSK, PROVISIONED, config).more["SchemaRegistryConfig"] == REGISTRY
    assert refused(MSK, config).startswith("SchemaRegistryConfig is only available for Provisioned Mode.")
    partly = {
        "AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": without(REGISTRY, "SchemaValidationConfigs")}
    }
    assert refused(MSK, PROVISIONED, partly) == (
        "Required 'schemaRegistryConfig.schemaValidationConfigs' parameter is missing."
    )


def test_a_consumer_group_cannot_be_changed() -> None:
    for kind, member in (
        ("MSK", "AmazonManagedKafkaEventSourceConfig"),
        ("SelfManagedKafka", "SelfManagedKafkaEventSourceConfig"),
    ):
        mapping = create(KINDS[kind], **{member: {"ConsumerGroupId": "g"}})
        path = member[0].lower() + member[1:]
        assert (
            update_refused(mapping, **{member: {"ConsumerGroupId": "g"}})
            == f"Unsupported '{path}.consumerGroupId' parameter"
        )


def test_a_share_group_has_no_place_to_begin_no_window_and_no_endless_retries() -> None:
    assert create(QUEUE_MODE).retries == 0
    assert refused(QUEUE_MODE, StartingPosition="LATEST") == unsupported("StartingPosition")
    assert refused(QUEUE_MODE, MaximumBatchingWindowInSeconds=1) == unsupported("MaximumBatchingWindowInSeconds")
    assert refused(QUEUE_MODE, MaximumRetryAttempts=-1) == unsupported("MaximumRetryAttempts")


# Ways in...


@pytest.mark.parametrize(
    ("request_", "access", "told"),
    [
        (MQ, [{"Type": "VIRTUAL_HOST", "URI": "/"}], "A source access configuration of type BASIC_AUTH is required for MQ."),
        (MQ, [*SECRET, {"Type": "VPC_SUBNET", "URI": "subnet:s"}], "The source access type VPC_SUBNET is not supported for MQ event sources."),
        (MSK, SECRET, "The source access type BASIC_AUTH is not supported for MSK event sources."),
        (KAFKA, [], "Required 'sourceAccessConfigurations' parameter is missing."),
        (KAFKA, [{"URI": "x"}], "Required 'sourceAccessConfigurations.type' parameter is missing."),
        (KAFKA, [{"Type": "BASIC_AUTH"}], "A source access configuration of type BASIC_AUTH must have a URI."),
        (KAFKA, [{"Type": "IAM_AUTH", "URI": "x"}], "A source access configuration of type IAM_AUTH must not have a URI."),
        (KAFKA, [{"Type": "OAUTHBEARER_SCOPE", "URI": "x"}], "The source access type OAUTHBEARER_SCOPE requires OAUTHBEARER_AUTH."),
        (KAFKA, [{"Type": "IAM_OAUTHBEARER_AUTH"}], "The source access type IAM_OAUTHBEARER_AUTH requires OAUTHBEARER_AUDIENCE."),
        (KAFKA, [{"Type": "OAUTHBEARER_AUDIENCE", "URI": "x"}], "The source access type OAUTHBEARER_AUDIENCE requires OAUTHBEARER_AUTH or IAM_OAUTHBEARER_AUTH."),
    ],
)  # fmt: skip
def test_a_source_is_reached_as_its_kind_can_be(request_: dict[str, Any], access: list[Any], told: str) -> None:
    assert refused(request_, SourceAccessConfigurations=access) == told


def test_a_virtual_host_stays_what_it_was() -> None:
    host = {"Type": "VIRTUAL_HOST", "URI": "/other"}
    mapping = create(MQ, SourceAccessConfigurations=[*SECRET, host])
    assert update_refused(mapping, SourceAccessConfigurations=[*SECRET, host]) == (
        "VIRTUAL_HOST cannot be specified in UpdateEventSourceMapping."
    )
    assert update(mapping, SourceAccessConfigurations=SECRET).more["SourceAccessConfigurations"] == [*SECRET, host]


def test_what_is_no_text_is_refused_before_it_is_kept() -> None:
    assert refused(MQ, Queues=["\ud800"]) == "The request has text that is not valid Unicode."
    assert update_refused(create(DOCUMENTDB), DocumentDBEventSourceConfig={"CollectionName": "\ud800"}) == (
        "The request has text that is not valid Unicode."
    )
