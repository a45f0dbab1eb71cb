"""`pasture logs`: what a function has printed, and what it prints now."""

import contextlib
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pasture.cli import options
from pasture.cli.clients import lambda_client, logs_client
from pasture.cli.endpoint import Target
from pasture.cli.failure import Failure
from pasture.cli.following import Event, Search, follow, searching
from pasture.cli.output import note
from pasture.kit.clock import iso_millis

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient


Show = Callable[[Event], None]

_DURATION = re.compile(r"(\d{1,9})([smhdw]?)", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _seconds(_context: click.Context, _option: click.Parameter, given: str) -> int:
    form = _DURATION.fullmatch(given.strip())
    if form is None:
        raise click.BadParameter(f"'{given}' is no length of time. It looks like 30s, 10m, 2h or 1d.")
    return int(form[1]) * _UNITS[form[2]]


@click.command()
@click.argument("name")
@click.option("--follow", "keep_on", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--since", default="10m", show_default=True, callback=_seconds, help="How far back: 30s, 10m, 2h, 1d.")
@click.option("--filter", "pattern", metavar="PATTERN", help="A CloudWatch filter pattern, as '\"ERROR\"'.")
@options.output
@options.target
def logs(name: str, keep_on: bool, since: int, pattern: str | None, target: Target, as_json: bool) -> None:
    """Print a function's log.

    \b
    Example:
      pasture logs hello --follow
      pasture logs hello --since 2h --filter ERROR
    """
    show = _show_json if as_json else _show_line
    start = max(0, int((time.time() - since) * 1000))
    if keep_on:
        with contextlib.suppress(KeyboardInterrupt):
            _follow(target, name, start, pattern, show)
    else:
        _read(target, name, start, pattern, show)


def _follow(target: Target, name: str, start: int, pattern: str | None, show: Show) -> None:
    client = logs_client(target)
    search = searching(client, log_group(target, name), pattern)
    for event in follow(_patiently(client, search, name), start):
        show(event)


def _read(target: Target, name: str, start: int, pattern: str | None, show: Show) -> None:
    client = logs_client(target)
    group = log_group(target, name)
    shown = False
    try:
        for event in searching(client, group, pattern)(start):
            show(event)
            shown = True
    except client.exceptions.ResourceNotFoundException as error:
        raise Failure(f"{name} has no log yet: {group} comes into being when it is first invoked.") from error
    if not shown:
        note("Nothing was logged in that time; --since looks further back.")


def log_group(target: Target, name: str) -> str:
    """Where the function's configuration says that it logs; the usual place when it is gone."""
    client = lambda_client(target)
    try:
        configuration = client.get_function_configuration(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        return f"/aws/lambda/{name.rpartition('function:')[2].partition(':')[0]}"
    return configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{configuration['FunctionName']}"


def _patiently(client: "CloudWatchLogsClient", search: Search, name: str) -> Search:
    """The same search, for which a group that is not there yet is an empty one; says so once."""
    remark = itertools.chain([f"{name} has no log yet; waiting for its first invocation."], itertools.repeat(None))

    def search_patiently(start: int) -> Iterator[Event]:
        try:
            yield from search(start)
        except client.exceptions.ResourceNotFoundException:
            if text := next(remark):
                note(text)

    return search_patiently


def _show_line(event: Event) -> None:
    click.echo(f"{iso_millis(event.timestamp / 1000)} {event.message.rstrip()}")


def _show_json(event: Event) -> None:
    """One object a line, so that it can be read while it grows."""
    click.echo(json.dumps(asdict(event), ensure_ascii=False))
