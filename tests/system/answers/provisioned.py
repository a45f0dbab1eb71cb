"""Provisioned concurrency: what is configured for versions and aliases."""

from typing import Any

from system.answers.steps import (
    NEW,
    PREFIX,
    RUNTIME_VERSION,
    Step,
    configuration,
    create,
    invalid,
    minimal,
    not_found,
    ready,
    typical,
    wrong,
)

_NONE = (
    404,
    "ProvisionedConcurrencyConfigNotFoundException",
    "No Provisioned Concurrency Config found for this function",
)


def _told(executions: int, allocated: int, status: str, **more: Any) -> dict[str, Any]:
    return {
        "RequestedProvisionedConcurrentExecutions": executions,
        "AvailableProvisionedConcurrentExecutions": allocated,
        "AllocatedProvisionedConcurrentExecutions": allocated,
        "Status": status,
        "LastModified": "<time>",
        **more,
    }


_ALIAS = {
    "AliasArn": f"{PREFIX}function:p:live",
    "Name": "live",
    "FunctionVersion": "1",
    "Description": "",
    "RevisionId": "<uuid>",
}
_LISTED = {"FunctionArn": f"{PREFIX}function:p:live", **_told(1, 1, "READY")}

PROVISIONED: list[Step] = [
    ready(
        "CreateFunction",
        201,
        configuration("p", NEW, RUNTIME_VERSION, qualifier="1", Version="1"),
        **create("p", Publish=True),
    ),
    ready("CreateAlias", 201, _ALIAS, FunctionName="p", Name="live", FunctionVersion="1"),
    wrong("GetProvisionedConcurrencyConfig", *_NONE, FunctionName="p", Qualifier="live"),
    wrong("DeleteProvisionedConcurrencyConfig", *_NONE, FunctionName="p", Qualifier="1"),
    wrong(
        "PutProvisionedConcurrencyConfig",
        400,
        "InvalidParameterValueException",
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        FunctionName="p",
        Qualifier="$LATEST",
        ProvisionedConcurrentExecutions=1,
    ),
    invalid(
        "PutProvisionedConcurrencyConfig",
        "'0'",
        "provisionedConcurrentExecutions",
        "Member must have value greater than or equal to 1",
        FunctionName="p",
        Qualifier="1",
        ProvisionedConcurrentExecutions=0,
    ),
    minimal(
        "PutProvisionedConcurrencyConfig",
        202,
        _told(1, 0, "IN_PROGRESS"),
        FunctionName="p",
        Qualifier="live",
        ProvisionedConcurrentExecutions=1,
    ),
    wrong(
        "PutProvisionedConcurrencyConfig",
        409,
        "ResourceConflictException",
        "Version is pointed by a Provisioned Concurrency alias",
        FunctionName="p",
        Qualifier="1",
        ProvisionedConcurrentExecutions=1,
    ),
    minimal(
        "GetProvisionedConcurrencyConfig",
        200,
        _told(1, 1, "READY"),
        FunctionName=f"{PREFIX}function:p",
        Qualifier="live",
    ),
    minimal("ListProvisionedConcurrencyConfigs", 200, {"ProvisionedConcurrencyConfigs": [_LISTED]}, FunctionName="p"),
    typical(
        "ListProvisionedConcurrencyConfigs",
        200,
        {"ProvisionedConcurrencyConfigs": [_LISTED]},
        FunctionName="p",
        MaxItems=5,
    ),
    wrong("ListProvisionedConcurrencyConfigs", *not_found("none"), FunctionName="none"),
    minimal("DeleteProvisionedConcurrencyConfig", 204, None, FunctionName="p", Qualifier="live"),
]
