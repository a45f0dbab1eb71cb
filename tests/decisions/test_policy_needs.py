"""Which actions a call needs, and on which resources."""

from typing import Any

import pytest
from botocore.model import StructureShape

from pasture.api.auth.needs import Need, needs
from pasture.api.wire.service import load_model
from pasture.domain.scope import Scope

SCOPE = Scope("111122223333", "eu-west-1")
LAMBDA = "arn:aws:lambda:eu-west-1:111122223333:"
F = f"{LAMBDA}function:f"
GROUP = "arn:aws:logs:eu-west-1:111122223333:log-group:"


def needed(service: str, operation: str, **asked: Any) -> list[tuple[str, str]]:
    return [(need.action, need.resource) for need in needs(service, operation, asked, SCOPE)]


@pytest.mark.parametrize(
    ("operation", "asked", "action", "resource"),
    [
        ("Invoke", {"FunctionName": "f"}, "InvokeFunction", F),
        ("Invoke", {"FunctionName": "f", "Qualifier": "live"}, "InvokeFunction", f"{F}:live"),
        ("Invoke", {"FunctionName": "f:live"}, "InvokeFunction", f"{F}:live"),
        ("Invoke", {"FunctionName": "111122223333:f:7"}, "InvokeFunction", f"{F}:7"),
        ("Invoke", {"FunctionName": f"{F}:$LATEST"}, "InvokeFunction", f"{F}:$LATEST"),
        ("Invoke", {"FunctionName": F.replace("arn:aws:", "arn:aws-x:")}, "InvokeFunction", F),
        ("InvokeWithResponseStream", {"FunctionName": "f"}, "InvokeFunction", F),
        ("InvokeAsync", {"FunctionName": "f"}, "InvokeAsync", F),
        ("GetFunction", {"FunctionName": "f", "Qualifier": "1"}, "GetFunction", f"{F}:1"),
        ("GetAlias", {"FunctionName": "f", "Name": "live"}, "GetAlias", F),
        ("ListFunctions", {}, "ListFunctions", "*"),
        ("GetAccountSettings", {}, "GetAccountSettings", "*"),
        ("ListEventSourceMappings", {"FunctionName": "f"}, "ListEventSourceMappings", "*"),
        ("ListVersionsByFunction", {"FunctionName": "f"}, "ListVersionsByFunction", F),
        ("UpdateEventSourceMapping", {"UUID": "u"}, "UpdateEventSourceMapping", f"{LAMBDA}event-source-mapping:u"),
        ("DeleteEventSourceMapping", {"UUID": "u"}, "DeleteEventSourceMapping", f"{LAMBDA}event-source-mapping:u"),
        ("PublishLayerVersion", {"LayerName": "l"}, "PublishLayerVersion", f"{LAMBDA}layer:l"),
        ("GetLayerVersion", {"LayerName": "l", "VersionNumber": 3}, "GetLayerVersion", f"{LAMBDA}layer:l:3"),
        ("GetLayerVersion", {"LayerName": f"{LAMBDA}layer:l", "VersionNumber": 3}, "GetLayerVersion", f"{LAMBDA}layer:l:3"),
        ("GetLayerVersionByArn", {"Arn": f"{LAMBDA}layer:l:3"}, "GetLayerVersion", f"{LAMBDA}layer:l:3"),
        ("GetLayerVersionByArn", {"Arn": f"{LAMBDA.replace('aws', 'aws-z')}layer:l:03"}, "GetLayerVersion", f"{LAMBDA}layer:l:3"),
        ("DeleteLayerVersion", {"LayerName": f"{LAMBDA}layer:l:9", "VersionNumber": 3}, "DeleteLayerVersion", f"{LAMBDA}layer:l:3"),
        ("PublishLayerVersion", {"LayerName": f"{LAMBDA}layer:l:9"}, "PublishLayerVersion", f"{LAMBDA}layer:l"),
        ("ListLayerVersions", {"LayerName": "l"}, "ListLayerVersions", "*"),
        ("TagResource", {"Resource": F, "Tags": {}}, "TagResource", F),
        ("TagResource", {"Resource": F.replace("aws", "aws-y"), "Tags": {}}, "TagResource", F),
        ("ListTags", {"Resource": f"{LAMBDA}event-source-mapping:u"}, "ListTags", f"{LAMBDA}event-source-mapping:u"),
        ("GetCodeSigningConfig", {"CodeSigningConfigArn": f"{LAMBDA}code-signing-config:c"}, "GetCodeSigningConfig", f"{LAMBDA}code-signing-config:c"),
        ("DeleteFunctionCodeSigningConfig", {"FunctionName": "f"}, "DeleteFunctionCodeSigningConfig", F),
        ("DeleteCapacityProvider", {"CapacityProviderName": "p"}, "DeleteCapacityProvider", f"{LAMBDA}capacity-provider:p"),
        ("StopDurableExecution", {"DurableExecutionArn": f"{F}:1/durable-execution/n/i"}, "StopDurableExecution", f"{F}:1/durable-execution/n/i"),
    ],
)  # fmt: skip
def test_a_call_of_lambda_needs_its_action_on_what_it_works_on(
    operation: str, asked: dict[str, Any], action: str, resource: str
) -> None:
    assert needed("lambda", operation, **asked) == [(f"lambda:{action}", resource)]


def test_to_give_a_function_a_role_one_must_be_allowed_to_pass_it_on() -> None:
    role = "arn:aws:iam::111122223333:role/r"
    keys = {"iam:passedtoservice": ("lambda.amazonaws.com",)}
    assert list(needs("lambda", "CreateFunction", {"FunctionName": "f", "Role": role}, SCOPE)) == [
        Need("lambda:CreateFunction", F),
        Need("iam:PassRole", role, keys),
    ]
    assert needed("lambda", "UpdateFunctionConfiguration", FunctionName="f") == [
        ("lambda:UpdateFunctionConfiguration", F)
    ]


def test_to_give_a_function_a_code_signing_configuration_one_must_be_allowed_to_on_both() -> None:
    config = f"{LAMBDA}code-signing-config:c"
    keys = {"lambda:codesigningconfigarn": (config,)}
    asked = {"FunctionName": "f", "CodeSigningConfigArn": config}
    assert list(needs("lambda", "PutFunctionCodeSigningConfig", asked, SCOPE)) == [
        Need("lambda:PutFunctionCodeSigningConfig", F, keys),
        Need("lambda:PutFunctionCodeSigningConfig", config, keys),
    ]
    assert list(needs("lambda", "CreateFunction", asked, SCOPE)) == [Need("lambda:CreateFunction", F, keys)]


def test_some_calls_bring_condition_keys() -> None:
    asked = {"FunctionName": "f", "Layers": ["a", "b"], "Tags": {"Team": "x"}, "VpcConfig": {"SubnetIds": ["s"]}}
    (need,) = needs("lambda", "CreateFunction", asked, SCOPE)
    assert need.keys == {
        "lambda:layer": ("a", "b"),
        "lambda:subnetids": ("s",),
        "aws:tagkeys": ("Team",),
        "aws:requesttag/team": ("x",),
    }
    (need,) = needs("lambda", "CreateEventSourceMapping", {"FunctionName": "f"}, SCOPE)
    assert (need.resource, need.keys) == ("*", {"lambda:functionarn": (F,)})


def test_to_give_a_mapping_another_function_one_must_be_allowed_both() -> None:
    mapping = f"{LAMBDA}event-source-mapping:u"
    assert list(needs("lambda", "UpdateEventSourceMapping", {"UUID": "u", "FunctionName": "f"}, SCOPE)) == [
        Need("lambda:UpdateEventSourceMapping", mapping, {"lambda:functionarn": (F,)}),
        Need("lambda:UpdateEventSourceMapping", mapping),
    ]


@pytest.mark.parametrize(
    ("operation", "asked", "resources"),
    [
        ("CreateLogGroup", {"logGroupName": "/g"}, [f"{GROUP}/g:log-stream:"]),
        ("PutLogEvents", {"logGroupName": "g", "logStreamName": "s"}, [f"{GROUP}g:log-stream:s"]),
        ("FilterLogEvents", {"logGroupIdentifier": f"{GROUP}g:*"}, [f"{GROUP}g:log-stream:"]),
        ("StartLiveTail", {"logGroupIdentifiers": [f"{GROUP}g", f"{GROUP}h"]}, [f"{GROUP}g:log-stream:", f"{GROUP}h:log-stream:"]),
        ("TagResource", {"resourceArn": f"{GROUP}g"}, [f"{GROUP}g"]),
        ("DescribeLogGroups", {}, [f"{GROUP}:log-stream:"]),
        ("StopQuery", {"queryId": "q"}, ["*"]),
    ],
)  # fmt: skip
def test_a_call_of_logs_needs_its_action_on_its_groups(
    operation: str, asked: dict[str, Any], resources: list[str]
) -> None:
    assert needed("logs", operation, **asked) == [(f"logs:{operation}", resource) for resource in resources]


def test_who_am_i_needs_nothing() -> None:
    assert needed("sts", "GetCallerIdentity") == []
    assert needed("sts", "GetAccessKeyInfo") == [("sts:GetAccessKeyInfo", "*")]


VALUES: dict[str, Any] = {"string": "x", "integer": 1, "long": 1, "boolean": True, "list": ["x"], "map": {"k": "v"}}


@pytest.mark.parametrize("service", ["lambda", "logs", "sts"])
def test_every_operation_of_the_model_has_its_needs(service: str) -> None:
    model = load_model(service)
    for operation in model.operation_names:
        shape = model.operation_model(operation).input_shape or StructureShape("Empty", {"members": {}})
        required = {name: VALUES.get(shape.members[name].type_name, {}) for name in shape.required_members}
        if "resourceArn" in required:
            required["resourceArn"] = f"{GROUP}g"
        found = needed(service, operation, **required)
        free = (service, operation) in {("sts", "GetCallerIdentity"), ("sts", "AssumeRole")}
        assert bool(found) is not free
        assert all(action.partition(":")[0] in {service, "iam"} for action, _ in found)


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        ("CreateFunction", {"FunctionName": "f", "Code": {"S3Bucket": "b", "S3Key": "a/k"}}),
        ("UpdateFunctionCode", {"FunctionName": "f", "S3Bucket": "b", "S3Key": "a/k"}),
        ("PublishLayerVersion", {"LayerName": "l", "Content": {"S3Bucket": "b", "S3Key": "a/k"}}),
    ],
)
def test_code_in_s3_is_read_in_the_callers_name(operation: str, named: dict[str, Any]) -> None:
    assert needed("lambda", operation, **named)[1:] == [("s3:GetObject", "arn:aws:s3:::b/a/k")]
    (named.get("Code") or named.get("Content") or named)["S3ObjectVersion"] = "v"
    assert needed("lambda", operation, **named)[1:] == [("s3:GetObjectVersion", "arn:aws:s3:::b/a/k")]


@pytest.mark.parametrize(
    ("uri", "repository"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a/b:v1", "arn:aws:ecr:eu-west-1:123456789012:repository/a/b"),
        ("127.0.0.1:5000/app", "arn:aws:ecr:eu-west-1:111122223333:repository/127.0.0.1:5000/app"),
        ("ghcr.io/a/b@sha256:" + "0" * 64, "arn:aws:ecr:eu-west-1:111122223333:repository/ghcr.io/a/b"),
        ("oci:/srv/app:v1", "arn:aws:ecr:eu-west-1:111122223333:repository/oci:/srv/app"),
    ],
)
def test_an_image_is_pulled_in_the_callers_name(uri: str, repository: str) -> None:
    asked = {"FunctionName": "f", "Code": {"ImageUri": uri}}
    assert needed("lambda", "CreateFunction", **asked)[1:] == [("ecr:BatchGetImage", repository)]
    assert needed("lambda", "UpdateFunctionCode", FunctionName="f", ImageUri=uri)[1:] == [
        ("ecr:BatchGetImage", repository)
    ]
