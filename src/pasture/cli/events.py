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


@events.command()
@click.argument("name")
@click.option("--failed", is_flag=True, help="Forget what has failed, and leave what is queued.")
@options.target
def purge(target: Target, name: str, failed: bool) -> None:
    """Forget the events of a function that are queued; those that run go on.

    \b
    Example:
      pasture events purge hello
    """
    told = ask(target, f"{_path(name)}/purge{'?failed=true' if failed else ''}", "POST", READ_SECONDS)
    click.echo(f"{told['Purged']:,} events are purged.")


@events.command()
@click.argument("name")
@options.target
def redrive(target: Target, name: str) -> None:
    """Queue again what has failed of a function, as if it were new.

    \b
    Example:
      pasture events redrive hello
    """
    told = ask(target, f"{_path(name)}/redrive", "POST", READ_SECONDS)
    click.echo(f"{told['Redriven']:,} events are queued again.")


def _path(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"


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


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=max(0, round(seconds))))
