"""`/metrics`: what Prometheus reads there, and who may."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from prometheus_client.parser import text_string_to_metric_families

from fakes.functions import a_version
from pasture.api.auth.authenticator import Authenticator
from pasture.api.auth.authorisation import Authorizer
from pasture.api.auth.keys import KeyRing
from pasture.api.metrics_page import MetricsPage, NoSuchPage
from pasture.domain.errors import AccessDenied, ApiError
from pasture.domain.function_settings import Claims
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request, Response
from pasture.kit.clock import SystemClock
from pasture.metrics.service import Metrics
from pasture.metrics.store import MetricStore

MINE, OTHERS = Scope("123456789012", "eu-west-1"), Scope("999999999999", "eu-west-1")
LAMBDA_ONLY = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}}


class Node:
    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self.metrics = metrics
        self.keys = KeyRing(folder / "keys.json")
        clock = SystemClock()
        authorise = Authorizer(clock).authorise
        authenticator = Authenticator(self.keys, clock)
        self.closed = MetricsPage(metrics, authenticator, authorise, is_open=False)
        self.open = MetricsPage(metrics, authenticator, authorise, is_open=True)

    def invoke(self, scope: Scope, name: str, *durations: float, failed: int = 0) -> None:
        arn = scope.function_arn(name, "live")
        counter = self.metrics.recorder.counter(a_version(scope=scope, name=name, version="3"), arn)
        for number, ms in enumerate(durations):
            counter.admitted(Claims(None, 0))()
            counter.reported(ms, number < failed)

    def signed(self, policy: dict[str, Any] | None = None) -> Request:
        key = self.keys.create(MINE.account, "prometheus", policy)
        made = AWSRequest("GET", "http://localhost:3000/metrics")
        SigV4Auth(Credentials(key.id, key.secret), "monitoring", "eu-west-1").add_auth(made)
        return asked(headers={"Host": "localhost:3000", **dict(made.headers.items())})


def asked(target: str = "/metrics", headers: dict[str, str] | None = None) -> Request:
    return Request("GET", target, Headers((n.encode(), v.encode()) for n, v in (headers or {}).items()))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    metrics = Metrics(await MetricStore.open(tmp_path / "metrics.db"), SystemClock())
    yield Node(tmp_path, metrics)
    await metrics.close()


def read(response: Response) -> dict[tuple[str, str], float]:
    """By name (with a histogram's bound) and function."""
    assert response.status == 200
    assert isinstance(response.body, bytes)
    found = {}
    for family in text_string_to_metric_families(response.body.decode()):
        for sample in family.samples:
            bound = f" {sample.labels['le']}" if "le" in sample.labels else ""
            found[sample.name + bound, sample.labels["function"]] = sample.value
    return found


async def test_counts_are_totals_and_durations_a_histogram_in_seconds(node: Node) -> None:
    node.invoke(MINE, "f", 2.0, 40.0, 40.0, 2_000.0, failed=1)
    page = read(await node.open(asked()))
    assert {
        name: page[name, "f"]
        for name in (
            "pasture_lambda_invocations_total",
            "pasture_lambda_errors_total",
            "pasture_lambda_throttles_total",
            "pasture_lambda_concurrent_executions",
            "pasture_lambda_duration_seconds_count",
            "pasture_lambda_duration_seconds_sum",
            "pasture_lambda_duration_seconds_bucket 0.001",
            "pasture_lambda_duration_seconds_bucket 0.01",
            "pasture_lambda_duration_seconds_bucket 0.05",
            "pasture_lambda_duration_seconds_bucket +Inf",
        )
    } == {
        "pasture_lambda_invocations_total": 4,
        "pasture_lambda_errors_total": 1,
        "pasture_lambda_throttles_total": 0,
        "pasture_lambda_concurrent_executions": 0,
        "pasture_lambda_duration_seconds_count": 4,
        "pasture_lambda_duration_seconds_sum": pytest.approx(2.082),
        "pasture_lambda_duration_seconds_bucket 0.001": 0,
        "pasture_lambda_duration_seconds_bucket 0.01": 1,
        "pasture_lambda_duration_seconds_bucket 0.05": 3,
        "pasture_lambda_duration_seconds_bucket +Inf": 4,
    }


async def test_totals_grow_from_page_to_page(node: Node) -> None:
    node.invoke(MINE, "f", 1.0)
    await node.open(asked())
    node.invoke(MINE, "f", 1.0)
    assert read(await node.open(asked()))["pasture_lambda_invocations_total", "f"] == 2


async def test_labels_say_which_version_ran_for_which_qualifier(node: Node) -> None:
    node.invoke(MINE, "f", 1.0)
    response = await node.open(asked())
    assert isinstance(response.body, bytes)
    labels = 'account="123456789012",executed_version="3",function="f",qualifier="live",region="eu-west-1"'
    assert f"pasture_lambda_invocations_total{{{labels}}} 1.0" in response.body.decode()


async def test_who_signs_is_told_of_its_own_account_and_an_open_page_of_all(node: Node) -> None:
    node.invoke(MINE, "f", 1.0)
    node.invoke(OTHERS, "g", 1.0)
    told = {function for _, function in read(await node.closed(node.signed()))}
    assert told == {"f"}
    assert {function for _, function in read(await node.open(asked()))} == {"f", "g"}


async def test_who_does_not_sign_or_may_not_read_metrics_is_refused(node: Node) -> None:
    with pytest.raises(ApiError) as caught:
        await node.closed(asked())
    assert caught.value.code == "MissingAuthenticationTokenException"
    with pytest.raises(AccessDenied, match="cloudwatch:GetMetricData"):
        await node.closed(node.signed(LAMBDA_ONLY))


@pytest.mark.parametrize("target", ["/metrics/", "/metrics2", "/metrics/f"])
async def test_there_is_one_page(node: Node, target: str) -> None:
    with pytest.raises(NoSuchPage):
        await node.open(asked(target))


async def test_the_page_of_a_server_that_has_counted_nothing_is_there(node: Node) -> None:
    assert read(await node.open(asked())) == {}
