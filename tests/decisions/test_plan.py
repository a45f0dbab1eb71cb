"""What of a function version goes into its sandbox."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.functions import a_plan, a_runtime, a_version
from pasture.domain.function import LoggingConfig
from pasture.domain.limits import MIB, Limits
from pasture.domain.scope import Scope
from pasture.environments.plan import Plan, command, make_plan, variables
from pasture.isolation.spec import Mount, SandboxSpec

API = "169.254.100.1:9001"


def inside(path: str) -> str:
    return path


def on_the_host(path: str) -> str:
    """As a kind of isolation that mounts nothing says where things are."""
    places = {"/var/task": "/code/f", "/var/runtime": "/cache/runtime"}
    for target, place in places.items():
        if path == target or path.startswith(f"{target}/"):
            return place + path[len(target) :]
    return path


def test_a_sandbox_has_the_functions_memory_and_tmp_and_the_code_at_var_task() -> None:
    version = a_version(memory_mb=256, ephemeral_mb=1024)
    assert a_plan(version, "e7", Limits(open_files=64, processes=32)).sandbox == SandboxSpec(
        id="e7",
        mounts=(Mount(Path("/code/f"), "/var/task"), Mount(Path("/opt/runtimes/python3.12"), "/var/runtime")),
        memory_bytes=256 * MIB,
        tmp_bytes=1024 * MIB,
        cpus=2.0,
        open_files=64,
        processes=32,
    )


@pytest.mark.parametrize(("memory_mb", "init", "then"), [(128, 2.0, 128 / 1_769), (1_769, 2.0, 1.0), (7_076, 4.0, 4.0)])
def test_processors_come_with_memory_and_an_init_may_use_two(memory_mb: int, init: float, then: float) -> None:
    plan = a_plan(a_version(memory_mb=memory_mb))
    assert (plan.sandbox.cpus, plan.cpus) == (init, then)


def test_a_runtime_finds_the_variables_that_aws_defines() -> None:
    version = a_version(environment={"TABLE": "t"}, memory_mb=512, scope=Scope("123456789012", "eu-west-1"))
    assert variables(a_plan(version), API, inside) == {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "PYTHONPATH": "/var/runtime",
        "TABLE": "t",
        "_HANDLER": "app.handler",
        "_LAMBDA_TELEMETRY_LOG_FD": "3",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/23/[$LATEST]abc",
        "AWS_LAMBDA_RUNTIME_API": API,
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
    }


def test_where_nothing_is_mounted_paths_are_those_of_the_host() -> None:
    found = variables(a_plan(), API, on_the_host)
    assert (found["LAMBDA_TASK_ROOT"], found["PYTHONPATH"], found["LD_LIBRARY_PATH"], found["TZ"]) == (
        "/code/f",
        "/cache/runtime",
        "/lib64:/usr/lib64:/cache/runtime:/cache/runtime/lib:/code/f:/code/f/lib:/opt/lib",
        ":UTC",
    )


def test_a_function_may_override_the_defaults() -> None:
    found = variables(a_plan(a_version(environment={"TZ": "CET", "PYTHONPATH": "/var/task/x"})), API, on_the_host)
    assert (found["TZ"], found["PYTHONPATH"]) == ("CET", "/var/task/x")


def test_logging_as_json_is_told_with_its_level() -> None:
    logging = LoggingConfig("/g", format="JSON", application_level="DEBUG", system_level="WARN")
    found = variables(a_plan(a_version(logging=logging)), API, inside)
    assert (found["AWS_LAMBDA_LOG_FORMAT"], found["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "DEBUG")


RESERVED = {
    name: value
    for name, value in variables(a_plan(), API, inside).items()
    if name.startswith(("AWS_LAMBDA_", "_", "LAMBDA_"))
}


@given(st.dictionaries(st.one_of(st.sampled_from(sorted(RESERVED)), st.text("ABC_", min_size=1)), st.text()))
def test_no_variable_of_the_users_replaces_a_reserved_one_or_begins_with_an_underscore(users: dict[str, str]) -> None:
    found = variables(a_plan(a_version(environment=users)), API, inside)
    assert {name: found[name] for name in RESERVED} == RESERVED
    assert {name for name in found if name.startswith("_")} == {"_HANDLER", "_LAMBDA_TELEMETRY_LOG_FD"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("/var/lang/bin/python3.12", "/var/runtime/bootstrap.py", "app.handler")),
        ({"handler_argument": False}, ("/var/lang/bin/python3.12", "/var/runtime/bootstrap.py")),
    ],
)
def test_the_handler_is_appended_where_the_client_wants_it(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    plan: Plan = make_plan("e1", a_version(), a_runtime(**changes), Path("/code/f"), "s", Limits())
    assert command(plan, inside) == expected
