"""A client for a server with `--no-auth`, where any key will do."""

from typing import Any

import boto3
from botocore.config import Config

from system.node import Server


def connected(server: Server) -> Any:
    """It tries once."""
    connect: Any = boto3.client
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    return connect("lambda", endpoint_url=server.url, region_name="us-east-1", config=config, **keys)
