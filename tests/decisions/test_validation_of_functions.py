"""Which configurations are legal, and what is said of the others."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.errors import ApiError, InvalidParameterValue, NotBuiltYet
from pasture.domain.function import Code, FunctionVersion, LoggingConfig
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.validation import Ground, check_code, check_configuration, check_create

GROUND = Ground(Limits(), runtimes=("python3.12", "python3.11"), architecture="x86_64")


def request(**changes: Any) -> dict[str, Any]:
    whole = {
        "FunctionName": "f",
        "Runtime": "python3.12",
        "Handler": "main.handler",
        "Role": "arn:aws:iam::000000000000:role/r",
        "Code": {"ZipFile": b"zip"},
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def version(log_format: str = "Text") -> FunctionVersion:
    return FunctionVersion(
        Scope(),
        "f",
        "role",
        "python3.12",
        "main.handler",
        Code("00" * 32, 1),
        "r",
        "g",
        0.0,
        LoggingConfig("/g", log_format),
    )


def answer(**changes: Any) -> tuple[type[ApiError], str]:
    with pytest.raises(ApiError) as failure:
        check_create(request(**changes), GROUND)
    return type(failure.value), failure.value.message


def test_a_plain_function_is_legal() -> None:
    check_create(request(), GROUND)


def test_everything_at_its_limit_is_legal() -> None:
    check_create(
        request(
            MemorySize=10_240,
            Timeout=900,
            EphemeralStorage={"Size": 10_240},
            Environment={"Variables": {"A1": "x" * (4096 - len('{"A1":""}'))}},
            LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"},
            Architectures=["x86_64"],
            Tags={str(n): "v" for n in range(50)},
            Layers=[],
        ),
        GROUND,
    )


@pytest.mark.parametrize("missing", ["Runtime", "Handler"])
def test_a_zip_function_needs_runtime_and_handler(missing: str) -> None:
    assert answer(**{missing: None}) == (
        InvalidParameterValue,
        "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    )


# Runtimes...


@pytest.mark.parametrize("runtime", ["non-existent-runtime", "PYTHON3.12"])
def test_an_unknown_runtime_is_answered_with_the_list(runtime: str) -> None:
    error, message = answer(Runtime=runtime)
    assert error is InvalidParameterValue
    assert message.startswith(
        f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        "[nodejs20.x, python3.14, provided.al2023, python3.12, "
    )
    assert message.endswith("] or be a valid ARN")


@pytest.mark.parametrize(
    "runtime", ["python3.7", "dotnetcore3.1", "go1.x", "java8", "nodejs14.x", "provided", "ruby2.7"]
)
def test_a_retired_runtime_is_no_longer_supported(runtime: str) -> None:
    assert answer(Runtime=runtime) == (
        InvalidParameterValue,
        (
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        ),
    )


@pytest.mark.parametrize("runtime", ["nodejs24.x", "python3.14", "provided.al2023", "custom"])
def test_a_runtime_of_aws_that_is_not_here_is_named_with_those_that_are(runtime: str) -> None:
    assert answer(Runtime=runtime) == (
        InvalidParameterValue,
        (
            f"The runtime {runtime} is valid on AWS and cannot be run by Pasture on this machine. "
            f"Runtimes here: [python3.11, python3.12]. `pasture runtimes install {runtime}` says what it needs."
        ),
    )


# Quotas...


def test_memory_has_a_quota_below_the_models_maximum() -> None:
    assert answer(MemorySize=10_241) == (
        InvalidParameterValue,
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
    )


def test_a_function_runs_for_at_most_fifteen_minutes() -> None:
    assert answer(Timeout=901) == (
        InvalidParameterValue,
        (
            "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
            "Member must have value less than or equal to 900"
        ),
    )


def test_ephemeral_storage_has_a_quota_below_the_models_maximum() -> None:
    assert answer(EphemeralStorage={"Size": 10_241}) == (
        InvalidParameterValue,
        (
            "1 validation error detected: Value '10241' at 'ephemeralStorage.size' failed to satisfy constraint: "
            "Member must have value less than or equal to 10240"
        ),
    )


def test_a_function_has_at_most_fifty_tags() -> None:
    assert answer(Tags={str(n): "v" for n in range(51)}) == (
        InvalidParameterValue,
        "Number of tags exceeds resource tag limit.",
    )


# The environment...


def test_the_environment_is_measured_as_compact_json() -> None:
    variables = {"SMALL_VAR": "ok", "LARGE_VAR": "x" * 4070}
    assert answer(Environment={"Variables": variables}) == (
        InvalidParameterValue,
        (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f'provided exceeded the 4KB limit. String measured: {{"SMALL_VAR":"ok","LARGE_VAR":"{"x" * 4070}"}}'
        ),
    )


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=2_000)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]+", fullmatch=True), texts, max_size=8))
def test_an_environment_is_legal_exactly_when_its_json_has_at_most_4096_bytes(variables: dict[str, str]) -> None:
    size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
    try:
        check_create(request(Environment={"Variables": variables}), GROUND)
    except InvalidParameterValue:
        assert size > 4096
    else:
        assert size <= 4096


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_value_that_no_process_can_be_given_is_refused(value: str) -> None:
    assert answer(Environment={"Variables": {"FINE": "1", "BAD": value}}) == (
        InvalidParameterValue,
        (
            "Lambda was unable to configure your environment variables because a process cannot be given the value of BAD: "
            "it has a NUL character or is not valid Unicode."
        ),
    )


def test_reserved_variables_are_named() -> None:
    assert answer(Environment={"Variables": {"AWS_REGION": "mars", "FINE": "1", "LAMBDA_TASK_ROOT": "/"}}) == (
        InvalidParameterValue,
        (
            "Lambda was unable to configure your environment variables because the environment variables you have provided "
            "contains reserved keys that are currently not supported for modification. "
            "Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT"
        ),
    )


def test_variables_that_have_defaults_may_be_set() -> None:
    check_create(request(Environment={"Variables": {"PATH": "/bin", "TZ": "CET", "PYTHONPATH": "/x"}}), GROUND)


# Logging...


@pytest.mark.parametrize("log_format", [{}, {"LogFormat": "Text"}])
def test_log_levels_come_with_json_only(log_format: dict[str, str]) -> None:
    assert answer(LoggingConfig={"SystemLogLevel": "WARN", **log_format}) == (
        InvalidParameterValue,
        (
            "ApplicationLogLevel and SystemLogLevel can only be set when the LogFormat is JSON. "
            "Set LogFormat to JSON or leave the levels out."
        ),
    )


def test_an_update_may_set_a_level_alone_when_the_function_logs_json_already() -> None:
    check_configuration({"LoggingConfig": {"SystemLogLevel": "WARN"}}, version("JSON"), GROUND)
    with pytest.raises(InvalidParameterValue):
        check_configuration({"LoggingConfig": {"SystemLogLevel": "WARN"}}, version("Text"), GROUND)


# Code...


def test_code_needs_a_source() -> None:
    assert answer(Code={}) == (InvalidParameterValue, "Please provide a source for function code.")


def test_code_has_one_source() -> None:
    assert answer(Code={"ZipFile": b"", "S3Bucket": "b", "S3Key": "k"}) == (
        InvalidParameterValue,
        "Please do not provide other FunctionCode parameters when providing a ZipFile.",
    )


def test_an_image_is_no_code_of_a_zip_function() -> None:
    with pytest.raises(InvalidParameterValue) as failure:
        check_code({"ImageUri": "x"}, version(), GROUND)
    assert failure.value.message == "Please don't provide ImageUri when updating a function with packageType Zip."


def test_another_architecture_than_the_machines_is_refused() -> None:
    assert answer(Architectures=["arm64"]) == (
        InvalidParameterValue,
        (
            "Functions for arm64 cannot be run here: this machine runs x86_64. Set Architectures to [x86_64], or "
            "install Debian's package qemu-user-static, which runs programs for arm64."
        ),
    )


EMULATING = dataclasses.replace(GROUND, runtimes=("python3.12", "provided.al2023"), emulated=("provided.al2023",))


def test_an_emulator_makes_the_other_architecture_legal_for_what_it_can_run() -> None:
    check_create(request(Architectures=["arm64"], Runtime="provided.al2023"), EMULATING)
    with pytest.raises(InvalidParameterValue) as failure:
        check_create(request(Architectures=["arm64"]), EMULATING)
    assert failure.value.message == (
        "Functions of python3.12 for arm64 cannot be run here: this machine runs x86_64, and emulates provided.al2023. "
        "Set Architectures to [x86_64]."
    )


def test_an_emulated_function_gets_no_runtime_that_cannot_be_emulated() -> None:
    current = dataclasses.replace(version(), runtime="provided.al2023", architectures=("arm64",))
    check_configuration({"Timeout": 4}, current, EMULATING)
    with pytest.raises(InvalidParameterValue, match=r"Functions of python3\.12 for arm64 cannot be run here"):
        check_configuration({"Runtime": "python3.12"}, current, EMULATING)


# What is not built...


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"Code": {"S3Bucket": "b", "S3Key": "k", "S3ObjectStorageMode": "REFERENCE"}}, "REFERENCE"),
        ({"PublishTo": "LATEST_PUBLISHED"}, "PublishTo"),
        ({"DurableConfig": {"ExecutionTimeout": 1}}, "DurableConfig"),
    ],
)
def test_what_is_not_built_is_named(changes: dict[str, Any], named: str) -> None:
    error, message = answer(**changes)
    assert error is NotBuiltYet
    assert named in message
