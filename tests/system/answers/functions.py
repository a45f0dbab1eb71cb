"""Functions, versions, aliases, calls, the account."""

from typing import Any

from system.answers.steps import (
    NEW,
    OTHER_ZIP,
    PREFIX,
    RUNTIME_VERSION,
    SETTLED,
    UPDATING,
    ZIP,
    Step,
    code,
    configuration,
    create,
    invalid,
    made,
    minimal,
    not_found,
    ready,
    typical,
    wrong,
)

_MORE: dict[str, Any] = {
    "Description": "a cow",
    "Timeout": 10,
    "MemorySize": 256,
    "Environment": {"Variables": {"KEY": "value"}},
    "EphemeralStorage": {"Size": 1024},
    "TracingConfig": {"Mode": "Active"},
}
_NO_ROLE = (
    "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"
)
_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)
_STALE = "12345678-1234-1234-1234-123456789012"

FUNCTIONS: list[Step] = [
    minimal("CreateFunction", 201, configuration("f", NEW, RUNTIME_VERSION), **create("f")),
    typical(
        "CreateFunction",
        201,
        configuration("full", NEW, RUNTIME_VERSION, Version="1", qualifier="1", **_MORE),
        **create("full", Publish=True, Tags={"team": "dairy"}, **_MORE),
    ),
    wrong("CreateFunction", 409, "ResourceConflictException", "Function already exist: f", **create("f")),
    invalid("CreateFunction", "'r1'", "role", _NO_ROLE, **create("g", Role="r1")),
    typical(
        "GetFunction",
        200,
        {
            "Configuration": configuration("full", SETTLED, RUNTIME_VERSION, **_MORE),
            "Code": {"RepositoryType": "S3", "Location": "<url>"},
            "Tags": {"team": "dairy"},
        },
        FunctionName=f"{PREFIX}function:full",
    ),
    minimal(
        "GetFunction",
        200,
        {
            "Configuration": configuration("f", SETTLED, RUNTIME_VERSION),
            "Code": {"RepositoryType": "S3", "Location": "<url>"},
        },
        FunctionName="f",
    ),
    wrong("GetFunction", *not_found("none"), FunctionName="none"),
    typical(
        "GetFunctionConfiguration",
        200,
        configuration("full", SETTLED, RUNTIME_VERSION, Version="1", qualifier="1", **_MORE),
        FunctionName="full",
        Qualifier="1",
    ),
    minimal("GetFunctionConfiguration", 200, configuration("f", SETTLED, RUNTIME_VERSION), FunctionName="f"),
    wrong("GetFunctionConfiguration", *not_found("f", "7"), FunctionName="f", Qualifier="7"),
    typical(
        "UpdateFunctionCode",
        200,
        configuration("full", SETTLED, RUNTIME_VERSION, **{**_MORE, **code(OTHER_ZIP)}),
        FunctionName="full",
        ZipFile=OTHER_ZIP,
        DryRun=True,
    ),
    minimal(
        "UpdateFunctionCode",
        200,
        configuration("full", UPDATING, RUNTIME_VERSION, **{**_MORE, **code(OTHER_ZIP)}),
        FunctionName="full",
        ZipFile=OTHER_ZIP,
    ),
    wrong(
        "UpdateFunctionCode",
        400,
        "InvalidParameterValueException",
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
        FunctionName="full",
        ZipFile=b"no zip",
    ),
    typical(
        "UpdateFunctionConfiguration",
        200,
        configuration("f", UPDATING, RUNTIME_VERSION, Description="calf", Timeout=5, Handler="app.other"),
        FunctionName="f",
        Description="calf",
        Timeout=5,
        Handler="app.other",
    ),
    minimal(
        "UpdateFunctionConfiguration",
        200,
        configuration("f", UPDATING, RUNTIME_VERSION, Description="calf", Timeout=5, Handler="app.other"),
        FunctionName="f",
    ),
    wrong(
        "UpdateFunctionConfiguration",
        412,
        "PreconditionFailedException",
        _REVISION,
        FunctionName="f",
        RevisionId=_STALE,
        Timeout=6,
    ),
    typical(
        "ListFunctions",
        200,
        {
            "Functions": [
                configuration("f", Description="calf", Timeout=5, Handler="app.other", qualifier="$LATEST"),
                configuration("full", qualifier="$LATEST", **{**_MORE, **code(OTHER_ZIP)}),
                configuration("full", Version="1", qualifier="1", **_MORE),
            ]
        },
        FunctionVersion="ALL",
        MaxItems=10,
    ),
    minimal(
        "ListFunctions",
        200,
        {
            "Functions": [
                configuration("f", Description="calf", Timeout=5, Handler="app.other"),
                configuration("full", **{**_MORE, **code(OTHER_ZIP)}),
            ]
        },
    ),
    invalid(
        "ListFunctions",
        "'invalid'",
        "functionVersion",
        "Member must satisfy enum value set: [ALL]",
        FunctionVersion="invalid",
    ),
    minimal(
        "GetAccountSettings",
        200,
        {
            "AccountLimit": {
                "TotalCodeSize": 300 * 1024**3,
                "CodeSizeUnzipped": 262144000,
                "CodeSizeZipped": 52428800,
                "ConcurrentExecutions": 1000,
                "UnreservedConcurrentExecutions": 1000,
            },
            "AccountUsage": {"TotalCodeSize": 2 * len(ZIP) + len(OTHER_ZIP), "FunctionCount": 2},
        },
    ),
    typical("DeleteFunction", 204, None, FunctionName="full", Qualifier="1"),
    minimal("DeleteFunction", 204, None, FunctionName="full"),
    wrong("DeleteFunction", *not_found("full"), FunctionName="full"),
]

VERSIONS: list[Step] = [
    made("v"),
    typical(
        "PublishVersion",
        201,
        configuration("v", NEW, RUNTIME_VERSION, Version="1", qualifier="1", Description="first"),
        FunctionName="v",
        Description="first",
        CodeSha256=code(ZIP)["CodeSha256"],
    ),
    # Nothing has changed since.
    minimal(
        "PublishVersion",
        201,
        configuration("v", SETTLED, RUNTIME_VERSION, Version="1", qualifier="1", Description="first"),
        FunctionName="v",
    ),
    wrong(
        "PublishVersion",
        400,
        "InvalidParameterValueException",
        "CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST "
        f"({code(ZIP)['CodeSha256']}). Please try again with the CodeSHA256 in $LATEST.",
        FunctionName="v",
        CodeSha256="somenonexistentsha256",
    ),
    typical(
        "ListVersionsByFunction",
        200,
        {"Versions": [configuration("v", qualifier="$LATEST")], "NextMarker": "<marker>"},
        FunctionName="v",
        MaxItems=1,
    ),
    minimal(
        "ListVersionsByFunction",
        200,
        {
            "Versions": [
                configuration("v", qualifier="$LATEST"),
                configuration("v", Version="1", qualifier="1", Description="first"),
            ]
        },
        FunctionName="v",
    ),
    wrong("ListVersionsByFunction", *not_found("none"), FunctionName="none"),
    ready(
        "UpdateFunctionCode",
        200,
        configuration("v", UPDATING, RUNTIME_VERSION, **code(OTHER_ZIP)),
        FunctionName="v",
        ZipFile=OTHER_ZIP,
    ),
    ready(
        "PublishVersion",
        201,
        configuration("v", NEW, RUNTIME_VERSION, Version="2", qualifier="2", **code(OTHER_ZIP)),
        FunctionName="v",
    ),
]


def _alias(name: str, version: str = "1", description: str = "", **more: object) -> dict[str, object]:
    return {
        "AliasArn": f"{PREFIX}function:v:{name}",
        "Name": name,
        "FunctionVersion": version,
        "Description": description,
        "RevisionId": "<uuid>",
        **more,
    }


_WEIGHTED: dict[str, Any] = {"RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}}

ALIASES: list[Step] = [
    minimal("CreateAlias", 201, _alias("live"), FunctionName="v", Name="live", FunctionVersion="1"),
    typical(
        "CreateAlias",
        201,
        _alias("canary", description="a tenth", **_WEIGHTED),
        FunctionName="v",
        Name="canary",
        FunctionVersion="1",
        Description="a tenth",
        **_WEIGHTED,
    ),
    wrong(
        "CreateAlias",
        409,
        "ResourceConflictException",
        f"Alias already exists: {PREFIX}function:v:live",
        FunctionName="v",
        Name="live",
        FunctionVersion="1",
    ),
    invalid(
        "CreateAlias",
        "'2024'",
        "name",
        "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
        FunctionName="v",
        Name="2024",
        FunctionVersion="1",
    ),
    typical("GetAlias", 200, _alias("canary", description="a tenth", **_WEIGHTED), FunctionName="v", Name="canary"),
    minimal("GetAlias", 200, _alias("live"), FunctionName="v", Name="live"),
    wrong(
        "GetAlias",
        404,
        "ResourceNotFoundException",
        f"Cannot find alias arn: {PREFIX}function:v:noalias",
        FunctionName="v",
        Name="noalias",
    ),
    typical(
        "UpdateAlias",
        200,
        _alias("live", "2", "moved"),
        FunctionName="v",
        Name="live",
        FunctionVersion="2",
        Description="moved",
    ),
    minimal("UpdateAlias", 200, _alias("live", "2", "moved"), FunctionName="v", Name="live"),
    wrong(
        "UpdateAlias",
        404,
        "ResourceNotFoundException",
        f"Alias not found: {PREFIX}function:v:non-existent",
        FunctionName="v",
        Name="non-existent",
        Description="x",
    ),
    wrong(
        "UpdateAlias", 412, "PreconditionFailedException", _REVISION, FunctionName="v", Name="live", RevisionId=_STALE
    ),
    typical(
        "ListAliases",
        200,
        # Those that invoke the version, by weight too.
        {"Aliases": [_alias("canary", description="a tenth", **_WEIGHTED), _alias("live", "2", "moved")]},
        FunctionName="v",
        FunctionVersion="2",
        MaxItems=5,
    ),
    minimal(
        "ListAliases",
        200,
        {"Aliases": [_alias("canary", description="a tenth", **_WEIGHTED), _alias("live", "2", "moved")]},
        FunctionName="v",
    ),
    wrong("ListAliases", *not_found("none"), FunctionName="none"),
    typical("DeleteAlias", 204, None, FunctionName="v", Name="canary"),
    # As on AWS, for what is not there too.
    minimal("DeleteAlias", 204, None, FunctionName="v", Name="canary"),
    invalid(
        "DeleteAlias",
        "'7'",
        "name",
        "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
        FunctionName="v",
        Name="7",
    ),
]

_NOT_JSON = (
    "Could not parse request body into json: Could not parse payload into json: Unexpected character ('}' (code 125)): "
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: "
    "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]"
)

INVOCATIONS: list[Step] = [
    made("called"),
    Step(
        "typical",
        "Invoke",
        {"FunctionName": "called", "Payload": b'{"a": 1}', "LogType": "Tail", "Qualifier": "$LATEST"},
        200,
        '{"a": 1}',
        headers={"x-amz-executed-version": "$LATEST", "x-amz-log-result": "<log>", "x-amzn-trace-id": "<trace>"},
    ),
    Step(
        "minimal",
        "Invoke",
        {"FunctionName": "called"},
        200,
        "{}",
        headers={"x-amz-executed-version": "$LATEST", "x-amzn-trace-id": "<trace>"},
    ),
    wrong("Invoke", 400, "InvalidRequestContentException", _NOT_JSON, FunctionName="called", Payload=b"}"),
    wrong("Invoke", *not_found("none"), FunctionName="none"),
    Step(
        "typical",
        "Invoke",
        {"FunctionName": "called", "Payload": b'{"a": 1}', "InvocationType": "Event"},
        202,
        None,
        headers={"x-amzn-trace-id": "<trace>", "content-length": "0"},
    ),
    Step(
        "minimal",
        "InvokeAsync",
        {"FunctionName": "called", "InvokeArgs": b"{}"},
        202,
        "{}",
        headers={"x-amzn-trace-id": "<trace>", "content-length": "2"},
    ),
    wrong("InvokeAsync", *not_found("none"), FunctionName="none", InvokeArgs=b"{}"),
    Step(
        "typical",
        "InvokeWithResponseStream",
        {"FunctionName": "called", "Payload": b'{"a": 1}', "LogType": "Tail"},
        200,
        "<events>",
        headers={
            "x-amz-executed-version": "$LATEST",
            "x-amzn-trace-id": "<trace>",
            "content-type": "application/vnd.amazon.eventstream",
            "transfer-encoding": "chunked",
        },
    ),
    minimal("InvokeWithResponseStream", 204, None, FunctionName="called", InvocationType="DryRun"),
    wrong("InvokeWithResponseStream", *not_found("none"), FunctionName="none"),
]
