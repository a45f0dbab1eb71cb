"""What is set for functions beside their configuration: tags, concurrency, events, recursion, runtimes, URLs."""

from typing import Any

from system.answers.steps import PREFIX, Step, invalid, made, minimal, not_found, ready, typical, wrong

_FUNCTIONS_ONLY = (
    400,
    "InvalidParameterValueException",
    (
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN."
    ),
)
_TAGGED = f"{PREFIX}function:t"
_NOT_TAGGED = (
    400,
    "InvalidParameterValueException",
    "Tags on function aliases and versions are not supported. Please specify a function ARN.",
)

TAGS: list[Step] = [
    made("t"),
    typical("TagResource", 204, None, Resource=_TAGGED, Tags={"a": "1", "b": "2"}),
    minimal("TagResource", 204, None, Resource=_TAGGED, Tags={"c": ""}),
    wrong("TagResource", *_NOT_TAGGED, Resource=f"{_TAGGED}:$LATEST", Tags={"a": "1"}),
    typical("UntagResource", 204, None, Resource=_TAGGED, TagKeys=["a", "none"]),
    minimal("UntagResource", 204, None, Resource=_TAGGED, TagKeys=["c"]),
    invalid("UntagResource", "null", "tagKeys", "Member must not be null", Resource=_TAGGED),
    minimal("ListTags", 200, {"Tags": {"b": "2"}}, Resource=_TAGGED),
    wrong("ListTags", *not_found("none"), Resource=f"{PREFIX}function:none"),
]

CONCURRENCY: list[Step] = [
    made("c"),
    typical(
        "PutFunctionConcurrency",
        200,
        {"ReservedConcurrentExecutions": 7},
        FunctionName=f"{PREFIX}function:c",
        ReservedConcurrentExecutions=7,
    ),
    minimal(
        "PutFunctionConcurrency",
        200,
        {"ReservedConcurrentExecutions": 0},
        FunctionName="c",
        ReservedConcurrentExecutions=0,
    ),
    wrong(
        "PutFunctionConcurrency",
        400,
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [100].",
        FunctionName="c",
        ReservedConcurrentExecutions=901,
    ),
    wrong("PutFunctionConcurrency", *_FUNCTIONS_ONLY, FunctionName="c:1", ReservedConcurrentExecutions=1),
    typical("GetFunctionConcurrency", 200, {"ReservedConcurrentExecutions": 0}, FunctionName=f"{PREFIX}function:c"),
    typical("DeleteFunctionConcurrency", 204, None, FunctionName=f"{PREFIX}function:c"),
    minimal("DeleteFunctionConcurrency", 204, None, FunctionName="c"),
    minimal("GetFunctionConcurrency", 200, {}, FunctionName="c"),
    wrong("GetFunctionConcurrency", *not_found("none"), FunctionName="none"),
    wrong("DeleteFunctionConcurrency", *_FUNCTIONS_ONLY, FunctionName="c:live"),
]

_QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
_FAILURES = {"OnFailure": {"Destination": _QUEUE}}


def _events(**more: Any) -> dict[str, Any]:
    return {
        "LastModified": "<epoch>",
        "FunctionArn": f"{PREFIX}function:e:$LATEST",
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
        **more,
    }


_WHOLE = {"OnSuccess": {}, **_FAILURES}
_NOT_SET = (
    404,
    "ResourceNotFoundException",
    f"The function {PREFIX}function:e:$LATEST doesn't have an EventInvokeConfig",
)

EVENT_INVOKE: list[Step] = [
    made("e"),
    wrong("GetFunctionEventInvokeConfig", *_NOT_SET, FunctionName="e"),
    wrong("DeleteFunctionEventInvokeConfig", *_NOT_SET, FunctionName="e"),
    wrong("UpdateFunctionEventInvokeConfig", *_NOT_SET, FunctionName="e", MaximumRetryAttempts=1),
    typical(
        "PutFunctionEventInvokeConfig",
        200,
        _events(MaximumRetryAttempts=0, MaximumEventAgeInSeconds=60, DestinationConfig=_WHOLE),
        FunctionName="e",
        MaximumRetryAttempts=0,
        MaximumEventAgeInSeconds=60,
        DestinationConfig=_FAILURES,
    ),
    minimal(
        "PutFunctionEventInvokeConfig", 200, _events(MaximumRetryAttempts=1), FunctionName="e", MaximumRetryAttempts=1
    ),
    wrong(
        "PutFunctionEventInvokeConfig",
        400,
        "InvalidParameterValueException",
        "You must specify at least one of error handling or destination setting.",
        FunctionName="e",
    ),
    typical(
        "UpdateFunctionEventInvokeConfig",
        200,
        _events(MaximumRetryAttempts=1, MaximumEventAgeInSeconds=90, DestinationConfig=_WHOLE),
        FunctionName="e",
        Qualifier="$LATEST",
        MaximumEventAgeInSeconds=90,
        DestinationConfig=_FAILURES,
    ),
    minimal(
        "UpdateFunctionEventInvokeConfig",
        200,
        _events(MaximumRetryAttempts=2, MaximumEventAgeInSeconds=90, DestinationConfig=_WHOLE),
        FunctionName="e",
        MaximumRetryAttempts=2,
    ),
    typical(
        "GetFunctionEventInvokeConfig",
        200,
        _events(MaximumRetryAttempts=2, MaximumEventAgeInSeconds=90, DestinationConfig=_WHOLE),
        FunctionName="e",
        Qualifier="$LATEST",
    ),
    minimal(
        "GetFunctionEventInvokeConfig",
        200,
        _events(MaximumRetryAttempts=2, MaximumEventAgeInSeconds=90, DestinationConfig=_WHOLE),
        FunctionName="e",
    ),
    typical(
        "ListFunctionEventInvokeConfigs",
        200,
        {
            "FunctionEventInvokeConfigs": [
                _events(MaximumRetryAttempts=2, MaximumEventAgeInSeconds=90, DestinationConfig=_WHOLE)
            ]
        },
        FunctionName="e",
        MaxItems=5,
    ),
    minimal(
        "ListFunctionEventInvokeConfigs",
        200,
        {
            "FunctionEventInvokeConfigs": [
                _events(MaximumRetryAttempts=2, MaximumEventAgeInSeconds=90, DestinationConfig=_WHOLE)
            ]
        },
        FunctionName="e",
    ),
    wrong(
        "ListFunctionEventInvokeConfigs",
        404,
        "ResourceNotFoundException",
        "The function doesn't exist.",
        FunctionName="none",
    ),
    typical("DeleteFunctionEventInvokeConfig", 204, None, FunctionName="e", Qualifier="$LATEST"),
    ready(
        "PutFunctionEventInvokeConfig", 200, _events(MaximumRetryAttempts=1), FunctionName="e", MaximumRetryAttempts=1
    ),
    minimal("DeleteFunctionEventInvokeConfig", 204, None, FunctionName="e"),
]

RECURSION: list[Step] = [
    made("r"),
    minimal("GetFunctionRecursionConfig", 200, {"RecursiveLoop": "Terminate"}, FunctionName="r"),
    wrong("GetFunctionRecursionConfig", *not_found("none"), FunctionName="none"),
    minimal("PutFunctionRecursionConfig", 200, {"RecursiveLoop": "Allow"}, FunctionName="r", RecursiveLoop="Allow"),
    invalid(
        "PutFunctionRecursionConfig",
        "'InvalidValue'",
        "recursiveLoop",
        "Member must satisfy enum value set: [Terminate, Allow]",
        FunctionName="r",
        RecursiveLoop="InvalidValue",
    ),
]

_MANUAL = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}"}
_MANUALLY = {
    "UpdateRuntimeOn": "Manual",
    "RuntimeVersionArn": "<runtime-version>",
    "FunctionArn": f"{PREFIX}function:r",
}

RUNTIME_MANAGEMENT: list[Step] = [
    minimal(
        "GetRuntimeManagementConfig",
        200,
        {"UpdateRuntimeOn": "Auto", "FunctionArn": f"{PREFIX}function:r"},
        FunctionName="r",
    ),
    typical("PutRuntimeManagementConfig", 200, _MANUALLY, FunctionName="r", **_MANUAL),
    typical("GetRuntimeManagementConfig", 200, _MANUALLY, FunctionName=f"{PREFIX}function:r"),
    wrong("GetRuntimeManagementConfig", *not_found("none"), FunctionName="none"),
    minimal(
        "PutRuntimeManagementConfig",
        200,
        {"UpdateRuntimeOn": "FunctionUpdate", "FunctionArn": f"{PREFIX}function:r"},
        FunctionName="r",
        UpdateRuntimeOn="FunctionUpdate",
    ),
    invalid(
        "PutRuntimeManagementConfig",
        "'Never'",
        "updateRuntimeOn",
        "Member must satisfy enum value set: [Auto, Manual, FunctionUpdate]",
        FunctionName="r",
        UpdateRuntimeOn="Never",
    ),
]

_CORS = {"AllowOrigins": ["*"], "MaxAge": 60}


def _url(*, shown: bool = True, **more: Any) -> dict[str, Any]:
    modified = {"LastModifiedTime": "<time>"} if shown else {}
    return {
        "FunctionUrl": "<function-url>",
        "FunctionArn": f"{PREFIX}function:u",
        "AuthType": "NONE",
        "CreationTime": "<time>",
        "InvokeMode": "BUFFERED",
        **modified,
        **more,
    }


_NO_URL = (404, "ResourceNotFoundException", "The resource you requested does not exist.")

URLS: list[Step] = [
    made("u"),
    wrong("GetFunctionUrlConfig", *_NO_URL, FunctionName="u"),
    wrong("DeleteFunctionUrlConfig", *_NO_URL, FunctionName="u"),
    typical(
        "CreateFunctionUrlConfig",
        201,
        _url(shown=False, AuthType="AWS_IAM", Cors=_CORS, InvokeMode="RESPONSE_STREAM"),
        FunctionName="u",
        AuthType="AWS_IAM",
        Cors=_CORS,
        InvokeMode="RESPONSE_STREAM",
    ),
    ready("DeleteFunctionUrlConfig", 204, None, FunctionName="u"),
    minimal("CreateFunctionUrlConfig", 201, _url(shown=False), FunctionName="u", AuthType="NONE"),
    wrong(
        "CreateFunctionUrlConfig",
        409,
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {PREFIX}function:u]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function",
        FunctionName="u",
        AuthType="NONE",
    ),
    invalid(
        "GetFunctionUrlConfig",
        "'$LATEST'",
        "qualifier",
        "Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)",
        FunctionName="u",
        Qualifier="$LATEST",
    ),
    typical("GetFunctionUrlConfig", 200, _url(), FunctionName=f"{PREFIX}function:u"),
    minimal("GetFunctionUrlConfig", 200, _url(), FunctionName="u"),
    typical("UpdateFunctionUrlConfig", 200, _url(Cors=_CORS), FunctionName="u", Cors=_CORS, AuthType="NONE"),
    minimal("UpdateFunctionUrlConfig", 200, _url(Cors=_CORS), FunctionName="u"),
    invalid(
        "UpdateFunctionUrlConfig",
        "'UNKNOWN'",
        "invokeMode",
        "Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]",
        FunctionName="u",
        InvokeMode="UNKNOWN",
    ),
    typical("ListFunctionUrlConfigs", 200, {"FunctionUrlConfigs": [_url(Cors=_CORS)]}, FunctionName="u", MaxItems=5),
    minimal("ListFunctionUrlConfigs", 200, {"FunctionUrlConfigs": [_url(Cors=_CORS)]}, FunctionName="u"),
    wrong(
        "ListFunctionUrlConfigs",
        404,
        "ResourceNotFoundException",
        "Function does not exist",
        FunctionName="none",
    ),
    typical("DeleteFunctionUrlConfig", 204, None, FunctionName=f"{PREFIX}function:u"),
    ready("CreateFunctionUrlConfig", 201, _url(shown=False), FunctionName="u", AuthType="NONE"),
    minimal("DeleteFunctionUrlConfig", 204, None, FunctionName="u"),
]
