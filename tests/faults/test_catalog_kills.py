"""A server killed at random points of thousands of writes: what was acknowledged is there, and nothing is half there."""

import base64
import hashlib
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from faults.catalog_model import CODES, Act, Fact, after, next_act, possible
from system.answers.steps import package
from system.keyless import connected
from system.node import ROLE, RUNTIME, Server, until

# The suite's share; PASTURE_KILLS=1000 for a night.
KILLS = int(os.environ.get("PASTURE_KILLS", "8"))
SEED = int(os.environ.get("PASTURE_SEED", str(random.randrange(1_000_000))))
WRITERS = 3

PACKAGES = [package(f"def handler(event, context):\n    return {number}\n") for number in range(CODES)]
LAYERS = [package(f"NUMBER = {number}\n", "python/layered.py") for number in range(CODES)]
DIGESTS = {base64.b64encode(hashlib.sha256(zipped).digest()).decode(): n for n, zipped in enumerate(PACKAGES)}
LAYER_DIGESTS = {base64.b64encode(hashlib.sha256(zipped).digest()).decode(): n for n, zipped in enumerate(LAYERS)}


def done(client: Any, act: Act) -> int | None:
    """Make the call; the number of the version that it made."""
    name, detail = act.name, act.detail
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    calls: dict[str, Callable[[], Any]] = {
        "CreateFunction": lambda: client.create_function(
            FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code={"ZipFile": PACKAGES[detail]}
        ),
        "DeleteFunction": lambda: client.delete_function(FunctionName=name),
        "UpdateFunctionCode": lambda: client.update_function_code(FunctionName=name, ZipFile=PACKAGES[detail]),
        "UpdateFunctionConfiguration": lambda: client.update_function_configuration(
            FunctionName=name, Description=detail
        ),
        "PublishVersion": lambda: client.publish_version(FunctionName=name),
        "DeleteVersion": lambda: client.delete_function(FunctionName=name, Qualifier=str(detail)),
        "CreateAlias": lambda: client.create_alias(FunctionName=name, Name=detail, FunctionVersion=str(act.more)),
        "UpdateAlias": lambda: client.update_alias(FunctionName=name, Name=detail, FunctionVersion=str(act.more)),
        "DeleteAlias": lambda: client.delete_alias(FunctionName=name, Name=detail),
        "AddPermission": lambda: client.add_permission(
            FunctionName=name, StatementId=detail, Action="lambda:InvokeFunction", Principal="*"
        ),
        "RemovePermission": lambda: client.remove_permission(FunctionName=name, StatementId=detail),
        "TagResource": lambda: client.tag_resource(Resource=arn, Tags={"tag": detail}),
        "UntagResource": lambda: client.untag_resource(Resource=arn, TagKeys=["tag"]),
        "PutFunctionConcurrency": lambda: client.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=detail
        ),
        "DeleteFunctionConcurrency": lambda: client.delete_function_concurrency(FunctionName=name),
        "PublishLayerVersion": lambda: client.publish_layer_version(
            LayerName=name, Content={"ZipFile": LAYERS[detail]}
        ),
        "DeleteLayerVersion": lambda: client.delete_layer_version(LayerName=name, VersionNumber=detail),
    }
    answer = calls[act.operation]()
    return int(answer["Version"]) if act.operation in {"PublishVersion", "PublishLayerVersion"} else None


def seen(client: Any, name: str) -> Fact | None:
    """A function as the server shows it; what is half there does not fit."""
    try:
        function = client.get_function(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        return None
    versions = client.list_versions_by_function(FunctionName=name, MaxItems=50)["Versions"]
    aliases = client.list_aliases(FunctionName=name)["Aliases"]
    try:
        policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        policy = {"Statement": []}
    return Fact(
        DIGESTS[function["Configuration"]["CodeSha256"]],
        function["Configuration"]["Description"],
        {int(version["Version"]): DIGESTS[version["CodeSha256"]] for version in versions[1:]},
        {alias["Name"]: int(alias["FunctionVersion"]) for alias in aliases},
        frozenset(statement["Sid"] for statement in policy["Statement"]),
        function.get("Tags", {}),
        function.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
    )


class Writer:
    """The only one who changes its two functions and its layer."""

    def __init__(self, number: int) -> None:
        self._draw = random.Random(f"{SEED}/{number}")
        self.facts: dict[str, Fact | None] = {f"f{number}": None, f"g{number}": None}
        self.layer = f"l{number}"
        self.layers: dict[int, int] = {}
        self.highest: dict[str, int] = dict.fromkeys([*self.facts, self.layer], 0)
        self.in_doubt: Act | None = None
        self.acknowledged = 0
        self.faults: list[str] = []

    def write(self, server: Server) -> None:
        """Until the server is gone."""
        client = connected(server)
        while not self.faults:
            act = self.in_doubt = self._chosen()
            try:
                number = done(client, act)
            except ClientError as error:
                self._refused(act, error)
            except BotoCoreError:
                return
            else:
                self.acknowledged += 1
                self._keep(act, number)
            self.in_doubt = None

    def _chosen(self) -> Act:
        name = self._draw.choice([*self.facts, self.layer])
        if name != self.layer:
            return next_act(name, self.facts[name], self._draw)
        if len(self.layers) > 3:
            return Act("DeleteLayerVersion", name, self._draw.choice([*self.layers]))
        return Act("PublishLayerVersion", name, self._draw.randrange(CODES))

    def _refused(self, act: Act, error: ClientError) -> None:
        """What has not settled yet cannot be changed: nothing else is in a writer's way."""
        if "cannot be performed at this time" not in str(error):
            self.faults.append(f"{act}: {error}")

    def _keep(self, act: Act, number: int | None) -> None:
        if act.name == self.layer:
            self._keep_layer(act, number)
            return
        fact = self.facts[act.name]
        if number is not None and (fact is None or number not in fact.versions):
            self._is_new(act, number)
        self.facts[act.name] = after(fact, act, number)

    def _keep_layer(self, act: Act, number: int | None) -> None:
        if number is None:
            del self.layers[act.detail]
        else:
            self._is_new(act, number)
            self.layers[number] = act.detail

    def _is_new(self, act: Act, number: int) -> None:
        if number <= self.highest[act.name]:
            self.faults.append(f"{act}: number {number} was used before")
        self.highest[act.name] = number

    # After the restart...

    def check(self, client: Any) -> None:
        """What there is is what was acknowledged, or that and the whole of what was not answered."""
        assert self.faults == []
        for name, fact in self.facts.items():
            found = seen(client, name)
            act = self.in_doubt if self.in_doubt and self.in_doubt.name == name else None
            assert found in list(possible(fact, act, found)), (name, fact, act)
            self.facts[name] = found
            self.highest[name] = max([self.highest[name], *(found.versions if found else ())])
            if found is not None:
                assert set(found.aliases.values()) <= set(found.versions)
                self._check_calls(client, name, found)
        self._check_layer(client)
        self.in_doubt = None

    def _check_calls(self, client: Any, name: str, fact: Fact) -> None:
        until(lambda: _is_settled(client, name))
        assert _called(client, name) == fact.code
        if fact.aliases:
            alias, number = self._draw.choice([*fact.aliases.items()])
            until(lambda: _is_settled(client, name, str(number)))
            assert _called(client, f"{name}:{alias}") == fact.versions[number]

    def _check_layer(self, client: Any) -> None:
        listed = client.list_layer_versions(LayerName=self.layer)["LayerVersions"]
        found = {}
        for version in listed:
            whole = client.get_layer_version(LayerName=self.layer, VersionNumber=version["Version"])
            found[version["Version"]] = LAYER_DIGESTS[whole["Content"]["CodeSha256"]]
        act = self.in_doubt if self.in_doubt and self.in_doubt.name == self.layer else None
        missing, more = self.layers.items() - found.items(), found.items() - self.layers.items()
        if act is not None and act.operation == "DeleteLayerVersion":
            missing -= {(act.detail, self.layers[act.detail])}
        if act is not None and act.operation == "PublishLayerVersion" and len(more) == 1:
            more = {(number, code) for number, code in more if code != act.detail}
        assert (missing, more) == (set(), set()), act
        self.layers = found
        self.highest[self.layer] = max([self.highest[self.layer], *found])


def _is_settled(client: Any, name: str, qualifier: str = "$LATEST") -> bool:
    told = client.get_function_configuration(FunctionName=name, Qualifier=qualifier)
    assert told["State"] in {"Pending", "Active"}, told
    return bool(told["State"] == "Active" and told.get("LastUpdateStatus") == "Successful")


def _called(client: Any, name: str) -> Any:
    answer = client.invoke(FunctionName=name)
    return json.loads(answer["Payload"].read())


def needed(writers: list[Writer]) -> set[str]:
    """The packages that something shown refers to."""
    codes = {
        code for w in writers for fact in w.facts.values() if fact for code in (fact.code, *fact.versions.values())
    }
    layers = {code for writer in writers for code in writer.layers.values()}
    zips = [PACKAGES[code] for code in codes] + [LAYERS[code] for code in layers]
    return {hashlib.sha256(zipped).hexdigest() for zipped in zips}


def stored(server: Server) -> set[str]:
    return {path.name for path in (server.data / "blobs").glob("??/??/*")}


def unpacked(server: Server) -> set[str]:
    return {path.name for path in (server.data / "packages").iterdir()} - {"merged"}


@pytest.mark.timeout(60 + 15 * KILLS)
def test_what_was_acknowledged_is_there_and_nothing_is_half_there(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    server = Server(tmp_path / "data", "--no-auth")
    writers = [Writer(number) for number in range(WRITERS)]
    try:
        for _ in range(KILLS):
            _a_life(server, writers, draw)
    except BaseException as error:
        error.add_note(f"PASTURE_SEED={SEED}")
        raise
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)
    assert sum(writer.acknowledged for writer in writers) > 10 * KILLS


def _a_life(server: Server, writers: list[Writer], draw: random.Random) -> None:
    """Written to, killed, started again, looked at."""
    server.start()
    threads = [threading.Thread(target=writer.write, args=(server,)) for writer in writers]
    for thread in threads:
        thread.start()
    threads[0].join(timeout=draw.uniform(0.05, 1.5))
    server.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    server.start()
    client = connected(server)
    for writer in writers:
        writer.check(client)
    expected = needed(writers)
    until(lambda: stored(server) == expected)
    until(lambda: unpacked(server) <= expected)
    assert list((server.data / "blobs" / "temporary").glob("*")) == []
    assert server.stop(draw.choice([signal.SIGTERM, signal.SIGKILL])) in {0, -signal.SIGKILL}
