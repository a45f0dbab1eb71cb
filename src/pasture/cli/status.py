"""`pasture status`: what the server is doing, and which function has how much of the machine."""

import json
from typing import Any

import click

from pasture.cli import options
from pasture.cli.clients import CONNECT_SECONDS
from pasture.cli.endpoint import Target
from pasture.cli.failure import Failure
from pasture.cli.output import print_json, print_table

_PATH = "/_pasture/status"


@click.command()
@options.output
@options.target
def status(target: Target, as_json: bool) -> None:
    """Show environments, memory and who waits.

    \b
    Example:
      pasture status
    """
    told = _ask(target)
    if as_json:
        print_json(told)
        return
    memory, waiting = told["memory"], told["waiting"]
    click.echo(f"Memory: {memory['promised_mb']:,} of {memory['total_mb']:,} MB are promised.")
    click.echo("Environments: " + ", ".join(f"{count} {state}" for state, count in told["environments"].items()) + ".")
    click.echo(f"Waiting: {waiting['invocations']}, of which {waiting['without_room']} have no room.")
    click.echo(f"Sandboxes in stock: {told['stock']}.")
    if told["functions"]:
        click.echo()
        print_table(
            ("FUNCTION", "INVOCATIONS", "STARTING", "IDLE", "BUSY", "STOPPING", "MEMORY", "WITHOUT ROOM"),
            [_row(name, its) for name, its in told["functions"].items()],
        )


def _row(name: str, its: dict[str, Any]) -> tuple[str, ...]:
    states = (str(its["environments"].get(state, 0)) for state in ("starting", "idle", "busy", "stopping"))
    return (name, str(its["invocations"]), *states, f"{its['memory_mb']} MB", str(its["without_room"]))


def _ask(target: Target) -> dict[str, Any]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    request = AWSRequest("GET", target.url + _PATH)
    SigV4Auth(Credentials(target.credentials.id, target.credentials.secret), "lambda", target.region).add_auth(request)
    answer = URLLib3Session(timeout=CONNECT_SECONDS).send(request.prepare())
    try:
        told = json.loads(answer.content)
    except ValueError:
        told = None
    if answer.status_code == 200 and isinstance(told, dict):
        return told
    said = (told.get("Message") or told.get("message")) if isinstance(told, dict) else None
    raise Failure(said or "What answers there is not Pasture: its answer has another form. Is --endpoint-url right?")
