"""From AWS's request members to a `FunctionVersion`, and from there to what AWS shows. Pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pasture.domain.function import Code, FunctionVersion, LoggingConfig
from pasture.domain.scope import Scope
from pasture.kit.clock import aws_timestamp
from pasture.runtimes.identifiers import runtime_version_arn

Members = Mapping[str, Any]

KEPT = (
    "VpcConfig", "DeadLetterConfig", "FileSystemConfigs", "SnapStart", "SourceKMSKeyArn", "TenancyConfig",
    "ImageConfig",
)  # fmt: skip
"""Members that are kept and shown as they were sent."""

_NO_CODE = Code("", 0)
_DEFAULT_LEVEL = "INFO"

_STATES = (
    "State", "StateReason", "StateReasonCode",
    "LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode", "RuntimeVersionConfig",
)  # fmt: skip


def drafted(request: Members, scope: Scope, name: str, architecture: str) -> FunctionVersion:
    """What CreateFunction asks for. Code, identifiers, time and state are the catalog's to fill in.

    AWS's default architecture is x86_64; here it is the machine's own, which needs no emulator.
    """
    blank = FunctionVersion(
        scope=scope,
        name=name,
        role=request["Role"],
        runtime=request.get("Runtime", ""),
        handler=request.get("Handler", ""),
        code=_NO_CODE,
        revision_id="",
        generation="",
        last_modified=0.0,
        logging=LoggingConfig(group=f"/aws/lambda/{name}"),
        architectures=(architecture,),
        package_type=request.get("PackageType", "Zip"),
    )
    return edited(blank, {**request, **request["Code"]})


def edited(version: FunctionVersion, request: Members) -> FunctionVersion:
    """The version with every member that the request names; what it does not name stays.

    Not its Layers: what they are has to be looked up.
    """
    plain = {
        field: request[member]
        for member, field in (
            ("Role", "role"),
            ("Runtime", "runtime"),
            ("Handler", "handler"),
            ("Description", "description"),
            ("Timeout", "timeout"),
            ("MemorySize", "memory_mb"),
            ("KMSKeyArn", "kms_key_arn"),
        )
        if member in request
    }
    return dataclasses.replace(version, **plain, **_nested(version, request), more=_kept(version.more, request))


def _nested(version: FunctionVersion, request: Members) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if "Environment" in request:
        changed["environment"] = dict(request["Environment"].get("Variables") or {})
    if size := (request.get("EphemeralStorage") or {}).get("Size"):
        changed["ephemeral_mb"] = size
    if mode := (request.get("TracingConfig") or {}).get("Mode"):
        changed["tracing_mode"] = mode
    if architectures := request.get("Architectures"):
        changed["architectures"] = tuple(architectures)
    if logging := request.get("LoggingConfig"):
        changed["logging"] = _logging(version.logging, logging)
    return changed


def _logging(current: LoggingConfig, sent: Members) -> LoggingConfig:
    """Levels exist with JSON only: they come with it and go with it."""
    group, log_format = sent.get("LogGroup", current.group), sent.get("LogFormat", current.format)
    if log_format != "JSON":
        return LoggingConfig(group, log_format)
    return LoggingConfig(
        group,
        log_format,
        sent.get("ApplicationLogLevel", current.application_level or _DEFAULT_LEVEL),
        sent.get("SystemLogLevel", current.system_level or _DEFAULT_LEVEL),
    )


def _kept(more: Members, request: Members) -> dict[str, Any]:
    kept = {**more, **{member: request[member] for member in KEPT if member in request}}
    if not (kept.get("DeadLetterConfig") or {}).get("TargetArn"):
        kept.pop("DeadLetterConfig", None)  # an empty ARN takes the queue away
    return {member: value for member, value in kept.items() if value}


# What AWS shows...


def shown(version: FunctionVersion, *, qualifier: str | None = None, runtime_version: str = "") -> dict[str, Any]:
    """A FunctionConfiguration. With a `qualifier` the ARN carries it."""
    return {
        "FunctionName": version.name,
        "FunctionArn": version.scope.function_arn(version.name, qualifier) if qualifier else version.arn,
        "Role": version.role,
        "CodeSize": version.code.size,
        "Description": version.description,
        "Timeout": version.timeout,
        "MemorySize": version.memory_mb,
        "LastModified": aws_timestamp(version.last_modified),
        "CodeSha256": version.code_sha256,
        "Version": version.version,
        "TracingConfig": {"Mode": version.tracing_mode},
        "RevisionId": version.revision_id,
        "PackageType": version.package_type,
        "Architectures": list(version.architectures),
        "EphemeralStorage": {"Size": version.ephemeral_mb},
        "SnapStart": {
            "ApplyOn": "None",
            **version.more.get("SnapStart", {}),
            "OptimizationStatus": "On" if version.snap_start else "Off",
        },
        "LoggingConfig": _shown_logging(version.logging),
        **_shown_state(version),
        **_shown_if_set(version),
        **({} if version.is_image else _shown_runtime(version, runtime_version)),
    }


def _shown_runtime(version: FunctionVersion, runtime_version: str) -> dict[str, Any]:
    arn = runtime_version_arn(version.scope.region, version.runtime, runtime_version)
    return {
        "Runtime": version.runtime,
        "Handler": version.handler,
        "RuntimeVersionConfig": {"RuntimeVersionArn": arn},
    }


def shown_image(version: FunctionVersion) -> dict[str, str]:
    """What GetFunction shows as the Code of a container image."""
    return {
        "RepositoryType": "ECR",
        "ImageUri": version.more.get("ImageUri", ""),
        "ResolvedImageUri": version.resolved_image_uri,
    }


def listed(version: FunctionVersion, *, qualifier: str | None = None) -> dict[str, Any]:
    """As `shown`, without what lists leave out: states and the runtime's version."""
    return {member: value for member, value in shown(version, qualifier=qualifier).items() if member not in _STATES}


def shown_signature(code: Code) -> dict[str, str]:
    """Of a package, also in what layers show."""
    if code.signature is None:
        return {}
    return {
        "SigningProfileVersionArn": code.signature.profile_version_arn,
        "SigningJobArn": code.signature.job_arn,
    }


def _shown_logging(logging: LoggingConfig) -> dict[str, str]:
    levels = {"ApplicationLogLevel": logging.application_level, "SystemLogLevel": logging.system_level}
    return {
        "LogFormat": logging.format,
        **{member: level for member, level in levels.items() if level},
        "LogGroup": logging.group,
    }


def _shown_state(version: FunctionVersion) -> dict[str, str]:
    states: dict[str, str] = {"State": version.state.value}
    if version.state_reason:
        states |= {"StateReason": version.state_reason.message, "StateReasonCode": version.state_reason.code}
    if version.last_update:
        states["LastUpdateStatus"] = version.last_update.value
    if version.last_update_reason:
        states["LastUpdateStatusReason"] = version.last_update_reason.message
        states["LastUpdateStatusReasonCode"] = version.last_update_reason.code
    return states


def _shown_if_set(version: FunctionVersion) -> dict[str, Any]:
    """AWS omits these when they were never sent, and the environment also shows when it was sent empty."""
    members: dict[str, Any] = {}
    if version.environment is not None:
        members["Environment"] = {"Variables": dict(version.environment)}
    members |= shown_signature(version.code)
    if version.layers:
        members["Layers"] = [
            {"Arn": layer.arn, "CodeSize": layer.code.size, **shown_signature(layer.code)} for layer in version.layers
        ]
    if image_config := version.more.get("ImageConfig"):
        members["ImageConfigResponse"] = {"ImageConfig": image_config}
    if version.kms_key_arn:
        members["KMSKeyArn"] = version.kms_key_arn
    if vpc := version.more.get("VpcConfig"):
        empty = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}
        members["VpcConfig"] = {**empty, **vpc}
    for member in ("DeadLetterConfig", "FileSystemConfigs", "TenancyConfig"):
        if member in version.more:
            members[member] = version.more[member]
    return members
