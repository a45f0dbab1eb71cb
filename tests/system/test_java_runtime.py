"""Handlers of every kind that Java has, and how they fail, in AWS's own words: by AWS's own client."""

from typing import Any

import pytest

from system.node import ROLE, Answer, Server, until
from system.runtime_kinds import JAVA, Kind, zipped


def invoked(server: Server, name: str, handler: str, event: object, kind: Kind = JAVA) -> Answer:
    runtime = kind.runtime()
    identifier: Any = runtime.identifier
    server.functions.create_function(
        FunctionName=name, Runtime=identifier, Handler=handler, Role=ROLE, MemorySize=512, Timeout=20,
        Code={"ZipFile": zipped(kind.files(runtime))},
    )  # fmt: skip
    waiter = server.functions.get_waiter("function_active_v2")
    waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    return server.invoke(name, event)


def test_a_method_may_take_and_give_objects_of_its_own(server: Server) -> None:
    answer = invoked(server, "java-objects", "example.App::calf", {"name": "berta", "legs": 4})
    assert answer.payload == {"name": "berta's calf", "legs": 4}


def test_a_stream_handler_takes_and_gives_bytes(server: Server) -> None:
    assert invoked(server, "java-bytes", "example.App$Backwards", "moo").body == b'"oom"'


@pytest.mark.parametrize(
    ("name", "handler", "words"),
    [
        ("class", "example.Nobody", "Class not found: example.Nobody"),
        ("method", "example.App::nobody", "No public method named nobody with appropriate method signature found"),
    ],
)
def test_what_cannot_be_found_is_named(server: Server, name: str, handler: str, words: str) -> None:
    answer = invoked(server, f"java-no-{name}", handler, {})
    assert (answer.error, answer.payload["errorMessage"].startswith(words)) == ("Unhandled", True)


def test_an_error_has_the_functions_own_lines_as_its_trace(server: Server) -> None:
    answer = invoked(server, "java-error", "example.App", {"do": "fail"})
    assert (answer.payload["errorMessage"], answer.payload["errorType"]) == (
        "boom",
        "java.lang.IllegalArgumentException",
    )
    assert all(line.startswith("example.App.handleRequest(App.java:") for line in answer.payload["stackTrace"])


def test_the_virtual_machine_says_nothing_of_its_options_and_archives(server: Server) -> None:
    invoked(server, "java-quiet", "example.App", {"do": "echo", "value": 1})
    lines = until(lambda: _whole(server.log_lines("/aws/lambda/java-quiet")))
    kinds = [line.split(" ")[0] for line in lines]
    assert kinds == ["INIT_START", "START", "END", "REPORT"]


def test_a_version_with_snapstart_is_initialised_when_it_is_published_and_restored_when_it_is_called(
    server: Server,
) -> None:
    runtime = JAVA.runtime()
    identifier: Any = runtime.identifier
    name = "java-snapstart"
    server.functions.create_function(
        FunctionName=name, Runtime=identifier, Handler="example.App", Role=ROLE, MemorySize=512, Timeout=20,
        Code={"ZipFile": zipped(JAVA.files(runtime))}, SnapStart={"ApplyOn": "PublishedVersions"},
    )  # fmt: skip
    slow: Any = {"Delay": 0, "MaxAttempts": 5000}
    server.functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=slow)
    version = server.functions.publish_version(FunctionName=name)["Version"]
    server.functions.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier=version, WaiterConfig=slow
    )
    answer = server.invoke(name, {"do": "echo", "value": 1}, Qualifier=version)
    assert (answer.error, answer.payload) == (None, 1)
    lines = until(lambda: _whole(server.log_lines(f"/aws/lambda/{name}")))
    assert "Restore Duration:" in lines[-1]


def _whole(lines: list[str]) -> list[str]:
    """The log of an invocation, once it is all there."""
    return lines if any(line.startswith("REPORT ") for line in lines) else []
