"""Application Auto Scaling through boto3: what is registered, shown by the page, and refused."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server

CODE = "def handler(event, context):\n    return event\n"
NAMED = (
    "service namespace: lambda, resource ID: function:{}, scalable dimension: lambda:function:ProvisionedConcurrency"
)
TRACKING = {
    "TargetValue": 0.7,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"},
}


def what(resource: str, **more: Any) -> dict[str, Any]:
    return {
        "ServiceNamespace": "lambda",
        "ResourceId": f"function:{resource}",
        "ScalableDimension": "lambda:function:ProvisionedConcurrency",
        **more,
    }


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] in {400, 501}
    return answer["Error"]["Code"], answer["Error"]["Message"]


@pytest.fixture(scope="module")
def function(server: Server) -> str:
    """With the aliases a0 to a6."""
    name = server.deploy("tracked", CODE)
    number = server.functions.publish_version(FunctionName=name)["Version"]
    for index in range(7):
        server.functions.create_alias(FunctionName=name, Name=f"a{index}", FunctionVersion=number)
    return name


@pytest.fixture
def scaling(server: Server, function: str) -> Any:
    """With nothing registered."""
    client = server.client("application-autoscaling")
    for target in client.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"]:
        client.deregister_scalable_target(**{member: target[member] for member in what("")})
    return client


def pages(client: Any, operation: str, member: str, **arguments: Any) -> list[list[Any]]:
    found = client.get_paginator(operation).paginate(ServiceNamespace="lambda", **arguments)
    return [page[member] for page in found]


def test_what_is_registered_is_shown_and_registering_again_changes_only_what_is_named(
    scaling: Any, function: str
) -> None:
    live = what(f"{function}:a0")
    arn = scaling.register_scalable_target(**live, MinCapacity=1, MaxCapacity=5)["ScalableTargetARN"]
    suspended = {"DynamicScalingInSuspended": True}
    assert scaling.register_scalable_target(**live, MaxCapacity=7, SuspendedState=suspended)["ScalableTargetARN"] == arn
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"]
    assert isinstance(target.pop("CreationTime"), datetime)
    assert target.pop("RoleARN").endswith("AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency")
    assert target == {
        **live,
        "MinCapacity": 1,
        "MaxCapacity": 7,
        "ScalableTargetARN": arn,
        "SuspendedState": {
            "DynamicScalingInSuspended": True,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": False,
        },
    }


def test_a_policy_is_put_shown_and_deleted(scaling: Any, function: str) -> None:
    live = what(f"{function}:a0")
    scaling.register_scalable_target(**live, MinCapacity=1, MaxCapacity=5)
    asked = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": TRACKING}
    put = scaling.put_scaling_policy(**live, PolicyName="keep", **asked)
    assert [alarm["AlarmName"].split("-")[:3] for alarm in put["Alarms"]] == [
        ["TargetTracking", "keep", "AlarmHigh"],
        ["TargetTracking", "keep", "AlarmLow"],
    ]
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="lambda")["ScalingPolicies"]
    assert (policy["PolicyARN"], policy["Alarms"]) == (put["PolicyARN"], put["Alarms"])
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {**TRACKING, "DisableScaleIn": False}
    scaling.delete_scaling_policy(**live, PolicyName="keep")
    assert scaling.describe_scaling_policies(ServiceNamespace="lambda")["ScalingPolicies"] == []
    assert refusal(scaling.delete_scaling_policy, **live, PolicyName="keep") == (
        "ObjectNotFoundException",
        f"No scaling policy found for {NAMED.format(f'{function}:a0')}, policy name: keep",
    )


def test_a_scheduled_action_is_put_changed_shown_and_deleted(scaling: Any, function: str) -> None:
    live = what(f"{function}:a0")
    scaling.register_scalable_target(**live, MinCapacity=1, MaxCapacity=5)
    start = datetime(2031, 1, 1, tzinfo=UTC)
    action = {"ScheduledActionName": "night", "ScalableTargetAction": {"MaxCapacity": 2}}
    scaling.put_scheduled_action(**live, **action, Schedule="cron(0 22 * * ? *)", Timezone="Europe/Vienna")
    scaling.put_scheduled_action(**live, ScheduledActionName="night", StartTime=start)
    (shown,) = scaling.describe_scheduled_actions(ServiceNamespace="lambda")["ScheduledActions"]
    assert (shown["Schedule"], shown["Timezone"]) == ("cron(0 22 * * ? *)", "Europe/Vienna")
    assert (shown["ScalableTargetAction"], shown["StartTime"]) == ({"MaxCapacity": 2}, start)
    scaling.delete_scheduled_action(**live, ScheduledActionName="night")
    assert scaling.describe_scheduled_actions(ServiceNamespace="lambda")["ScheduledActions"] == []
    assert refusal(scaling.delete_scheduled_action, **live, ScheduledActionName="night")[0] == "ObjectNotFoundException"


def test_everything_is_shown_by_the_page(scaling: Any, function: str) -> None:
    for index in range(7):
        one = what(f"{function}:a{index}")
        scaling.register_scalable_target(**one, MinCapacity=0, MaxCapacity=5)
        scaling.put_scaling_policy(**one, PolicyName=f"p{index}", TargetTrackingScalingPolicyConfiguration=TRACKING)
        for name in ("x", "y"):
            bounds = {"MinCapacity": 0}
            scaling.put_scheduled_action(
                **one, ScheduledActionName=name, Schedule="rate(9 days)", ScalableTargetAction=bounds
            )
    targets = pages(scaling, "describe_scalable_targets", "ScalableTargets", PaginationConfig={"PageSize": 3})
    assert [[each["ResourceId"][-2:] for each in page] for page in targets] == [
        ["a0", "a1", "a2"],
        ["a3", "a4", "a5"],
        ["a6"],
    ]
    policies = pages(scaling, "describe_scaling_policies", "ScalingPolicies", PaginationConfig={"PageSize": 4})
    assert [[each["PolicyName"] for each in page] for page in policies] == [
        ["p0", "p1", "p2", "p3"],
        ["p4", "p5", "p6"],
    ]
    actions = pages(scaling, "describe_scheduled_actions", "ScheduledActions", PaginationConfig={"PageSize": 10})
    assert [len(page) for page in actions] == [10, 4]

    resources = [f"function:{function}:a{index}" for index in (4, 1)]
    asked = scaling.describe_scalable_targets(ServiceNamespace="lambda", ResourceIds=[*resources, "function:no:one"])
    assert [each["ResourceId"] for each in asked["ScalableTargets"]] == sorted(resources)
    named = scaling.describe_scaling_policies(ServiceNamespace="lambda", PolicyNames=["p2", "p5"])["ScalingPolicies"]
    assert [each["PolicyName"] for each in named] == ["p2", "p5"]
    one = scaling.describe_scheduled_actions(ServiceNamespace="lambda", ResourceId=resources[0])["ScheduledActions"]
    assert [each["ScheduledActionName"] for each in one] == ["x", "y"]
    assert scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []


def test_pages_are_refused_that_nobody_was_given(scaling: Any) -> None:
    asked: dict[str, Any] = {"ServiceNamespace": "lambda"}
    for token in ("made-up", "LTU="):  # the second says -5
        assert refusal(scaling.describe_scalable_targets, **asked, NextToken=token)[0] == "InvalidNextTokenException"
    for number in (0, 51):
        assert refusal(scaling.describe_scaling_policies, **asked, MaxResults=number) == (
            "ValidationException",
            "MaxResults must be between 1 and 50",
        )


def test_what_is_not_registered_is_named_as_aws_names_it(scaling: Any, function: str) -> None:
    live, named = what(f"{function}:a0"), NAMED.format(f"{function}:a0")
    registered = ("ObjectNotFoundException", f"No scalable target registered for {named}")
    tracking = {"PolicyName": "p", "TargetTrackingScalingPolicyConfiguration": TRACKING}
    assert refusal(scaling.put_scaling_policy, **live, **tracking) == registered
    action = {"ScheduledActionName": "a", "Schedule": "rate(1 day)", "ScalableTargetAction": {"MinCapacity": 1}}
    assert refusal(scaling.put_scheduled_action, **live, **action) == registered
    assert refusal(scaling.deregister_scalable_target, **live) == (
        "ObjectNotFoundException",
        f"No scalable target found for {named}",
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MinCapacity": 6}, "ValidationException"),
        ({"MinCapacity": -1}, "ValidationException"),
        ({"ResourceId": "function:nobody:live"}, "ValidationException"),
        ({"ResourceId": "function:tracked"}, "ValidationException"),
        ({"ResourceId": "function:tracked:$LATEST"}, "ValidationException"),
        ({"ScalableDimension": "ecs:service:DesiredCount"}, "ValidationException"),
        ({"ScalableDimension": "lambda:function:Nothing"}, "ValidationException"),
        ({"ServiceNamespace": "ecs"}, "NotImplementedException"),
        ({"Tags": {"a": "b"}}, "NotImplementedException"),
    ],
)
def test_a_target_that_cannot_be_is_refused(scaling: Any, function: str, changes: dict[str, Any], code: str) -> None:
    asked = what(f"{function}:a0", MinCapacity=1, MaxCapacity=5) | changes
    assert refusal(scaling.register_scalable_target, **asked)[0] == code
    assert scaling.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"] == []


def test_a_new_target_needs_both_bounds(scaling: Any, function: str) -> None:
    asked = what(f"{function}:a0", MinCapacity=1)
    assert refusal(scaling.register_scalable_target, **asked)[0] == "ValidationException"


CPU = {"CustomizedMetricSpecification": {"MetricName": "m", "Namespace": "n", "Statistic": "Average"}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PolicyType": "StepScaling"}, "NotImplementedException"),
        ({"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 0.5, **CPU}}, "NotImplementedException"),
        ({"TargetTrackingScalingPolicyConfiguration": {**TRACKING, "TargetValue": 70.0}}, "ValidationException"),
        ({"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 0.5}}, "ValidationException"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(scaling: Any, function: str, changes: dict[str, Any], code: str) -> None:
    live = what(f"{function}:a0")
    scaling.register_scalable_target(**live, MinCapacity=1, MaxCapacity=5)
    asked = {"PolicyName": "p", "TargetTrackingScalingPolicyConfiguration": TRACKING} | changes
    assert refusal(scaling.put_scaling_policy, **live, **asked)[0] == code
    assert refusal(scaling.put_scaling_policy, **live, PolicyName="p")[0] == "ValidationException"


@pytest.mark.parametrize(
    "changes",
    [
        {"Schedule": "rate(2 day)"},
        {"Schedule": "cron(* * * * *)"},
        {"Schedule": "tomorrow"},
        {"Timezone": "Europe/Nowhere"},
        {"Timezone": "../../etc/passwd"},
        {"ScalableTargetAction": {}},
        {"ScalableTargetAction": {"MinCapacity": 3, "MaxCapacity": 2}},
    ],
)
def test_an_action_that_cannot_be_is_refused(scaling: Any, function: str, changes: dict[str, Any]) -> None:
    live = what(f"{function}:a0")
    scaling.register_scalable_target(**live, MinCapacity=1, MaxCapacity=5)
    action = {"Schedule": "rate(2 days)", "ScalableTargetAction": {"MinCapacity": 1}} | changes
    asked = {"ScheduledActionName": "a", **action}
    assert refusal(scaling.put_scheduled_action, **live, **asked)[0] == "ValidationException"
    assert scaling.describe_scheduled_actions(ServiceNamespace="lambda")["ScheduledActions"] == []
