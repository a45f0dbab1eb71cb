"""SnapStart through boto3: versions that are initialised when they are published, and restored when they are called."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pasture.runtimes.kinds.python import PythonFamily
from pasture.settings import default_runtimes_dir
from system.node import Server, until
from system.test_survival import runtimes_of

HOOKS = """
import os, time
from snapshot_restore_py import register_after_restore, register_before_snapshot
SEEN = ["init " + os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]]

@register_before_snapshot
def before():
    SEEN.append("before snapshot")

@register_after_restore
def after():
    SEEN.append("after restore")

def handler(event, context):
    return [*SEEN, os.getpid(), os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]]
"""


@pytest.fixture(scope="module")
def runtime() -> str:
    found = PythonFamily(default_runtimes_dir() / "python").interpreters()
    usable = [identifier for identifier in found if identifier not in {"python3.10", "python3.11"}]
    if not usable:
        pytest.skip("SnapStart is for python3.12 and newer, of which there is none here")
    return usable[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("snap-start") / "data").start()
    yield server
    server.stop()


def published(server: Server, name: str, code: str, runtime: str, **more: object) -> str:
    server.deploy(name, code, Runtime=runtime, SnapStart={"ApplyOn": "PublishedVersions"}, **more)
    version: str = server.functions.publish_version(FunctionName=name)["Version"]
    return version


def settled(server: Server, name: str, version: str) -> dict[str, object]:
    client = server.functions
    until(lambda: client.get_function_configuration(FunctionName=name, Qualifier=version)["State"] != "Pending", 60)
    return dict(client.get_function_configuration(FunctionName=name, Qualifier=version))


def test_a_version_is_initialised_when_it_is_published_and_restored_when_it_is_called(
    server: Server, runtime: str
) -> None:
    version = published(server, "hooks", HOOKS, runtime)
    shown = settled(server, "hooks", version)
    assert shown["State"] == "Active"
    assert shown["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    group = "/aws/lambda/hooks"
    before = [line.split()[0] for line in server.log_lines(group)]
    assert before == ["INIT_START", "INIT_REPORT"]

    answer = server.invoke("hooks", Qualifier=version, LogType="Tail")
    assert answer.payload[:3] == ["init snap-start", "before snapshot", "after restore"]
    lines = server.log_lines(group)
    assert [line.split()[0] for line in lines[:6]] == [*before, "RESTORE_START", "RESTORE_REPORT", "START", "END"]
    assert re.search(r"Restore Duration: [\d.]+ ms\tBilled Restore Duration: \d+ ms", lines[6])
    assert "Init Duration" not in lines[6]
    # Warm, it is no more restored.
    assert server.invoke("hooks", Qualifier=version).payload == answer.payload


def test_the_next_environment_is_restored_from_the_next_snapshot(server: Server, runtime: str) -> None:
    slow = HOOKS.replace("    return [", "    time.sleep(event or 0)\n    return [")
    version = published(server, "many", slow, runtime)
    settled(server, "many", version)
    server.invoke("many", Qualifier=version)
    until(lambda: sum(line.startswith("INIT_REPORT") for line in server.log_lines("/aws/lambda/many")) == 2)


def test_latest_knows_nothing_of_it(server: Server, runtime: str) -> None:
    server.deploy("latest", HOOKS, Runtime=runtime, SnapStart={"ApplyOn": "PublishedVersions"})
    shown = server.functions.get_function_configuration(FunctionName="latest")["SnapStart"]
    assert shown == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert server.invoke("latest").payload[:2] == ["init on-demand", server.invoke("latest").payload[1]]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('broken')", "FunctionError.RuntimeInitError"),
        (HOOKS + "\n@register_before_snapshot\ndef bad(): raise KeyError('x')", "FunctionError.RuntimeInitError"),
    ],
)
def test_a_version_that_cannot_be_initialised_fails(server: Server, runtime: str, code: str, reason: str) -> None:
    name = f"broken-{abs(hash(code)) % 10_000}"
    version = published(server, name, code, runtime)
    shown = settled(server, name, version)
    assert (shown["State"], shown["StateReasonCode"]) == ("Failed", reason)


def test_a_hook_that_fails_after_the_restore_fails_the_invocation(server: Server, runtime: str) -> None:
    version = published(server, "after", HOOKS + "\n@register_after_restore\ndef bad(): raise KeyError('x')", runtime)
    assert settled(server, "after", version)["State"] == "Active"
    answer = server.invoke("after", Qualifier=version)
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "KeyError"


def test_runtimes_without_it_are_refused_as_on_aws(server: Server) -> None:
    with pytest.raises(ClientError) as refused:
        server.deploy("old", HOOKS, Runtime="python3.11", SnapStart={"ApplyOn": "PublishedVersions"})
    assert refused.value.response["Error"]["Message"] == "python3.11 is not supported for SnapStart enabled functions."


def test_a_deleted_version_leaves_no_snapshot(server: Server, runtime: str, tmp_path: Path) -> None:
    with_own = Server(tmp_path / "data").start()
    try:
        version = published(with_own, "gone", HOOKS, runtime)
        settled(with_own, "gone", version)
        assert len(runtimes_of(with_own)) == 1
        with_own.functions.delete_function(FunctionName="gone")
        until(lambda: not runtimes_of(with_own))
    finally:
        assert with_own.stop() == 0
