"""Functions that bring their runtime: where its bootstrap is looked for, and what is said when it cannot be run."""

from typing import Any

import pytest

from system.node import ROLE, Server
from system.runtime_kinds import zipped

ECHO = b"""#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  id=$(curl -s -o /dev/null -D - "$api/next" | sed -n 's/^Lambda-Runtime-Aws-Request-Id: *\\([^\\r]*\\).*/\\1/Ip')
  curl -s -o /dev/null "$api/$id/response" -d "\\"$0\\""
done
"""


def deployed(server: Server, name: str, package: bytes, **more: Any) -> str:
    options: dict[str, Any] = {"Runtime": "provided.al2023", "Handler": "any", "Role": ROLE, **more}
    server.functions.create_function(FunctionName=name, Code={"ZipFile": package}, **options)
    waiter = server.functions.get_waiter("function_active_v2")
    waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    return name


def layer_with(server: Server, name: str, files: dict[str, bytes]) -> str:
    published = server.functions.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(files)})
    return published["LayerVersionArn"]


def test_a_bootstrap_of_a_layer_is_used_when_the_package_has_none(server: Server) -> None:
    layer = layer_with(server, "a-runtime", {"bootstrap": ECHO})
    name = deployed(server, "runtime-of-a-layer", zipped({"data": b""}), Layers=[layer])
    assert server.invoke(name).payload == "/opt/bootstrap"


def test_the_packages_bootstrap_comes_before_a_layers(server: Server) -> None:
    layer = layer_with(server, "another-runtime", {"bootstrap": ECHO})
    name = deployed(server, "runtime-of-its-own", zipped({"bootstrap": ECHO}), Layers=[layer], Runtime="provided.al2")
    assert server.invoke(name).payload == "/var/task/bootstrap"


@pytest.mark.parametrize("what", ["nothing", "a-directory"])
def test_without_a_bootstrap_the_error_names_where_it_was_looked_for(server: Server, what: str) -> None:
    files = {"nothing": {"readme": b""}, "a-directory": {"bootstrap/readme": b""}}
    answer = server.invoke(deployed(server, f"bootstrap-is-{what}", zipped(files[what])))
    assert (answer.error, answer.payload) == (
        "Unhandled",
        {
            "errorType": "Runtime.InvalidEntrypoint",
            "errorMessage": (
                f"RequestId: {answer.request_id} Error: "
                "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
            ),
        },
    )


@pytest.mark.parametrize(
    ("name", "content", "mode", "reason"),
    [
        ("not-executable", ECHO, 0o644, "permission denied"),
        ("without-its-interpreter", b"#!/nowhere/sh\n", 0o755, "no such file or directory"),
        ("of-another-machine", b"\x7fELF nonsense", 0o755, "exec format error"),
    ],
)
def test_a_bootstrap_that_cannot_be_executed_is_an_invalid_entrypoint_in_the_kernels_words(
    server: Server, name: str, content: bytes, mode: int, reason: str
) -> None:
    answer = server.invoke(deployed(server, f"bootstrap-{name}", zipped({"bootstrap": content}, mode)))
    assert (answer.error, answer.payload) == (
        "Unhandled",
        {
            "errorType": "Runtime.InvalidEntrypoint",
            "errorMessage": f"RequestId: {answer.request_id} Error: fork/exec /var/task/bootstrap: {reason}",
        },
    )


def test_the_log_names_the_operating_system_as_the_runtimes_version(server: Server) -> None:
    name = deployed(server, "provided-version", zipped({"bootstrap": ECHO}))
    server.invoke(name)
    start = server.log_lines(f"/aws/lambda/{name}")[0]
    assert start.startswith("INIT_START Runtime Version: provided:al2023\tRuntime Version ARN: arn:aws:lambda:")


@pytest.mark.parametrize("runtime", ["dotnet8", "dotnet10"])
def test_a_runtime_that_is_not_built_is_refused_with_those_that_are(server: Server, runtime: str) -> None:
    with pytest.raises(server.functions.exceptions.InvalidParameterValueException) as refused:
        deployed(server, f"on-{runtime}", zipped({"any": b""}), Runtime=runtime)
    message = refused.value.response["Error"]["Message"]
    assert message.startswith(f"The runtime {runtime} is valid on AWS and cannot be run by Pasture on this machine. ")
    assert message.endswith(f"`pasture runtimes install {runtime}` says what it needs.")
