"""boto3 clients for a server: nothing of the user's own AWS set-up (profiles, retries, proxies) has a part in them."""

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pasture.cli.endpoint import Target

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sts import STSClient

CONNECT_SECONDS = 10
# The longest that a function may run, and a minute to spare.
READ_SECONDS = 960


def lambda_client(target: Target) -> "LambdaClient":
    client: LambdaClient = _session(target).client("lambda", endpoint_url=target.url, config=_config(target))
    return client


def logs_client(target: Target) -> "CloudWatchLogsClient":
    client: CloudWatchLogsClient = _session(target).client("logs", endpoint_url=target.url, config=_config(target))
    return client


def account(target: Target) -> str:
    """The account that the key belongs to."""
    if target.credentials.account is not None:
        return target.credentials.account
    sts: STSClient = _session(target).client("sts", endpoint_url=target.url, config=_config(target))
    return sts.get_caller_identity()["Account"]


def _session(target: Target) -> "boto3.Session":
    import boto3
    from botocore.session import Session

    nowhere = (None, None, os.devnull, None)
    bare = Session(
        session_vars={"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    )
    return boto3.Session(
        aws_access_key_id=target.credentials.id,
        aws_secret_access_key=target.credentials.secret,
        region_name=target.region,
        botocore_session=bare,
    )


def _config(target: Target) -> "Config":
    from botocore.config import Config

    host = urlsplit(target.url).hostname or ""
    # A proxy cannot reach what listens on this machine only; None means: what the environment says.
    proxies: dict[str, str] | None = {} if host in {"localhost", "::1"} or host.startswith("127.") else None
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        # An invocation that may have run is not to be run again unasked.
        retries={"total_max_attempts": 1, "mode": "standard"},
        proxies=proxies,
        tcp_keepalive=True,
    )
