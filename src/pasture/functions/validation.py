"""Is this configuration legal, and what does AWS say if not? Pure.

The rules of AWS's business layer, for requests that the generic validator has already let pass: what depends on
several members, on quotas, or on what this machine can run. Words without a source are ours; the others are AWS's as
recorded.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pasture.domain.errors import InvalidParameterValue, NotBuiltYet
from pasture.domain.function import FunctionVersion
from pasture.domain.layer import parse_layer_arn
from pasture.domain.limits import Limits
from pasture.functions import image_validation
from pasture.functions.image_validation import IMAGE
from pasture.runtimes import identifiers

Request = Mapping[str, Any]

TAGS_MAX = 50

RESERVED_VARIABLES = frozenset((
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
))  # fmt: skip

# Members that change what a function is: taking them and not acting on them would be a lie.
_NOT_BUILT = (
    "CapacityProviderConfig", "DurableConfig", "RuntimeConfig", "AcceleratorConfig", "PublishTo",
)  # fmt: skip
# Of AWS's runtimes; here, Python's and Java's can be initialised ahead.
_WITH_SNAP_START = frozenset(
    {"python3.12", "python3.13", "python3.14", "java11", "java17", "java21", "java25", "dotnet8", "dotnet10"}
)
_SNAP_START_EPHEMERAL_MB = 512
_DEAD_LETTER = re.compile(r"arn:aws[a-z-]*:(sqs|sns):[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+")
_S3_CODE = ("S3Bucket", "S3Key", "S3ObjectVersion", "S3ObjectStorageMode")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a configuration is judged by beside itself."""

    limits: Limits
    runtimes: Collection[str]
    """The identifiers that this machine has an interpreter for."""
    architecture: str
    """This machine's, in AWS's word: `x86_64` or `arm64`."""
    emulated: Collection[str] = ()
    """The identifiers that an emulator can run for the other architecture; none where there is no emulator."""
    no_images: str = ""
    """Why container images cannot be run here; empty where they can."""


def check_create(request: Request, ground: Ground) -> None:
    is_image = request.get("PackageType", "Zip") == IMAGE
    if not is_image and (not request.get("Runtime") or not request.get("Handler")):
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    check_tags(request.get("Tags") or {})
    _check_members(request, "creating", ground, is_image=is_image)
    _check_log_levels(request.get("LoggingConfig") or {}, "Text")
    _check_source(request["Code"], "creating", ground, is_image=is_image)
    _check_architecture(request.get("Architectures"), request.get("Runtime") or "", ground)


def check_configuration(request: Request, current: FunctionVersion, ground: Ground) -> None:
    """Of UpdateFunctionConfiguration."""
    if request.get("Handler") == "" and not current.is_image:
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    _check_members(request, "updating", ground, is_image=current.is_image)
    _check_log_levels(request.get("LoggingConfig") or {}, current.logging.format)
    if request.get("Runtime"):
        _check_architecture(current.architectures, request["Runtime"], ground)


def check_code(request: Request, current: FunctionVersion, ground: Ground) -> None:
    """Of UpdateFunctionCode."""
    _check_built(request)
    _check_source(request, "updating", ground, is_image=current.is_image)
    _check_architecture(request.get("Architectures"), current.runtime, ground)


def check_publish(request: Request) -> None:
    """Of PublishVersion."""
    _check_built(request)


def check_snap_start(version: FunctionVersion) -> None:
    """Of a function as it will be."""
    if version.more.get("SnapStart", {}).get("ApplyOn") != "PublishedVersions":
        return
    if version.is_image:
        raise NotBuiltYet("SnapStart for functions of PackageType Image is not built in Pasture yet. Leave it out.")
    if version.runtime not in _WITH_SNAP_START:
        raise InvalidParameterValue(f"{version.runtime} is not supported for SnapStart enabled functions.")
    if version.ephemeral_mb > _SNAP_START_EPHEMERAL_MB:
        raise InvalidParameterValue(
            "SnapStart is not supported for functions with more than 512 MB of ephemeral storage."
        )
    if version.more.get("FileSystemConfigs"):
        raise InvalidParameterValue("SnapStart is not supported for functions with a file system.")
    if version.keeps_tenants_apart:
        raise InvalidParameterValue("SnapStart is not supported for functions with tenancy configuration.")


def check_dead_letter(arn: str) -> None:
    """Empty takes the queue away. Only what AWS says of an ARN that is none is known, and that in part."""
    if arn and not _DEAD_LETTER.fullmatch(arn):
        raise InvalidParameterValue(
            f"Invalid dead letter ARN: {arn}. It must be the ARN of a standard SQS queue or SNS topic."
        )


def check_layer_content(content: Request) -> None:
    """Of PublishLayerVersion."""
    has_zip = content.get("ZipFile") is not None
    has_s3 = any(member in content for member in _S3_CODE)
    if has_zip and has_s3:
        raise InvalidParameterValue("Please do not provide other LayerContent parameters when providing a ZipFile.")
    if not has_zip and not _is_in_s3(content):
        raise InvalidParameterValue("Please provide a source for layer content.")


def _check_members(request: Request, doing: str, ground: Ground, *, is_image: bool) -> None:
    """What creating and updating have in common."""
    _check_built(request)
    check_dead_letter((request.get("DeadLetterConfig") or {}).get("TargetArn") or "")
    if is_image:
        image_validation.check_members(request)
    elif request.get("ImageConfig"):
        raise InvalidParameterValue(f"Please don't provide ImageConfig when {doing} a function with packageType Zip.")
    if "Runtime" in request and not is_image:
        _check_runtime(request["Runtime"], ground.runtimes)
    _check_quotas(request, ground.limits)
    _check_environment((request.get("Environment") or {}).get("Variables") or {}, ground.limits)


def _check_built(request: Request) -> None:
    for member in _NOT_BUILT:
        if request.get(member):
            raise NotBuiltYet(f"{member} is not built in Pasture yet. Leave it out of the request.")


def _check_runtime(runtime: str, here: Collection[str]) -> None:
    if runtime in here:
        return
    if runtime in identifiers.RETIRED:
        raise InvalidParameterValue(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
    if runtime in identifiers.ACCEPTED or runtime == identifiers.CUSTOMER_MANAGED:
        raise InvalidParameterValue(
            f"The runtime {runtime} is valid on AWS and cannot be run by Pasture on this machine. "
            f"Runtimes here: [{', '.join(sorted(here))}]. `pasture runtimes install {runtime}` says what it needs."
        )
    raise InvalidParameterValue(
        f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{', '.join(identifiers.ACCEPTED)}] or be a valid ARN"
    )


def _check_quotas(request: Request, limits: Limits) -> None:
    """The model allows more than the quotas of ordinary functions do."""
    if request.get("MemorySize", 0) > limits.memory_mb_max:
        raise InvalidParameterValue(
            f"'MemorySize' value failed to satisfy constraint: "
            f"Member must have value less than or equal to {limits.memory_mb_max}"
        )
    _check_at_most("timeout", request.get("Timeout", 0), limits.timeout_seconds_max)
    size = (request.get("EphemeralStorage") or {}).get("Size", 0)
    _check_at_most("ephemeralStorage.size", size, limits.ephemeral_mb_max)


def _check_at_most(path: str, value: int, most: int) -> None:
    if value > most:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: "
            f"Member must have value less than or equal to {most}"
        )


def _check_environment(variables: Mapping[str, str], limits: Limits) -> None:
    reserved = [name for name in variables if name in RESERVED_VARIABLES]
    if reserved:
        raise InvalidParameterValue(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    for name, value in variables.items():
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidParameterValue(
                "Lambda was unable to configure your environment variables because a process cannot be given the value "
                f"of {name}: it has a NUL character or is not valid Unicode."
            )
    measured = json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > limits.environment_bytes:
        raise InvalidParameterValue(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {measured}"
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """Of CreateFunction and TagResource: all that the function would have."""
    if len(tags) > TAGS_MAX:
        raise InvalidParameterValue("Number of tags exceeds resource tag limit.")


def check_layers(arns: Sequence[str], limits: Limits) -> None:
    """Of CreateFunction and UpdateFunctionConfiguration, before anything is looked up.

    To AWS the same version twice is two versions of one layer.
    """
    if len(arns) > limits.layers:
        raise InvalidParameterValue(f"Cannot reference more than {limits.layers} layers.")
    layers: dict[str, str] = {}
    for arn in arns:
        layer = arn.rpartition(":")[0] if parse_layer_arn(arn) else arn
        if layer in layers:
            raise InvalidParameterValue(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{layers[layer]} and {arn} are versions of the same layer."
            )
        layers[layer] = arn


def _check_log_levels(logging: Request, current_format: str) -> None:
    has_level = "ApplicationLogLevel" in logging or "SystemLogLevel" in logging
    if has_level and logging.get("LogFormat", current_format) != "JSON":
        raise InvalidParameterValue(
            "ApplicationLogLevel and SystemLogLevel can only be set when the LogFormat is JSON. "
            "Set LogFormat to JSON or leave the levels out."
        )


def _check_source(code: Request, doing: str, ground: Ground, *, is_image: bool) -> None:
    """Exactly one of three."""
    if is_image:
        image_validation.check_source(code, doing)
        if ground.no_images:
            raise InvalidParameterValue(ground.no_images)
        return
    has_zip = code.get("ZipFile") is not None
    has_s3 = any(member in code for member in _S3_CODE)
    if "ImageUri" in code:
        raise InvalidParameterValue(f"Please don't provide ImageUri when {doing} a function with packageType Zip.")
    if has_zip and has_s3:
        raise InvalidParameterValue("Please do not provide other FunctionCode parameters when providing a ZipFile.")
    if not has_zip and not _is_in_s3(code):
        raise InvalidParameterValue("Please provide a source for function code.")


def _is_in_s3(code: Request) -> bool:
    """Bucket and key make an object. A reference to it instead of a copy would have to follow what becomes of it."""
    if code.get("S3ObjectStorageMode", "COPY") != "COPY":
        raise NotBuiltYet("S3ObjectStorageMode REFERENCE is not built in Pasture yet. Use COPY, or leave it out.")
    return "S3Bucket" in code and "S3Key" in code


def _check_architecture(wanted: Collection[str] | None, runtime: str, ground: Ground) -> None:
    """`runtime` is empty of a container image."""
    for architecture in wanted or ():
        if architecture == ground.architecture or runtime in ground.emulated:
            continue
        why, remedy = f"this machine runs {ground.architecture}", f"Set Architectures to [{ground.architecture}]"
        if not ground.emulated:
            remedy += f", or install Debian's package qemu-user-static, which runs programs for {architecture}"
        elif runtime:
            why += f", and emulates {', '.join(ground.emulated)}"
        what = f"Functions of {runtime} for" if ground.emulated and runtime else "Functions for"
        if ground.emulated and not runtime:
            what = "Container images for"
        raise InvalidParameterValue(f"{what} {architecture} cannot be run here: {why}. {remedy}.")
