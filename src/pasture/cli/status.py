"""`pasture status`: what the server is doing, and which function has how much of the machine."""

from typing import Any

import click

from pasture.cli import options
from pasture.cli.endpoint import Target
from pasture.cli.output import print_json, print_table
from pasture.cli.signed_page import ask

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
    told = ask(target, _PATH)
    if as_json:
        print_json(told)
        return
    memory, waiting = told["memory"], told["waiting"]
    click.echo(
        f"Memory: {memory['promised_mb']:,} of {memory['total_mb']:,} MB are promised, "
        f"{memory['snapshots_mb']:,} of them to snapshots."
    )
    click.echo(f"Environments: {_counted(told['environments'])}.")
    click.echo(f"Snapshots: {_counted(told['snapshots'])}.")
    click.echo(f"Waiting: {waiting['invocations']}, of which {waiting['without_room']} have no room.")
    click.echo(f"Sandboxes in stock: {told['stock']}.")
    if told["functions"]:
        click.echo()
        print_table(
            ("FUNCTION", "INVOCATIONS", "STARTING", "IDLE", "BUSY", "STOPPING", "SNAPSHOTS", "MEMORY", "WITHOUT ROOM"),
            [_row(name, its) for name, its in told["functions"].items()],
        )


def _counted(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())


def _row(name: str, its: dict[str, Any]) -> tuple[str, ...]:
    states = (str(its["environments"].get(state, 0)) for state in ("starting", "idle", "busy", "stopping"))
    snapshots = str(sum(its["snapshots"].values()))
    return (name, str(its["invocations"]), *states, snapshots, f"{its['memory_mb']} MB", str(its["without_room"]))
