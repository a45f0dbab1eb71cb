"""The operations of CloudWatch: requests and answers by the service model."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from fakes.functions import a_version
from pasture.api.call import Call, Principal
from pasture.api.metrics_operations import MetricsOperations
from pasture.domain.errors import ApiError, InvalidParameterValue, ValidationError
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request
from pasture.kit.clock import ManualClock
from pasture.metrics.errors import (
    InvalidNextToken,
    InvalidParameterCombination,
    MissingRequiredParameter,
)
from pasture.metrics.service import Metrics
from pasture.metrics.store import MetricStore

SCOPE = Scope("123456789012", "eu-west-1")
HOUR = 1_700_002_800
"""A whole one."""

_MODEL = botocore.session.get_session().get_service_model("cloudwatch")

TOO_MANY = (
    "You have requested up to 3,005 datapoints, which exceeds the limit of 1,440. You may reduce the datapoints "
    "requested by increasing Period, or decreasing the time range."
)
TWO_MISTAKES = (
    "The value mean for parameter MetricDataQueries.member.1.MetricStat.Stat is not a valid statistic.\n"
    "The value 61 for parameter MetricDataQueries.member.2.MetricStat.Period is not valid."
)


def at(minute: float) -> datetime:
    return datetime.fromtimestamp(HOUR + 60 * minute, UTC)


class Client:
    """Calls operations by their names in the model, and holds both sides to it."""

    def __init__(self, metrics: Metrics, clock: ManualClock) -> None:
        self.clock = clock
        self.metrics = metrics
        self._operations = MetricsOperations(metrics, clock)

    async def __call__(self, operation: str, *, scope: Scope = SCOPE, **request: Any) -> dict[str, Any]:
        model = _MODEL.operation_model(operation)
        call = Call("id", operation, scope, Principal(), Request("POST", "/", Headers()), "http://localhost")
        self._hold(request, model.input_shape)
        answer: dict[str, Any] = await getattr(self._operations, xform_name(operation))(call, request)
        self._hold(answer, model.output_shape)
        return answer

    async def put(self, *values: tuple[float, float], name: str = "m", **more: Any) -> None:
        """Minutes of the hour, and values."""
        data = [{"MetricName": name, "Timestamp": at(minute), "Value": value, **more} for minute, value in values]
        await self("PutMetricData", Namespace="Mine", MetricData=data)

    async def data(self, *queries: dict[str, Any], **more: Any) -> dict[str, Any]:
        return await self(
            "GetMetricData", **{"StartTime": at(0), "EndTime": at(60), "MetricDataQueries": list(queries), **more}
        )

    @staticmethod
    def _hold(value: dict[str, Any], shape: Any) -> None:
        if shape is None:
            assert value == {}
            return
        report = ParamValidator().validate(value, shape)
        assert not report.has_errors(), report.generate_report()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    clock = ManualClock(HOUR + 3000.0)
    metrics = Metrics(await MetricStore.open(tmp_path / "metrics.db"), clock)
    yield Client(metrics, clock)
    await metrics.close()


def query(id_: str = "a", stat: str = "Sum", period: int = 60, name: str = "m", **more: Any) -> dict[str, Any]:
    metric = {"Namespace": "Mine", "MetricName": name}
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}, **more}


def minutes(result: dict[str, Any]) -> dict[float, float]:
    return {(time - HOUR) / 60: value for time, value in zip(result["Timestamps"], result["Values"], strict=True)}


# GetMetricStatistics...


async def test_statistics_of_periods_are_told_with_their_unit(client: Client) -> None:
    await client.put((1, 1), (1.5, 3), (2, 5), (6, 7), Unit="Seconds")
    answer = await client(
        "GetMetricStatistics",
        Namespace="Mine",
        MetricName="m",
        StartTime=at(0.5),
        EndTime=at(10),
        Period=300,
        Statistics=["SampleCount", "Average", "Sum", "Minimum", "Maximum"],
        ExtendedStatistics=["p100"],
    )
    first = {"SampleCount": 3.0, "Average": 3.0, "Sum": 9.0, "Minimum": 1.0, "Maximum": 5.0}
    second = {"SampleCount": 1.0, "Average": 7.0, "Sum": 7.0, "Minimum": 7.0, "Maximum": 7.0}
    assert answer["Label"] == "m"
    assert answer["Datapoints"] == [
        {"Timestamp": HOUR, "Unit": "Seconds", **first, "ExtendedStatistics": {"p100": 5.0}},
        {"Timestamp": HOUR + 300, "Unit": "Seconds", **second, "ExtendedStatistics": {"p100": 7.0}},
    ]


async def test_the_end_is_not_part_of_the_time_and_other_units_are_left_out(client: Client) -> None:
    await client.put((1, 1), (2, 2))
    await client.put((1, 10), Unit="Bytes")
    asked: dict[str, Any] = {"Namespace": "Mine", "MetricName": "m", "Period": 60, "Statistics": ["Sum"]}
    answer = await client("GetMetricStatistics", StartTime=at(0), EndTime=at(2), Unit="None", **asked)
    assert [(point["Sum"], point["Unit"]) for point in answer["Datapoints"]] == [(1, "None")]
    answer = await client("GetMetricStatistics", StartTime=at(0), EndTime=at(2), **asked)
    assert [(point["Sum"], point["Unit"]) for point in answer["Datapoints"]] == [(10, "Bytes"), (1, "None")]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"StartTime": at(5)},
            InvalidParameterValue,
            "The parameter StartTime must be less than the parameter EndTime.",
        ),
        ({"Period": 61}, InvalidParameterValue, "The value 61 for parameter Period is invalid."),
        (
            {"StartTime": at(-3000), "Period": 60},
            InvalidParameterCombination,
            TOO_MANY,
        ),
        (
            {"Statistics": None},
            MissingRequiredParameter,
            "At least one of the parameters Statistics, ExtendedStatistics must be specified.",
        ),
        (
            {"ExtendedStatistics": ["p101"]},
            InvalidParameterValue,
            "The value p101 for parameter ExtendedStatistics is invalid.",
        ),
    ],
)
async def test_what_cannot_be_told_is_refused(
    client: Client, changes: dict[str, Any], error: type[ApiError], words: str
) -> None:
    asked = {"Namespace": "Mine", "MetricName": "m", "StartTime": at(0), "EndTime": at(5), "Period": 60}
    request = {**asked, "Statistics": ["Sum"], **changes}
    with pytest.raises(error) as caught:
        await client("GetMetricStatistics", **{name: value for name, value in request.items() if value is not None})
    assert caught.value.message == words


# GetMetricData...


async def test_the_newest_comes_first_unless_asked_otherwise(client: Client) -> None:
    await client.put((1, 1), (3, 3), (2, 2))
    (result,) = (await client.data(query()))["MetricDataResults"]
    assert result == {
        "Id": "a",
        "Label": "m",
        "Timestamps": [HOUR + 180, HOUR + 120, HOUR + 60],
        "Values": [3.0, 2.0, 1.0],
        "StatusCode": "Complete",
    }
    (result,) = (await client.data(query(), ScanBy="TimestampAscending"))["MetricDataResults"]
    assert result["Values"] == [1.0, 2.0, 3.0]


async def test_expressions_use_what_is_not_shown(client: Client) -> None:
    await client.put((1, 2), (2, 4))
    await client.put((1, 8), name="n")
    answer = await client.data(
        query("a", ReturnData=False),
        query("b", name="n", ReturnData=False),
        {"Id": "rate", "Expression": "100 * a / b", "Label": "error rate"},
        {"Id": "twice", "Expression": "rate * 2"},
    )
    told = [(result["Id"], result["Label"], minutes(result)) for result in answer["MetricDataResults"]]
    assert told == [("rate", "error rate", {1: 25}), ("twice", "twice", {1: 50})]


async def test_a_number_is_shown_at_every_time_and_an_array_as_lines(client: Client) -> None:
    await client.put((1, 2), (2, 4))
    answer = await client.data(
        query("a"), {"Id": "all", "Expression": "SUM(a)"}, {"Id": "both", "Expression": "METRICS() * 2"},
        EndTime=at(3),
    )  # fmt: skip
    told = [(result["Id"], result["Label"], minutes(result)) for result in answer["MetricDataResults"]]
    assert told == [("a", "m", {2: 4, 1: 2}), ("all", "all", {2: 6, 1: 6, 0: 6}), ("both", "both 1", {2: 8, 1: 4})]


async def test_pages_lose_nothing(client: Client) -> None:
    await client.put(*((minute, minute) for minute in range(10)))
    await client.put(*((minute, -minute) for minute in range(7)), name="n")
    asked = (query("a"), query("b", name="n"), {"Id": "c", "Expression": "METRICS()"})
    (whole,) = [await client.data(*asked)]
    for most in (1, 3, 10, 11, 34):
        points: dict[tuple[str, str], dict[float, float]] = {}
        more: dict[str, Any] = {}
        pages = 0
        while pages < 40:
            answer = await client.data(*asked, MaxDatapoints=most, **more)
            pages += 1
            assert sum(len(result["Values"]) for result in answer["MetricDataResults"]) <= most
            for result in answer["MetricDataResults"]:
                known = points.setdefault((result["Id"], result["Label"]), {})
                assert not known.keys() & minutes(result).keys()
                known |= minutes(result)
            if "NextToken" not in answer:
                break
            more = {"NextToken": answer["NextToken"]}
        assert points == {(r["Id"], r["Label"]): minutes(r) for r in whole["MetricDataResults"]}, most


@pytest.mark.parametrize(
    ("queries", "words"),
    [
        ([], "The collection MetricDataQueries must have a size between 1 and 500."),
        (
            [query("a", stat="mean"), query("b", period=61)],
            TWO_MISTAKES,
        ),
        ([query("a"), query("a")], "The values for parameter id in MetricDataQueries are not unique."),
        (
            [query("a", Expression="a")],
            "The parameters MetricDataQuery Expression and MetricStat are mutually exclusive and you have specified both.",
        ),
        ([{"Id": "a"}], "The parameter MetricDataQueries.member.1 must specify either MetricStat or Expression."),
        ([query("a", ReturnData=False)], "At least one of the queries must return data."),
        ([{"Id": "a", "Expression": "b + 1"}], "Error in expression 'a': there is no query with the id 'b'"),
        (
            [{"Id": "a", "Expression": "b"}, {"Id": "b", "Expression": "a"}],
            "Error in expression 'a': the query 'a' needs itself, or too many others",
        ),
        (
            [{"Id": "a", "Expression": "SELECT AVG(x) FROM y"}],
            "The parameter MetricDataQueries.member.1.Expression is a Metrics Insights query, which Pasture does not serve.",
        ),
    ],
)
async def test_queries_that_mean_nothing_are_refused(client: Client, queries: list[Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await client.data(*queries)
    assert caught.value.message == words


async def test_no_call_makes_numbers_without_end(client: Client) -> None:
    await client.put((1, 1))
    ages = {"StartTime": datetime(1, 1, 1, tzinfo=UTC), "EndTime": datetime(9999, 1, 1, tzinfo=UTC)}
    with pytest.raises(ValidationError, match="too many periods"):
        await client.data(query("a"), {"Id": "b", "Expression": "FILL(a, 0)"}, **ages)
    (result,) = (await client.data(query("a"), **ages))["MetricDataResults"]
    assert result["Values"] == [1.0]


# ListMetrics...


async def test_metrics_are_found_by_what_they_are(client: Client) -> None:
    await client.put((1, 1), Dimensions=[{"Name": "x", "Value": "1"}, {"Name": "a", "Value": "2"}])
    await client.put((1, 1), name="n", Dimensions=[{"Name": "x", "Value": "2"}])

    async def found(**asked: Any) -> list[str]:
        return [metric["MetricName"] for metric in (await client("ListMetrics", **asked))["Metrics"]]

    assert await found() == ["m", "n"]
    assert await found(Namespace="Mine", MetricName="n") == ["n"]
    assert await found(Namespace="Others") == []
    assert await found(Dimensions=[{"Name": "x"}]) == ["m", "n"]
    assert await found(Dimensions=[{"Name": "x", "Value": "2"}]) == ["n"]
    assert await found(Dimensions=[{"Name": "x"}, {"Name": "a"}]) == ["m"]
    assert await found(scope=Scope("123456789012", "us-east-1")) == []
    assert await found(scope=Scope("999999999999", "eu-west-1")) == []
    assert await found(OwningAccount="999999999999") == []
    answer = await client("ListMetrics", MetricName="m", IncludeLinkedAccounts=True)
    assert answer["OwningAccounts"] == ["123456789012"]
    assert answer["Metrics"][0]["Dimensions"] == [{"Name": "a", "Value": "2"}, {"Name": "x", "Value": "1"}]


async def test_what_has_been_silent_for_long_is_not_listed(client: Client) -> None:
    await client.put((1, 1))
    client.clock.advance(4 * 3600)
    assert (await client("ListMetrics", RecentlyActive="PT3H"))["Metrics"] == []
    assert len((await client("ListMetrics"))["Metrics"]) == 1
    client.clock.advance(15 * 86_400)
    assert (await client("ListMetrics"))["Metrics"] == []


async def test_a_token_that_was_made_up_is_refused(client: Client) -> None:
    with pytest.raises(InvalidNextToken):
        await client("ListMetrics", NextToken="made-up")
    with pytest.raises(InvalidNextToken):
        await client.data(query(), NextToken="WzFd")


async def test_functions_are_listed_as_aws_lists_them(client: Client) -> None:
    arn = SCOPE.function_arn("f")
    client.metrics.recorder.counter(a_version(scope=SCOPE), arn).reported(5, False)
    answer = await client("ListMetrics", Namespace="AWS/Lambda", MetricName="Duration")
    assert [[each["Name"] for each in metric["Dimensions"]] for metric in answer["Metrics"]] == [
        [],
        ["FunctionName"],
        ["FunctionName", "Resource"],
    ]


# PutMetricData...


async def test_values_come_alone_with_counts_or_as_statistics(client: Client) -> None:
    data = [
        {"MetricName": "m", "Timestamp": at(1), "Values": [1.0, 2.0], "Counts": [3.0, 1.0]},
        {
            "MetricName": "m",
            "Timestamp": at(1),
            "StatisticValues": {"SampleCount": 2.0, "Sum": 10.0, "Minimum": 4.0, "Maximum": 6.0},
        },
        {"MetricName": "m", "Value": 9.0},
    ]
    await client("PutMetricData", Namespace="Mine", MetricData=data)
    answer = await client.data(query("s"), query("n", stat="SampleCount"), query("p", stat="p50"))
    told = {result["Id"]: minutes(result) for result in answer["MetricDataResults"]}
    assert told == {"s": {1: 15, 50: 9}, "n": {1: 6, 50: 1}, "p": {50: 9}}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, MissingRequiredParameter),
        ({"Value": float("nan")}, InvalidParameterValue),
        ({"Value": 1e300}, InvalidParameterValue),
        ({"Value": 1.0, "Values": [1.0]}, InvalidParameterCombination),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, InvalidParameterValue),
        ({"Values": [1.0], "Counts": [0.0]}, InvalidParameterValue),
        ({"Values": [1.0] * 151}, InvalidParameterValue),
        ({"Value": 1.0, "Timestamp": at(-15 * 1440)}, InvalidParameterValue),
        ({"Value": 1.0, "Timestamp": at(180)}, InvalidParameterValue),
        ({"Value": 1.0, "Dimensions": [{"Name": "x", "Value": "1"}] * 2}, InvalidParameterValue),
    ],
)
async def test_what_is_wrong_with_one_keeps_all_out(
    client: Client, changes: dict[str, Any], error: type[ApiError]
) -> None:
    with pytest.raises(error, match=r"MetricData\.member\.2"):
        await client(
            "PutMetricData",
            Namespace="Mine",
            MetricData=[{"MetricName": "m", "Value": 1.0}, {"MetricName": "m", **changes}],
        )
    assert (await client("ListMetrics"))["Metrics"] == []


async def test_the_namespaces_of_aws_are_not_the_user_s(client: Client) -> None:
    with pytest.raises(InvalidParameterValue, match="The value AWS/Lambda for parameter Namespace is invalid"):
        await client("PutMetricData", Namespace="AWS/Lambda", MetricData=[{"MetricName": "m", "Value": 1.0}])
