"""Versions, aliases and layers of a whole server, as boto3 and real functions see them."""

import json
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import ROLE, RUNTIME, Server, package, until

WHO = """
import os
def handler(event, context):
    return [os.environ["AWS_LAMBDA_FUNCTION_VERSION"], os.environ.get("COLOUR"), context.invoked_function_arn]
"""

READS = """
import os, layered
def handler(event, context):
    return [layered.NAME, sorted(os.listdir("/opt")), open("/opt/both").read()]
"""


def layer(server: Server, name: str, files: dict[str, str]) -> str:
    answer = server.functions.publish_layer_version(LayerName=name, Content={"ZipFile": package(files)})
    return answer["LayerVersionArn"]


def update(server: Server, name: str, **changes: Any) -> None:
    server.functions.update_function_configuration(FunctionName=name, **changes)
    server.functions.get_waiter("function_updated_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )


def publish(server: Server, name: str) -> str:
    version = server.functions.publish_version(FunctionName=name)["Version"]
    waiter = server.functions.get_waiter("published_version_active")
    waiter.wait(FunctionName=name, Qualifier=version, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    return version


def call(server: Server, name: str, qualifier: str) -> tuple[str, Any]:
    answer = server.functions.invoke(FunctionName=name, Qualifier=qualifier)
    return answer["ExecutedVersion"], json.loads(answer["Payload"].read())


def test_a_version_keeps_its_code_and_its_environment_while_latest_goes_on(server: Server) -> None:
    name = server.deploy("versioned", WHO, Environment={"Variables": {"COLOUR": "red"}})
    assert publish(server, name) == "1"
    update(server, name, Environment={"Variables": {"COLOUR": "blue"}})
    assert publish(server, name) == "2"
    arn = "arn:aws:lambda:us-east-1:000000000000:function:versioned"
    assert [call(server, name, qualifier) for qualifier in ("1", "2", "$LATEST", "1")] == [
        ("1", ["1", "red", f"{arn}:1"]),
        ("2", ["2", "blue", f"{arn}:2"]),
        ("$LATEST", ["$LATEST", "blue", f"{arn}:$LATEST"]),
        ("1", ["1", "red", f"{arn}:1"]),
    ]


def test_an_alias_shares_its_invocations_out_and_keeps_its_own_arn(server: Server) -> None:
    name = server.deploy("shared-out", WHO)
    publish(server, name)
    update(server, name, Environment={"Variables": {"COLOUR": "green"}})
    publish(server, name)
    routing: Any = {"AdditionalVersionWeights": {"2": 0.5}}
    server.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=routing)
    answers = [call(server, f"{name}:live", "live") for _ in range(60)]
    assert {payload[2] for _, payload in answers} == {"arn:aws:lambda:us-east-1:000000000000:function:shared-out:live"}
    assert all(version == payload[0] for version, payload in answers)
    # Each has half: fewer than 10 of 60 would be a chance of one in ten million.
    assert all(share >= 10 for share in Counter(version for version, _ in answers).values())
    server.functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={})
    assert [call(server, name, "live")[0] for _ in range(10)] == ["2"] * 10


def test_a_function_published_with_its_creation_runs_as_version_one(server: Server) -> None:
    answer = server.functions.create_function(
        FunctionName="at-once",
        Runtime=RUNTIME,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": package(WHO)},
        Publish=True,
    )
    arn = "arn:aws:lambda:us-east-1:000000000000:function:at-once:1"
    assert (answer["Version"], answer["FunctionArn"], answer["State"]) == ("1", arn, "Pending")
    waiter = server.functions.get_waiter("published_version_active")
    waiter.wait(FunctionName="at-once", Qualifier="1", WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    assert call(server, "at-once", "1") == ("1", ["1", None, arn])


def test_layers_are_laid_over_each_other_at_opt_and_python_finds_what_they_bring(server: Server) -> None:
    under = layer(server, "under", {"python/layered.py": "NAME = 'under'", "both": "under", "lib/under": ""})
    over = layer(
        server,
        "over",
        {f"python/lib/python3.{sys.version_info.minor}/site-packages/layered.py": "NAME = 'over'", "both": "over"},
    )
    name = server.deploy("layered", READS, Layers=[under, over])
    assert server.invoke(name).payload == ["over", ["both", "lib", "python"], "over"]
    update(server, name, Layers=[over, under])
    assert server.invoke(name).payload == ["over", ["both", "lib", "python"], "under"]
    update(server, name, Layers=[under])
    assert server.invoke(name).payload == ["under", ["both", "lib", "python"], "under"]


def test_a_version_goes_on_with_a_layer_that_is_deleted(server: Server) -> None:
    arn = layer(server, "doomed", {"python/layered.py": "NAME = 'doomed'", "both": "here"})
    name = server.deploy("keeps-its-layer", READS, Layers=[arn])
    publish(server, name)
    server.functions.delete_layer_version(LayerName="doomed", VersionNumber=1)
    update(server, name, Layers=[])
    assert server.invoke(name).error == "Unhandled"
    assert call(server, name, "1") == ("1", ["doomed", ["both", "python"], "here"])


def test_a_layer_is_read_only(server: Server) -> None:
    arn = layer(server, "fixed", {"both": "here"})
    code = "def handler(event, context):\n    open('/opt/both', 'w')\n"
    answer = server.invoke(server.deploy("writes-to-opt", code, Layers=[arn]))
    assert (answer.error, answer.payload["errorType"]) == ("Unhandled", "OSError")
    assert "Read-only file system" in answer.payload["errorMessage"]


def test_the_package_of_a_layer_can_be_fetched(server: Server) -> None:
    sent = package({"a": "b"})
    published = server.functions.publish_layer_version(LayerName="fetched", Content={"ZipFile": sent})
    shown = server.functions.get_layer_version_by_arn(Arn=published["LayerVersionArn"])
    with urllib.request.urlopen(shown["Content"]["Location"]) as response:
        assert response.read() == sent


def test_everything_is_there_again_after_the_server_was_killed(fresh: Server) -> None:
    fresh.start()
    arn = layer(fresh, "kept", {"python/layered.py": "NAME = 'kept'", "both": "1"})
    second = layer(fresh, "kept-too", {"second": ""})
    name = fresh.deploy("kept", READS, Layers=[arn, second])
    publish(fresh, name)
    fresh.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    fresh.stop(9)
    fresh.start()
    assert call(fresh, name, "live") == ("1", ["kept", ["both", "python", "second"], "1"])
    with pytest.raises(ClientError) as refused:
        fresh.functions.delete_function(FunctionName=name, Qualifier="1")
    assert refused.value.response["Error"]["Code"] == "ResourceConflictException"


def test_what_nothing_needs_any_more_leaves_the_disk(fresh: Server) -> None:
    fresh.start()
    layers = [layer(fresh, f"l{number}", {str(number): ""}) for number in range(2)]
    name = fresh.deploy("gone", WHO, Layers=layers)
    publish(fresh, name)
    call(fresh, name, "1")
    merged = fresh.data / "packages" / "merged"
    assert len(list(merged.iterdir())) == 1
    fresh.functions.delete_function(FunctionName=name)
    for number in range(2):
        fresh.functions.delete_layer_version(LayerName=f"l{number}", VersionNumber=1)
    until(lambda: [path.name for path in (fresh.data / "packages").iterdir()] == ["merged"])
    until(lambda: not list(merged.iterdir()))
    until(lambda: not list((fresh.data / "blobs").glob("??/??/*")))


def test_without_mounts_python_finds_what_layers_bring_all_the_same(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--isolation", "process").start()
    try:
        layers = [layer(server, name, {"python/layered.py": f"NAME = {name!r}"}) for name in ("under", "over")]
        code = "import layered\ndef handler(event, context):\n    return layered.NAME\n"
        assert server.invoke(server.deploy("mountless", code, Layers=layers)).payload == "over"
    finally:
        server.stop()


def test_a_qualifier_is_taken_in_every_form_of_name(server: Server) -> None:
    name = server.deploy("in-every-form", WHO)
    publish(server, name)
    server.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}:live"
    forms = [f"{name}:live", f"000000000000:function:{name}:live", f"function:{name}:live", arn]
    answers = [server.functions.invoke(FunctionName=form) for form in forms]
    assert [(a["ExecutedVersion"], json.loads(a["Payload"].read())[2]) for a in answers] == [("1", arn)] * 4
    assert server.functions.get_function_configuration(FunctionName=arn)["FunctionArn"] == arn


def test_a_layer_is_taken_by_name_and_by_arn(server: Server) -> None:
    arn = layer(server, "by-any-name", {"a": ""}).rpartition(":")[0]
    by_name = server.functions.get_layer_version(LayerName="by-any-name", VersionNumber=1)
    by_arn = server.functions.get_layer_version(LayerName=arn, VersionNumber=1)
    assert (by_name["LayerVersionArn"], by_arn["LayerVersionArn"]) == (f"{arn}:1", f"{arn}:1")
    listed = server.functions.list_layer_versions(LayerName=arn)["LayerVersions"]
    assert [version["LayerVersionArn"] for version in listed] == [f"{arn}:1"]


def test_weights_over_one_are_refused_in_awss_words(server: Server) -> None:
    name = server.deploy("weights", WHO)
    with pytest.raises(ClientError) as refused:
        server.functions.create_alias(
            FunctionName=name,
            Name="live",
            FunctionVersion="$LATEST",
            RoutingConfig={"AdditionalVersionWeights": {"2": 2.0}},
        )
    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": (
            "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed "
            "to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to "
            "1.0, Member must have value greater than or equal to 0.0, Member must not be null]"
        ),
    }
