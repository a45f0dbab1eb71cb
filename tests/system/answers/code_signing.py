"""Code signing configurations, and those of functions."""

from typing import Any

from system.answers.steps import PREFIX, Step, made, minimal, ready, typical, wrong

_PUBLISHER = "arn:aws:signer:us-east-1:111122223333:/signing-profiles/theirs/0123456789"
_PUBLISHERS = {"SigningProfileVersionArns": [_PUBLISHER]}
_ENFORCE = {"UntrustedArtifactOnDeployment": "Enforce"}
_NOWHERE = f"{PREFIX}code-signing-config:csc-{'0' * 17}"
_SHOWN_NOWHERE = f"{PREFIX}code-signing-config:<csc>"
_NOT_ATTACHED = (
    404,
    "CodeSigningConfigNotFoundException",
    (
        f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
        f"{_SHOWN_NOWHERE}."
    ),
)
_GONE = (404, "ResourceNotFoundException", f"The Lambda code signing configuration {_SHOWN_NOWHERE} can not be found.")


def _config(**more: Any) -> dict[str, Any]:
    return {
        "CodeSigningConfigId": "<csc>",
        "CodeSigningConfigArn": f"{PREFIX}code-signing-config:<csc>",
        "AllowedPublishers": _PUBLISHERS,
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"},
        "LastModified": "<time>",
        **more,
    }


_ATTACHED = {"CodeSigningConfigArn": f"{PREFIX}code-signing-config:<csc>", "FunctionName": "s"}

CODE_SIGNING: list[Step] = [
    made("s"),
    typical(
        "CreateCodeSigningConfig",
        201,
        {"CodeSigningConfig": _config(Description="ours", CodeSigningPolicies=_ENFORCE)},
        AllowedPublishers=_PUBLISHERS,
        Description="ours",
        CodeSigningPolicies=_ENFORCE,
    ),
    ready("DeleteCodeSigningConfig", 204, None, CodeSigningConfigArn="<csc>"),
    minimal("CreateCodeSigningConfig", 201, {"CodeSigningConfig": _config()}, AllowedPublishers=_PUBLISHERS),
    wrong(
        "CreateCodeSigningConfig",
        400,
        "ValidationException",
        "1 validation error detected: Value null at 'allowedPublishers' failed to satisfy constraint: "
        "Member must not be null",
    ),
    minimal("GetCodeSigningConfig", 200, {"CodeSigningConfig": _config()}, CodeSigningConfigArn="<csc>"),
    wrong("GetCodeSigningConfig", *_GONE, CodeSigningConfigArn=_NOWHERE),
    typical(
        "UpdateCodeSigningConfig",
        200,
        {"CodeSigningConfig": _config(Description="theirs", CodeSigningPolicies=_ENFORCE)},
        CodeSigningConfigArn="<csc>",
        Description="theirs",
        CodeSigningPolicies=_ENFORCE,
    ),
    minimal(
        "UpdateCodeSigningConfig",
        200,
        {"CodeSigningConfig": _config(Description="theirs", CodeSigningPolicies=_ENFORCE)},
        CodeSigningConfigArn="<csc>",
    ),
    wrong("UpdateCodeSigningConfig", *_GONE, CodeSigningConfigArn=_NOWHERE, Description="x"),
    minimal(
        "ListCodeSigningConfigs",
        200,
        {"CodeSigningConfigs": [_config(Description="theirs", CodeSigningPolicies=_ENFORCE)]},
    ),
    typical(
        "ListCodeSigningConfigs",
        200,
        {"CodeSigningConfigs": [_config(Description="theirs", CodeSigningPolicies=_ENFORCE)]},
        MaxItems=5,
    ),
    wrong(
        "ListCodeSigningConfigs",
        400,
        "ValidationException",
        "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1",
        MaxItems=0,
    ),
    minimal("GetFunctionCodeSigningConfig", 200, {}, FunctionName="s"),
    minimal("PutFunctionCodeSigningConfig", 200, _ATTACHED, FunctionName="s", CodeSigningConfigArn="<csc>"),
    wrong("PutFunctionCodeSigningConfig", *_NOT_ATTACHED, FunctionName="s", CodeSigningConfigArn=_NOWHERE),
    typical("GetFunctionCodeSigningConfig", 200, _ATTACHED, FunctionName=f"{PREFIX}function:s"),
    wrong(
        "GetFunctionCodeSigningConfig",
        404,
        "ResourceNotFoundException",
        f"Function not found: {PREFIX}function:csc-test-doesnotexist",
        FunctionName="csc-test-doesnotexist",
    ),
    minimal(
        "ListFunctionsByCodeSigningConfig",
        200,
        {"FunctionArns": [f"{PREFIX}function:s"]},
        CodeSigningConfigArn="<csc>",
    ),
    typical(
        "ListFunctionsByCodeSigningConfig",
        200,
        {"FunctionArns": [f"{PREFIX}function:s"]},
        CodeSigningConfigArn="<csc>",
        MaxItems=1,
    ),
    wrong("ListFunctionsByCodeSigningConfig", *_GONE, CodeSigningConfigArn=_NOWHERE),
    minimal("DeleteFunctionCodeSigningConfig", 204, None, FunctionName="s"),
    wrong(
        "DeleteFunctionCodeSigningConfig",
        404,
        "ResourceNotFoundException",
        f"Function not found: {PREFIX}function:none",
        FunctionName="none",
    ),
    wrong("DeleteCodeSigningConfig", *_GONE, CodeSigningConfigArn=_NOWHERE),
    minimal("DeleteCodeSigningConfig", 204, None, CodeSigningConfigArn="<csc>"),
]
