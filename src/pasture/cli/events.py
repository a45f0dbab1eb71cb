"""`pasture events`: the asynchronous events of a function: what waits, what failed, and what to do about it."""

import time
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import click

from pasture.cli import options
from pasture.cli.clients import READ_SECONDS
from pasture.cli.endpoint import Target
from pasture.cli.output import print_json, print_table, size
from pasture.cli.signed_page import ask

_PATH = "/_pasture/events"


class _Events(click.Group):
    """What is no command is the name of a function to show."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Options may stand before the name, too.
        if args and args[0].startswith("-") and args[0] not in {"-h", "--help"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Events, invoke_without_command=False)
def events() -> None:
    """Asynchronous events: show, purge and redrive them.

    \b
    Example:
      pasture events hello
      pasture events redrive hello
      pasture events purge hello --failed
    """


@events.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Show so many of each kind.")
@options.output
@options.target
def show(target: Target, name: str, limit: int, as_json: bool) -> None:
    """Show what is queued, waits for a retry, runs and has failed of a function.

    \b
    Example:
      pasture events show hello
    """
    told = ask(target, f"{_path(name)}?{urlencode({'limit': limit})}")
    if as_json:
        print_json(told)
        return
    counts = ", ".join(f"{told[kind]:,} {kind.lower()}" for kind in ("Queued", "Waiting", "Running", "Failed"))
    click.echo(f"Events of {told['FunctionName']}: {counts}.")
    if told["Events"]:
        click.echo()
        print_table(
            ("ID", "STATE", "AGE", "NEXT TRY", "ATTEMPTS", "THROTTLES", "SIZE", "LAST ERROR"),
            [_row(event) for event in told["Events"]],
        )
    if told["FailedEvents"]:
        click.echo()
        print_table(
            ("ID", "GIVEN UP", "CONDITION", "ATTEMPTS", "SIZE", "LAST ERROR"),
            [_failed_row(event) for event in told["FailedEvents"]],
        )
    if told["Deliveries"]:
        failed, waiting = told["FailedDeliveries"], told["WaitingDeliveries"]
        click.echo(f"\nDeliveries to destinations: {failed:,} given up, {waiting:,} tried again.\n")
        print_table(
            ("ID", "STATE", "WHEN", "TARGET", "CONDITION", "ATTEMPTS", "LAST ERROR"),
            [_delivery_row(delivery) for delivery in told["Deliveries"]],
        )


_deliveries = click.option("--deliveries", is_flag=True, help="What could not be delivered to destinations instead.")
_one = click.option("--id", "id_", metavar="ID", default="", help="Only this one of the deliveries.")


@events.command()
@click.argument("name")
@click.option("--failed", is_flag=True, help="Forget what has failed, and leave what is queued.")
@_deliveries
@_one
@options.target
def purge(target: Target, name: str, failed: bool, deliveries: bool, id_: str) -> None:
    """Forget the events of a function that are queued; those that run go on.

    \b
    Example:
      pasture events purge hello
      pasture events purge hello --deliveries
    """
    if failed and (deliveries or id_):
        raise click.UsageError("--failed is of events: it does not go with --deliveries.")
    told = ask(target, _verb(name, "purge", deliveries, id_, failed=failed), "POST", READ_SECONDS)
    click.echo(f"{told['Purged']:,} {_what(deliveries)} are purged.")


@events.command()
@click.argument("name")
@_deliveries
@_one
@options.target
def redrive(target: Target, name: str, deliveries: bool, id_: str) -> None:
    """Queue again what has failed of a function, as if it were new.

    \b
    Example:
      pasture events redrive hello
      pasture events redrive hello --deliveries
    """
    told = ask(target, _verb(name, "redrive", deliveries, id_), "POST", READ_SECONDS)
    click.echo(f"{told['Redriven']:,} {_what(deliveries)} are queued again.")


def _path(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"


def _verb(name: str, verb: str, deliveries: bool, id_: str, *, failed: bool = False) -> str:
    if id_ and not deliveries:
        raise click.UsageError("--id is of a delivery: it goes with --deliveries.")
    chosen = {"failed": failed and "true", "deliveries": deliveries and "true", "id": id_}
    query = urlencode({key: value for key, value in chosen.items() if value})
    return f"{_path(name)}/{verb}{'?' if query else ''}{query}"


def _what(deliveries: bool) -> str:
    return "deliveries" if deliveries else "events"


def _row(event: dict[str, Any]) -> tuple[str, ...]:
    wait = event.get("NextAttempt")
    return (
        event["Id"],
        event["State"],
        _duration(event["AgeSeconds"]),
        "" if wait is None else f"in {_duration(wait - time.time())}",
        str(event["Attempts"]),
        str(event["Throttles"]),
        size(event["PayloadBytes"]),
        event["LastError"],
    )


def _failed_row(event: dict[str, Any]) -> tuple[str, ...]:
    return (
        event["Id"],
        f"{_duration(time.time() - event['GivenUp'])} ago",
        event["Condition"],
        str(event["Attempts"]),
        size(event["PayloadBytes"]),
        event["LastError"],
    )


def _delivery_row(delivery: dict[str, Any]) -> tuple[str, ...]:
    when = f"in {_duration(delivery.get('NextAttempt', 0) - time.time())}"
    if delivery["State"] == "failed":
        when = f"{_duration(time.time() - delivery['GivenUp'])} ago"
    return (
        delivery["Id"],
        delivery["State"],
        when,
        delivery["Target"],
        delivery["Condition"],
        str(delivery["Attempts"]),
        delivery["LastError"],
    )


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=max(0, round(seconds))))
