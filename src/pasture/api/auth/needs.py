"""What a call needs to be allowed: actions, on resources. Pure.

Source: "Actions, resources, and condition keys for AWS Lambda" (and for CloudWatch Logs) in the Service Authorization
Reference. An action is named as its operation, with few exceptions; its resource is what the operation works on, with
the qualifier that it was addressed with, as an ARN in one form, whatever form the caller wrote.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pasture.api.auth import schedules_needs
from pasture.domain.errors import ApiError
from pasture.domain.identifiers import locate_function, parse_function
from pasture.domain.layer import parse_layer, parse_layer_arn
from pasture.domain.scope import Scope
from pasture.logs import names

Asked = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    action: str
    resource: str
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Condition keys of this action alone, in lower case."""


def needs(service: str, operation: str, asked: Asked, scope: Scope) -> Iterable[Need]:
    """Raises what the operation itself would raise for a name that is none."""
    if service == "lambda" and operation in _INVOKES:
        return _to_invoke(asked["FunctionName"], asked.get("Qualifier"), scope)
    return _needs(service, operation, asked, scope)


@lru_cache(maxsize=4096)
def _to_invoke(function: str, qualifier: str | None, scope: Scope) -> tuple[Need, ...]:
    return tuple(_of_lambda("Invoke", {"FunctionName": function, "Qualifier": qualifier}, scope))


def _needs(service: str, operation: str, asked: Asked, scope: Scope) -> Iterator[Need]:
    if service == "lambda":
        yield from _of_lambda(operation, asked, scope)
    elif service == "logs":
        yield from (Need(f"logs:{operation}", resource) for resource in _logs_resources(operation, asked, scope))
    elif service == "scheduler":
        yield from (Need(*need) for need in schedules_needs.of_scheduler(operation, asked, scope))
    elif service == "events":
        yield from (Need(*need) for need in schedules_needs.of_events(operation, asked, scope))
    elif (service, operation) not in _FREE:
        keys = _present(asked, (("Namespace", "cloudwatch:namespace"),)) if operation == "PutMetricData" else ()
        yield Need(f"{service}:{operation}", "*", dict(keys))


# "No permissions are required to perform this operation", even with an explicit deny; and whether a role may be
# assumed is said by its trust policy too, which only the operation knows.
_FREE = frozenset({("sts", "GetCallerIdentity"), ("sts", "AssumeRole")})


# Lambda...

_ACTIONS = {
    "Invoke": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
    "GetLayerVersionByArn": "GetLayerVersion",
}
_INVOKES = frozenset({"Invoke", "InvokeWithResponseStream"})
# They name a function, and AWS judges them without one: by lambda:FunctionArn, if at all.
_WITHOUT_RESOURCE = frozenset({"CreateEventSourceMapping", "ListEventSourceMappings", "ListLayerVersions"})
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/(.+)", re.ASCII)
_BRINGS_CODE = frozenset({"CreateFunction", "UpdateFunctionCode", "PublishLayerVersion"})
_ALIAS_OPERATIONS = frozenset({"CreateAlias", "GetAlias", "UpdateAlias", "DeleteAlias"})
_MAPPING_OPERATIONS = frozenset({"CreateEventSourceMapping", "UpdateEventSourceMapping"})


def _of_lambda(operation: str, asked: Asked, scope: Scope) -> Iterator[Need]:
    action = f"lambda:{_ACTIONS.get(operation, operation)}"
    keys = dict(_lambda_keys(operation, asked, scope))
    yield Need(action, _lambda_resource(operation, asked, scope), keys)
    if operation == "UpdateEventSourceMapping" and "lambda:functionarn" in keys:
        # Once by the function that it would be for, and once by the one that it is for.
        yield Need(action, _lambda_resource(operation, asked, scope))
    if operation == "PutFunctionCodeSigningConfig" and asked.get("CodeSigningConfigArn"):
        yield Need(action, _own_form(asked["CodeSigningConfigArn"], scope), keys)
    code = asked.get("Code") or asked.get("Content") or asked
    if operation in _BRINGS_CODE and "S3Bucket" in code and "S3Key" in code:
        # Lambda reads it in the caller's name: who may not must not come to it by way of a function.
        get = "s3:GetObjectVersion" if "S3ObjectVersion" in code else "s3:GetObject"
        yield Need(get, f"arn:{scope.partition}:s3:::{code['S3Bucket']}/{code['S3Key']}")
    if operation in _BRINGS_CODE and code.get("ImageUri"):
        # Likewise an image, which this server pulls with credentials of its own.
        yield Need("ecr:BatchGetImage", _image(code["ImageUri"], scope))
    if operation in {"CreateFunction", "UpdateFunctionConfiguration"} and asked.get("Role"):
        # Who may not hand a role on must not gain its rights by way of a function.
        yield Need("iam:PassRole", asked["Role"], {"iam:passedtoservice": ("lambda.amazonaws.com",)})


def _image(uri: str, scope: Scope) -> str:
    """As a repository of ECR; of another registry, one named after it. What is no reference is refused later."""
    name = re.sub(r"(:[\w.-]+)?(@.*)?$", "", uri)
    if found := _ECR.fullmatch(name):
        return Scope(found[1], found[2]).arn("ecr", f"repository/{found[3]}")
    return scope.arn("ecr", f"repository/{name}")


def _lambda_resource(operation: str, asked: Asked, scope: Scope) -> str:
    if operation in _WITHOUT_RESOURCE:
        return "*"
    if "UUID" in asked:
        return scope.arn("lambda", f"event-source-mapping:{asked['UUID']}")
    if "FunctionName" in asked:
        qualifier = None if operation in _ALIAS_OPERATIONS else asked.get("Qualifier")
        return locate_function(asked["FunctionName"], scope, qualifier).arn(scope)
    if "LayerName" in asked:
        return _layer(asked["LayerName"], asked.get("VersionNumber"), scope)
    if "CapacityProviderName" in asked:
        name = str(asked["CapacityProviderName"]).rpartition(":")[2]
        return scope.arn("lambda", f"capacity-provider:{name}")
    for member in ("Arn", "CodeSigningConfigArn", "DurableExecutionArn", "Resource", "ResourceArn"):
        if member in asked and not (operation.startswith("Create") and member == "CodeSigningConfigArn"):
            return _own_form(asked[member], scope)
    return "*"


def _layer(text: str, version: int | None, scope: Scope) -> str:
    return parse_layer(text, scope)._replace(number=version).arn


def _own_form(text: str, scope: Scope) -> str:
    """What has many forms is given one, so that a deny of it cannot be avoided by another spelling."""
    layer = parse_layer_arn(text)
    if layer is not None:
        return layer.arn
    if re.fullmatch(r"arn:[^:]+:lambda:[^:]*:[^:]*:(?!function:).*", text, re.DOTALL) or "/" in text:
        return _own_partition(text, scope)
    try:
        return locate_function(text, scope).arn(scope)
    except ApiError:
        return text


def _own_partition(arn: str, scope: Scope) -> str:
    return re.sub(r"^arn:[^:]*:", f"arn:{scope.partition}:", arn)


_KEYS = (
    ("Principal", "lambda:principal"),
    ("FunctionUrlAuthType", "lambda:functionurlauthtype"),
    ("AuthType", "lambda:functionurlauthtype"),
    ("Layers", "lambda:layer"),
    ("TagKeys", "aws:tagkeys"),
)
_VPC_KEYS = (("SubnetIds", "lambda:subnetids"), ("SecurityGroupIds", "lambda:securitygroupids"))


def _lambda_keys(operation: str, asked: Asked, scope: Scope) -> Iterator[tuple[str, Sequence[str]]]:
    if operation in _MAPPING_OPERATIONS and "FunctionName" in asked:
        yield "lambda:functionarn", (parse_function(asked["FunctionName"], scope).arn(scope),)
    yield from _present(asked, _KEYS)
    if "FunctionName" in asked:
        yield from _present(asked, (("CodeSigningConfigArn", "lambda:codesigningconfigarn"),))
    yield from _present(asked.get("VpcConfig") or {}, _VPC_KEYS)
    tags = asked.get("Tags")
    if isinstance(tags, Mapping) and tags:
        yield "aws:tagkeys", tuple(tags)
        for name, value in tags.items():
            yield f"aws:requesttag/{name.lower()}", (value,)


def _present(asked: Asked, table: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Sequence[str]]]:
    for member, key in table:
        if value := asked.get(member):
            yield key, tuple(value) if isinstance(value, list) else (str(value),)


# Logs. A group is judged as the streams in it, those without a name included: that is why policies end in `:*`. ...


def _logs_resources(operation: str, asked: Asked, scope: Scope) -> Iterator[str]:
    if "resourceArn" in asked:
        yield names.group_arn(scope, names.group_of_identifier(scope, asked["resourceArn"]))
        return
    groups = [asked[member] for member in ("logGroupName", "logGroupIdentifier") if asked.get(member)]
    for member in ("logGroupNames", "logGroupIdentifiers", "logGroupArnList"):
        groups += asked.get(member) or ()
    stream = asked.get("logStreamName") or ""
    for group in groups:
        yield names.stream_arn(scope, names.group_of_identifier(scope, group), stream)
    if not groups:
        yield names.stream_arn(scope, "", "") if operation == "DescribeLogGroups" else "*"
