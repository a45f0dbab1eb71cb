"""Event source mappings, as boto3 meets them on a whole server."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, until

ECHO = "def handler(event, context):\n    return event\n"
OWNER, OTHER = "000000000000", "111122223333"
QUEUE = f"arn:aws:sqs:us-east-1:{OWNER}:"
STREAM = f"arn:aws:kinesis:us-east-1:{OWNER}:stream/"


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:{OWNER}:function:{name}"


def settled(client: Any, mapping: Any, state: str = "Enabled") -> Any:
    """As it is shown once it has that state."""

    def shown() -> Any:
        answer = client.get_event_source_mapping(UUID=mapping["UUID"])
        del answer["ResponseMetadata"]
        return answer if answer["State"] == state else None

    return until(shown)


def key(server: Server, *more: str) -> dict[str, str]:
    command = [sys.executable, "-m", "pasture", "keys", "create", *more, "--output", "json"]
    made = json.loads(
        subprocess.run([*command, "--data-dir", str(server.data)], check=True, capture_output=True, text=True).stdout
    )
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def test_a_mapping_lives_from_creating_to_deleting(server: Server) -> None:
    client = server.functions
    name = server.deploy("mapped", ECHO)
    filters: Any = {"Filters": [{"Pattern": '{"body": {"city": ["Seattle"]}}'}]}
    made = client.create_event_source_mapping(
        FunctionName=name, EventSourceArn=f"{QUEUE}lives", FilterCriteria=filters, Tags={"team": "herd"}
    )
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (made["State"], made["StateTransitionReason"]) == ("Creating", "USER_INITIATED")
    assert (made["BatchSize"], made["FilterCriteria"], made["FunctionArn"]) == (10, filters, arn_of(name))
    shown = settled(client, made)
    assert shown["LastModified"] >= made["LastModified"]
    listed = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert listed == [shown]
    assert client.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"team": "herd"}
    changed = client.update_event_source_mapping(UUID=made["UUID"], Enabled=False, BatchSize=5)
    assert (changed["ResponseMetadata"]["HTTPStatusCode"], changed["State"]) == (202, "Disabling")
    assert settled(client, made, "Disabled")["BatchSize"] == 5
    gone = client.delete_event_source_mapping(UUID=made["UUID"])
    assert (gone["ResponseMetadata"]["HTTPStatusCode"], gone["State"]) == (202, "Deleting")
    until(lambda: client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] == [])
    assert refused(client.get_event_source_mapping, UUID=made["UUID"]) == (
        404,
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )


def test_what_cannot_be_is_refused_in_awss_words(server: Server) -> None:
    client = server.functions
    name = server.deploy("unmapped", ECHO)
    create = client.create_event_source_mapping
    assert refused(create, FunctionName=name, EventSourceArn=f"{STREAM}s", StartingPosition="invalid") == (
        400,
        "ValidationException",
        (
            "1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: "
            "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"
        ),
    )
    assert refused(create, FunctionName=name, EventSourceArn=f"{STREAM}s") == (
        400,
        "InvalidParameterValueException",
        (
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        ),
    )
    assert refused(create, FunctionName="nowhere", EventSourceArn=f"{QUEUE}q") == (
        400,
        "InvalidParameterValueException",
        "Function does not exist",
    )
    known = create(FunctionName=name, EventSourceArn=f"{QUEUE}once")
    status, code, told = refused(create, FunctionName=arn_of(name), EventSourceArn=f"{QUEUE}once")
    assert (status, code, known["UUID"] in told) == (409, "ResourceConflictException", True)


def test_a_crash_loses_no_mapping_and_every_one_comes_to_rest(fresh: Server) -> None:
    name = fresh.start().deploy("survivor", ECHO)
    made = [
        fresh.functions.create_event_source_mapping(FunctionName=name, EventSourceArn=f"{QUEUE}{number}")
        for number in range(5)
    ]
    assert fresh.stop(signal.SIGKILL) == -signal.SIGKILL
    fresh.start()
    client = fresh.functions
    for mapping in made:
        shown = settled(client, mapping)
        assert (shown["UUID"], shown["EventSourceArn"]) == (mapping["UUID"], mapping["EventSourceArn"])
    listed = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert {mapping["UUID"] for mapping in listed} == {mapping["UUID"] for mapping in made}
    code = refused(client.create_event_source_mapping, FunctionName=name, EventSourceArn=f"{QUEUE}0")[1]
    assert code == "ResourceConflictException"


def test_accounts_and_regions_see_their_own_mappings(server: Server) -> None:
    mapping = server.functions.create_event_source_mapping(
        FunctionName=server.deploy("private", ECHO), EventSourceArn=f"{QUEUE}private"
    )
    for client in (
        server.client("lambda", **key(server, "--account", OTHER)),
        server.client("lambda", region_name="eu-west-1"),
    ):
        assert client.list_event_source_mappings()["EventSourceMappings"] == []
        assert refused(client.get_event_source_mapping, UUID=mapping["UUID"])[:2] == (404, "ResourceNotFoundException")


def test_a_key_may_be_kept_to_the_mappings_of_some_functions(server: Server, tmp_path: Path) -> None:
    allowed, other = server.deploy("allowed", ECHO), server.deploy("other", ECHO)
    statement = {
        "Effect": "Allow",
        "Action": ["lambda:*EventSourceMapping"],
        "Resource": "*",
        "Condition": {"StringEquals": {"lambda:FunctionArn": arn_of(allowed)}},
    }
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    client = server.client("lambda", **key(server, "--policy", str(policy)))
    foreign = server.functions.create_event_source_mapping(FunctionName=other, EventSourceArn=f"{QUEUE}kept")
    settled(server.functions, foreign)
    denied = (403, "AccessDeniedException")
    assert refused(client.create_event_source_mapping, FunctionName=other, EventSourceArn=f"{QUEUE}mine")[:2] == denied
    mine = client.create_event_source_mapping(FunctionName=allowed, EventSourceArn=f"{QUEUE}mine")
    settled(client, mine)
    for call in (
        client.get_event_source_mapping,
        client.update_event_source_mapping,
        client.delete_event_source_mapping,
    ):
        assert refused(call, UUID=foreign["UUID"])[:2] == denied
    # Neither may a mapping be taken from a function that is out of reach, nor given to one.
    assert refused(client.update_event_source_mapping, UUID=foreign["UUID"], FunctionName=allowed)[:2] == denied
    assert refused(client.update_event_source_mapping, UUID=mine["UUID"], FunctionName=other)[:2] == denied
    client.update_event_source_mapping(UUID=mine["UUID"], FunctionName=allowed, BatchSize=1)
    settled(client, mine)
    client.delete_event_source_mapping(UUID=mine["UUID"])
