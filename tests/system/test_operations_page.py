"""A real server refuses what the page of operations says that it refuses, and nothing else."""

from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import Shape, StructureShape

from pasture.api.served import SERVED, State, entries
from pasture.api.wire.service import load_model
from system.node import Server


def nonsense(shape: Shape) -> Any:
    """Something of the right type: whether it means anything is asked after whether the operation is served."""
    match shape.type_name:
        case "structure":
            return least(shape) if isinstance(shape, StructureShape) else {}
        case "list":
            return []
        case "map":
            return {}
        case "integer" | "long" | "double" | "float":
            return 1
        case "boolean":
            return True
        case "blob":
            return b"x"
        case "timestamp":
            return 0
        case _:
            return "nonsense"


def least(shape: StructureShape | None) -> dict[str, Any]:
    return {} if shape is None else {name: nonsense(shape.members[name]) for name in shape.required_members}


@pytest.mark.parametrize("service", SERVED)
def test_a_server_serves_what_the_page_says(server: Server, service: str) -> None:
    plain = Config(parameter_validation=False, inject_host_prefix=False, retries={"total_max_attempts": 1})
    options: Any = {"endpoint_url": server.url, "region_name": "us-east-1", "config": plain, **server.key()}
    client: Any = boto3.client(service, **options)
    # What goes without a signature is refused for that, before anything else.
    model = load_model(service)
    signed = [entry for entry in entries(service) if model.operation_model(entry.operation).auth_type != "none"]
    refused = set()
    for entry in signed:
        asked = least(model.operation_model(entry.operation).input_shape)
        try:
            getattr(client, xform_name(entry.operation))(**asked)
        except ClientError as error:
            answer = error.response
            if answer["ResponseMetadata"]["HTTPStatusCode"] == 501 and entry.operation in answer["Error"]["Message"]:
                refused.add(entry.operation)
    assert refused == {entry.operation for entry in signed if entry.state is State.REFUSED}
