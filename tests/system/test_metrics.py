"""What functions did, as CloudWatch and Prometheus show it, through real clients."""

import gzip
import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore
import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from system.node import Server, until

CODE = """
import time
def handler(event, context):
    if event == "fail":
        raise ValueError(event)
    time.sleep(event)
    return event
"""
PROTOCOLS = ["smithy-rpc-v2-cbor", "json", "query"]


def around() -> dict[str, datetime]:
    now = datetime.now(UTC)
    return {"StartTime": now - timedelta(minutes=10), "EndTime": now + timedelta(minutes=2)}


def dimensions(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def total(client: Any, name: str, statistic: str = "Sum", **of: str) -> float | None:
    """Of the last ten minutes, as one number."""
    answer = client.get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=name,
        Dimensions=dimensions(**of),
        Period=3600,
        Statistics=[statistic],
        **around(),
    )
    points = answer["Datapoints"]
    return float(points[0][statistic]) if points else None


def refused(call: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.fixture(scope="module")
def counted(server: Server) -> str:
    """A function that was invoked five times, of which two failed; reported, too."""
    name = server.deploy("counted", CODE)
    for event in (0, 0, 0.05, "fail", "fail"):
        server.invoke(name, event)
    until(lambda: total(server.client("cloudwatch"), "Invocations", FunctionName=name) == 5)
    return name


@pytest.fixture(scope="module", params=PROTOCOLS)
def cloudwatch(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A boto3 that knows CloudWatch by one protocol only, as older and other SDKs do."""
    models = tmp_path_factory.mktemp("models")
    source = Path(botocore.__file__).parent / "data" / "cloudwatch"
    shutil.copytree(source, models / "cloudwatch")
    for file in models.glob("cloudwatch/*/service-2.json.gz"):
        model = json.loads(gzip.decompress(file.read_bytes()))
        model["metadata"] |= {"protocol": request.param, "protocols": [request.param]}
        file.with_suffix("").write_text(json.dumps(model))
        file.unlink()
    session = botocore.session.Session()
    session.get_component("data_loader").search_paths.insert(0, str(models))
    connect: Any = boto3.Session(botocore_session=session).client
    return connect("cloudwatch", endpoint_url=server.url, region_name="us-east-1", **server.key())


# CloudWatch, in each of its protocols...


def test_each_protocol_is_answered_in_itself(cloudwatch: Any) -> None:
    forms = {"smithy-rpc-v2-cbor": "application/cbor", "json": "application/x-amz-json-1.0", "query": "text/xml"}
    answer = cloudwatch.list_metrics()["ResponseMetadata"]
    protocol = cloudwatch.meta.service_model.metadata["protocol"]
    assert answer["HTTPHeaders"]["content-type"] == forms[protocol]


def test_what_a_function_did_is_told(cloudwatch: Any, counted: str) -> None:
    assert total(cloudwatch, "Invocations", FunctionName=counted) == 5
    assert total(cloudwatch, "Errors", FunctionName=counted) == 2
    assert total(cloudwatch, "Errors", "Average", FunctionName=counted, Resource=counted) == pytest.approx(0.4)
    assert total(cloudwatch, "Throttles", FunctionName=counted) == 0
    assert total(cloudwatch, "ConcurrentExecutions", "Maximum", FunctionName=counted) == 1
    longest = total(cloudwatch, "Duration", "Maximum", FunctionName=counted)
    assert longest is not None
    assert longest >= 50


def test_percentiles_lie_between_the_extremes(cloudwatch: Any, counted: str) -> None:
    answer = cloudwatch.get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Duration",
        Dimensions=dimensions(FunctionName=counted),
        Period=3600,
        Statistics=["Minimum", "Maximum"],
        ExtendedStatistics=["p0", "p50", "p99.9"],
        **around(),
    )
    (point,) = answer["Datapoints"]
    told = point["ExtendedStatistics"]
    assert point["Minimum"] <= told["p50"] <= told["p99.9"] <= point["Maximum"]
    assert (point["Unit"], answer["Label"]) == ("Milliseconds", "Duration")


def test_an_error_rate_is_computed_from_two_metrics(cloudwatch: Any, counted: str) -> None:
    def stat(id_: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": dimensions(FunctionName=counted)}
        return {"Id": id_, "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "Sum"}, "ReturnData": False}

    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[
            stat("errors", "Errors"), stat("all", "Invocations"), {"Id": "rate", "Expression": "100 * errors / all"}
        ],
        **around(),
    )  # fmt: skip
    (result,) = answer["MetricDataResults"]
    assert (result["Id"], result["Values"], result["StatusCode"]) == ("rate", [40.0], "Complete")
    assert [time.tzinfo is not None for time in result["Timestamps"]] == [True]


def test_metrics_of_a_function_are_listed(cloudwatch: Any, counted: str) -> None:
    answer = cloudwatch.list_metrics(Namespace="AWS/Lambda", Dimensions=dimensions(FunctionName=counted))
    found = {metric["MetricName"] for metric in answer["Metrics"]}
    assert found == {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"}


def test_metrics_of_one_s_own_are_taken_in_and_told_again(cloudwatch: Any) -> None:
    namespace = f"Shop/{cloudwatch.meta.service_model.metadata['protocol']}"
    data = [{"MetricName": "orders", "Value": float(number), "Unit": "Count"} for number in range(300)]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)  # large enough for clients to compress it
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[
            {
                "Id": "orders",
                "MetricStat": {
                    "Metric": {"Namespace": namespace, "MetricName": "orders"},
                    "Period": 3600,
                    "Stat": "Sum",
                    "Unit": "Count",
                },
            }
        ],
        **around(),
    )
    assert sum(value for page in pages for value in page["MetricDataResults"][0]["Values"]) == sum(range(300))


def test_what_is_wrong_is_told_by_cloudwatch_s_own_codes(cloudwatch: Any) -> None:
    asked: dict[str, Any] = {"Namespace": "AWS/Lambda", "MetricName": "Duration", "Statistics": ["Sum"], **around()}
    assert refused(cloudwatch.get_metric_statistics, Period=61, **asked) == (400, "InvalidParameterValue")
    asked["StartTime"] -= timedelta(days=10)
    assert refused(cloudwatch.get_metric_statistics, Period=60, **asked) == (400, "InvalidParameterCombination")
    assert refused(cloudwatch.list_metrics, NextToken="made-up") == (400, "InvalidNextToken")
    assert refused(cloudwatch.get_metric_data, MetricDataQueries=[{"Id": "a"}], **around()) == (400, "ValidationError")
    with pytest.raises(cloudwatch.exceptions.ClientError, match="not yet served"):
        cloudwatch.describe_alarms()


def test_a_signature_that_does_not_hold_is_refused_in_the_protocol_s_form(cloudwatch: Any) -> None:
    credentials, cloudwatch._request_signer._credentials = (
        cloudwatch._request_signer._credentials,
        Credentials("AKIAAAAAAAAAAAAAAAAA", "wrong"),
    )
    try:
        assert refused(cloudwatch.list_metrics)[1] == "InvalidClientTokenId"
    finally:
        cloudwatch._request_signer._credentials = credentials


# What is counted...


def test_throttles_are_counted_and_are_no_invocations(server: Server) -> None:
    name = server.deploy("throttled", CODE)
    server.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    for _ in range(3):
        assert refused(server.functions.invoke, FunctionName=name, Payload=b"0")[0] == 429
    client = server.client("cloudwatch")
    assert total(client, "Throttles", FunctionName=name) == 3
    assert total(client, "Invocations", FunctionName=name) is None


def test_a_timeout_is_an_error_and_lasts_as_long_as_it_may(server: Server) -> None:
    name = server.deploy("slow", CODE, Timeout=1)
    assert server.invoke(name, 30).error == "Unhandled"
    client = server.client("cloudwatch")
    until(lambda: total(client, "Errors", FunctionName=name) == 1)
    assert total(client, "Duration", "Maximum", FunctionName=name) == 1000


def test_an_alias_is_a_resource_and_shows_the_version_that_ran(server: Server) -> None:
    name = server.deploy("aliased", CODE)
    number = server.functions.publish_version(FunctionName=name)["Version"]
    server.functions.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=number)
    server.functions.create_alias(FunctionName=name, Name="live", FunctionVersion=number)
    server.invoke(name, 0, Qualifier="live")
    client, resource = server.client("cloudwatch"), f"{name}:live"
    until(lambda: total(client, "Invocations", FunctionName=name, Resource=resource) == 1)
    assert total(client, "Invocations", FunctionName=name, Resource=resource, ExecutedVersion=number) == 1
    assert total(client, "Invocations", FunctionName=name) == 1


def test_another_region_sees_nothing(server: Server, counted: str) -> None:
    elsewhere = server.client("cloudwatch", region_name="eu-west-1")
    assert elsewhere.list_metrics(Namespace="AWS/Lambda")["Metrics"] == []
    assert total(elsewhere, "Invocations", FunctionName=counted) is None


def test_a_policy_says_who_reads_and_who_puts_where(server: Server, tmp_path: Path) -> None:
    only = {"StringEquals": {"cloudwatch:namespace": "Shop"}}
    allow = {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": only}
    key = new_key(server, tmp_path, {"Version": "2012-10-17", "Statement": [allow]})
    client = server.client("cloudwatch", **key)
    data = [{"MetricName": "m", "Value": 1.0}]
    client.put_metric_data(Namespace="Shop", MetricData=data)
    assert refused(client.put_metric_data, Namespace="Till", MetricData=data)[1] == "AccessDenied"
    assert refused(client.list_metrics)[1] == "AccessDenied"


def new_key(server: Server, folder: Path, policy: dict[str, Any] | None = None, *more: str) -> dict[str, str]:
    command = [sys.executable, "-m", "pasture", "keys", "create", "--data-dir", str(server.data), "--output", "json"]
    if policy is not None:
        (folder / "policy.json").write_text(json.dumps(policy))
        command += ["--policy", str(folder / "policy.json")]
    made = json.loads(subprocess.run([*command, *more], check=True, capture_output=True, text=True).stdout)
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


# Prometheus...


def scraped(server: Server, *, signed: bool) -> dict[tuple[str, str], float]:
    """By name and function."""
    made = AWSRequest("GET", f"{server.url}/metrics")
    if signed:
        key = server.key()
        credentials = Credentials(key["aws_access_key_id"], key["aws_secret_access_key"])
        SigV4Auth(credentials, "monitoring", "us-east-1").add_auth(made)
    request = urllib.request.Request(f"{server.url}/metrics", headers=dict(made.headers.items()))
    with urllib.request.urlopen(request) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, sample.labels["function"]): sample.value
        for family in families
        for sample in family.samples
        if "function" in sample.labels
    }


def test_prometheus_reads_totals_with_a_signature(server: Server, counted: str) -> None:
    page = scraped(server, signed=True)
    assert page["pasture_lambda_invocations_total", counted] == 5
    assert page["pasture_lambda_errors_total", counted] == 2
    assert page["pasture_lambda_duration_seconds_count", counted] == 5
    assert page["pasture_lambda_concurrent_executions", counted] == 0


def test_without_a_signature_the_page_is_closed(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        scraped(server, signed=False)
    assert caught.value.code == 403
    caught.value.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Server]:
    config = tmp_path / "pasture.toml"
    config.write_text("metrics_open = true\n")
    running = Server(tmp_path / "data", "--config", str(config)).start()
    yield running
    assert running.stop() == 0


def test_a_server_may_open_its_page_to_everyone(opened: Server) -> None:
    opened.invoke(opened.deploy("f", CODE), 0)
    until(lambda: scraped(opened, signed=False).get(("pasture_lambda_invocations_total", "f")) == 1)


# What lasts...


def test_metrics_outlive_the_server_and_what_was_read_outlives_a_kill(fresh: Server) -> None:
    fresh.start()
    name = fresh.deploy("f", CODE)
    fresh.invoke(name, 0)
    until(lambda: total(fresh.client("cloudwatch"), "Invocations", FunctionName=name) == 1)
    fresh.stop(signal.SIGKILL)
    fresh.start()
    assert total(fresh.client("cloudwatch"), "Invocations", FunctionName=name) == 1
    fresh.invoke(name, 0)
    assert fresh.stop() == 0
    fresh.start()
    assert total(fresh.client("cloudwatch"), "Invocations", FunctionName=name) == 2
