"""Functions that keep their tenants apart, on a whole server with the real runtime client."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server

WHO = """
import os
served = []
def handler(event, context):
    served.append(context.tenant_id)
    return {"tenant": context.tenant_id, "served": served, "log": context.log_stream_name, "said": event}
"""
APART = {"TenantIsolationMode": "PER_TENANT"}
NO_TENANT = (
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def test_an_environment_serves_one_tenant_only(server: Server) -> None:
    name = server.deploy("apart", WHO, TenancyConfig=APART)
    told = [server.invoke(name, TenantId=tenant).payload for tenant in ("blue", "green", "blue", "a/b c@d", "green")]
    assert [each["tenant"] for each in told] == ["blue", "green", "blue", "a/b c@d", "green"]
    assert all(set(each["served"]) == {each["tenant"]} for each in told)
    assert told[0]["log"] == told[2]["log"] != told[1]["log"] == told[4]["log"]
    assert server.functions.get_function_configuration(FunctionName=name)["TenancyConfig"] == APART


def test_the_event_does_not_say_who_the_tenant_is(server: Server) -> None:
    name = server.deploy("forged", WHO, TenancyConfig=APART)
    event = {"headers": {"X-Amz-Tenant-Id": "green", "Lambda-Runtime-Aws-Tenant-Id": "green"}}
    assert server.invoke(name, event, TenantId="blue").payload["tenant"] == "blue"


def test_a_published_version_keeps_them_apart_too(server: Server) -> None:
    name = server.deploy("apart-published", WHO, TenancyConfig=APART, Publish=True)
    server.functions.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1")
    assert server.invoke(name, TenantId="blue", Qualifier="1").payload["served"] == ["blue"]


def test_every_invocation_names_its_tenant(server: Server) -> None:
    name = server.deploy("nameless", WHO, TenancyConfig=APART)
    for kind in ("RequestResponse", "DryRun"):
        assert refused(server.functions.invoke, FunctionName=name, InvocationType=kind) == (
            400, "InvalidParameterValueException", NO_TENANT,
        )  # fmt: skip
    status, code, message = refused(server.functions.invoke, FunctionName=name, TenantId="what?")
    assert (status, code) == (400, "ValidationException")
    assert "[a-zA-Z0-9" in message


def test_a_function_that_does_not_keep_tenants_apart_takes_none(server: Server) -> None:
    name = server.deploy("together", WHO)
    assert refused(server.functions.invoke, FunctionName=name, TenantId="blue")[:2] == (
        400, "InvalidParameterValueException",
    )  # fmt: skip
    assert server.invoke(name).payload["tenant"] is None


def test_what_does_not_go_with_tenants_is_refused(server: Server) -> None:
    client = server.functions
    name = server.deploy("alone", WHO, TenancyConfig=APART, Publish=True)
    queue = "arn:aws:sqs:us-east-1:000000000000:q"
    for call, arguments in (
        (client.create_function_url_config, {"AuthType": "NONE"}),
        (client.create_event_source_mapping, {"EventSourceArn": queue}),
        (client.update_function_configuration, {"SnapStart": {"ApplyOn": "PublishedVersions"}}),
        (client.put_provisioned_concurrency_config, {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1}),
    ):
        status, code, message = refused(call, FunctionName=name, **arguments)
        assert (status, code) == (400, "InvalidParameterValueException")
        assert "not supported" in message
