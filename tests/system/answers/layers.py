"""Layers and their policies."""

import json
from typing import Any

from system.answers.steps import LAYER_ZIP, PREFIX, Step, code, invalid, minimal, ready, typical, wrong

_CONTENT = {"Content": {"Location": "<url>", **code(LAYER_ZIP)}, "LayerArn": f"{PREFIX}layer:l"}
_ZIP = {"ZipFile": LAYER_ZIP}
_MORE: dict[str, Any] = {
    "Description": "words",
    "LicenseInfo": "MIT",
    "CompatibleRuntimes": ["python3.11", "python3.12"],
    "CompatibleArchitectures": ["x86_64"],
}
_GONE = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
_NO_POLICY = (404, "ResourceNotFoundException", "No policy is associated with the given resource.")


def _version(number: int, **more: Any) -> dict[str, Any]:
    return {
        "LayerVersionArn": f"{PREFIX}layer:l:{number}",
        "Version": number,
        "Description": "",
        "CreatedDate": "<time>",
        **more,
    }


def _statement(principal: Any, statement: str = "s1", **more: Any) -> dict[str, Any]:
    return {
        "Sid": statement,
        "Effect": "Allow",
        "Principal": principal,
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{PREFIX}layer:l:1",
        **more,
    }


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


_OTHER = {"AWS": "arn:aws:iam::111122223333:root"}

LAYERS: list[Step] = [
    typical("PublishLayerVersion", 201, {**_CONTENT, **_version(1, **_MORE)}, LayerName="l", Content=_ZIP, **_MORE),
    minimal("PublishLayerVersion", 201, {**_CONTENT, **_version(2)}, LayerName="l", Content=_ZIP),
    wrong(
        "PublishLayerVersion",
        400,
        "InvalidParameterValueException",
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
        LayerName="l",
        Content={"ZipFile": b"no zip"},
    ),
    typical(
        "GetLayerVersion", 200, {**_CONTENT, **_version(1, **_MORE)}, LayerName=f"{PREFIX}layer:l", VersionNumber=1
    ),
    minimal("GetLayerVersion", 200, {**_CONTENT, **_version(2)}, LayerName="l", VersionNumber=2),
    wrong(
        "GetLayerVersion",
        400,
        "InvalidParameterValueException",
        "Layer Version Cannot be less than 1",
        LayerName="l",
        VersionNumber=0,
    ),
    wrong("GetLayerVersion", *_GONE, LayerName="l", VersionNumber=9),
    typical("GetLayerVersionByArn", 200, {**_CONTENT, **_version(1, **_MORE)}, Arn=f"{PREFIX}layer:l:1"),
    minimal("GetLayerVersionByArn", 200, {**_CONTENT, **_version(2)}, Arn=f"{PREFIX}layer:l:2"),
    invalid(
        "GetLayerVersionByArn",
        f"'{PREFIX}layer:l'",
        "arn",
        "Member must satisfy regular expression pattern: "
        "((arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:"
        "[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+))",
        Arn=f"{PREFIX}layer:l",
    ),
    typical(
        "ListLayers",
        200,
        {"Layers": [{"LayerName": "l", "LayerArn": f"{PREFIX}layer:l", "LatestMatchingVersion": _version(1, **_MORE)}]},
        CompatibleRuntime="python3.12",
        CompatibleArchitecture="x86_64",
        MaxItems=5,
    ),
    minimal(
        "ListLayers",
        200,
        {"Layers": [{"LayerName": "l", "LayerArn": f"{PREFIX}layer:l", "LatestMatchingVersion": _version(2)}]},
    ),
    invalid(
        "ListLayers",
        "'archdoesnotexist'",
        "compatibleArchitecture",
        "Member must satisfy enum value set: [x86_64, arm64]",
        CompatibleArchitecture="archdoesnotexist",
    ),
    typical(
        "ListLayerVersions",
        200,
        {"LayerVersions": [_version(2)], "NextMarker": "<marker>"},
        LayerName="l",
        MaxItems=1,
    ),
    minimal("ListLayerVersions", 200, {"LayerVersions": [_version(2), _version(1, **_MORE)]}, LayerName="l"),
    invalid(
        "ListLayerVersions",
        "'archdoesnotexist'",
        "compatibleArchitecture",
        "Member must satisfy enum value set: [x86_64, arm64]",
        LayerName="l",
        CompatibleArchitecture="archdoesnotexist",
    ),
    wrong("GetLayerVersionPolicy", *_NO_POLICY, LayerName="l", VersionNumber=1),
    typical(
        "AddLayerVersionPermission",
        201,
        {
            "Statement": _text(
                _statement("*", "org", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}})
            ),
            "RevisionId": "<uuid>",
        },
        LayerName="l",
        VersionNumber=1,
        StatementId="org",
        Action="lambda:GetLayerVersion",
        Principal="*",
        OrganizationId="o-abcdefghij",
    ),
    ready("RemoveLayerVersionPermission", 204, None, LayerName="l", VersionNumber=1, StatementId="org"),
    minimal(
        "AddLayerVersionPermission",
        201,
        {"Statement": _text(_statement(_OTHER)), "RevisionId": "<uuid>"},
        LayerName="l",
        VersionNumber=1,
        StatementId="s1",
        Action="lambda:GetLayerVersion",
        Principal="111122223333",
    ),
    wrong(
        "AddLayerVersionPermission",
        409,
        "ResourceConflictException",
        "The statement id (s1) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
        LayerName="l",
        VersionNumber=1,
        StatementId="s1",
        Action="lambda:GetLayerVersion",
        Principal="*",
    ),
    invalid(
        "AddLayerVersionPermission",
        "'*'",
        "action",
        "Member must satisfy regular expression pattern: lambda:GetLayerVersion",
        LayerName="l",
        VersionNumber=1,
        StatementId="s2",
        Action="*",
        Principal="*",
    ),
    typical(
        "GetLayerVersionPolicy",
        200,
        {
            "Policy": _text({"Version": "2012-10-17", "Id": "default", "Statement": [_statement(_OTHER)]}),
            "RevisionId": "<uuid>",
        },
        LayerName=f"{PREFIX}layer:l",
        VersionNumber=1,
    ),
    minimal(
        "GetLayerVersionPolicy",
        200,
        {
            "Policy": _text({"Version": "2012-10-17", "Id": "default", "Statement": [_statement(_OTHER)]}),
            "RevisionId": "<uuid>",
        },
        LayerName="l",
        VersionNumber=1,
    ),
    wrong(
        "RemoveLayerVersionPermission",
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the "
        "latest Revision Id",
        LayerName="l",
        VersionNumber=1,
        StatementId="s1",
        RevisionId="wrong",
    ),
    typical("RemoveLayerVersionPermission", 204, None, LayerName=f"{PREFIX}layer:l", VersionNumber=1, StatementId="s1"),
    ready(
        "AddLayerVersionPermission",
        201,
        {"Statement": _text(_statement("*")), "RevisionId": "<uuid>"},
        LayerName="l",
        VersionNumber=1,
        StatementId="s1",
        Action="lambda:GetLayerVersion",
        Principal="*",
    ),
    minimal("RemoveLayerVersionPermission", 204, None, LayerName="l", VersionNumber=1, StatementId="s1"),
    wrong(
        "RemoveLayerVersionPermission",
        404,
        "ResourceNotFoundException",
        "Statement s1 is not found in resource policy.",
        LayerName="l",
        VersionNumber=1,
        StatementId="s1",
    ),
    typical("DeleteLayerVersion", 204, None, LayerName=f"{PREFIX}layer:l", VersionNumber=1),
    # Silently, as on AWS.
    minimal("DeleteLayerVersion", 204, None, LayerName="l", VersionNumber=1),
    wrong(
        "DeleteLayerVersion",
        400,
        "InvalidParameterValueException",
        "Layer Version Cannot be less than 1",
        LayerName="l",
        VersionNumber=0,
    ),
]
