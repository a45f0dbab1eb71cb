"""Calls of the server's own pages: signed as those of Lambda are, answered with JSON."""

import json
from typing import Any

from pasture.cli.clients import CONNECT_SECONDS
from pasture.cli.endpoint import Target
from pasture.cli.failure import Failure


def ask(target: Target, path: str, method: str = "GET", seconds: int = CONNECT_SECONDS) -> dict[str, Any]:
    """`seconds`: so long it may take. Raises Failure with what the server says, or when it is no Pasture."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    request = AWSRequest(method, target.url + path)
    SigV4Auth(Credentials(target.credentials.id, target.credentials.secret), "lambda", target.region).add_auth(request)
    answer = URLLib3Session(timeout=seconds).send(request.prepare())
    try:
        told = json.loads(answer.content)
    except ValueError:
        told = None
    if answer.status_code == 200 and isinstance(told, dict):
        return told
    said = (told.get("Message") or told.get("message")) if isinstance(told, dict) else None
    raise Failure(said or "What answers there is not Pasture: its answer has another form. Is --endpoint-url right?")
