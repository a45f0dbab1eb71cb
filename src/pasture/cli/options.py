"""The options that many commands share, and what they become: a `Place`, and `as_json`."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from pasture.cli.endpoint import Place, Target, find
from pasture.settings import default_data_dir

Command = TypeVar("Command", bound=Callable[..., Any])

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_data_dir,
    show_default="the user's data directory",
    envvar="PASTURE_DATA_DIR",
    show_envvar=True,
    help="Where the server keeps everything.",
)
output = click.option(
    "--output",
    "as_json",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="PASTURE_OUTPUT",
    callback=lambda _context, _option, value: value == "json",
    help="For people, or for programs.",
)
_endpoint_url = click.option(
    "--endpoint-url",
    metavar="URL",
    envvar="PASTURE_ENDPOINT_URL",
    show_envvar=True,
    callback=lambda _context, _option, value: _checked_url(value),
    help="The server to talk to, when it is not the one of the data directory.",
)
_region = click.option(
    "--region",
    metavar="REGION",
    envvar="PASTURE_REGION",
    show_envvar=True,
    help="The region to look in, when it is not the server's own.",
)


def place(command: Command) -> Command:
    """`--data-dir`, `--endpoint-url` and `--region`, as one argument `place`."""

    @functools.wraps(command)
    def with_place(*args: Any, data_dir: Path, endpoint_url: str | None, region: str | None, **kwargs: Any) -> Any:
        return command(*args, place=Place(data_dir, endpoint_url, region), **kwargs)

    # click keeps what it is told in an attribute of the function, which wraps() has copied.
    return data_dir(_endpoint_url(_region(with_place)))  # type: ignore[return-value]  # the name is kept, the arguments are click's


def target(command: Command) -> Command:
    """The same, as one argument `target`: the server found and a key for it."""

    @functools.wraps(command)
    def with_target(*args: Any, place: Place, **kwargs: Any) -> Any:
        return command(*args, target=find(place, os.environ), **kwargs)

    return place(with_target)  # type: ignore[return-value]  # likewise


def _checked_url(url: str | None) -> str | None:
    if url is not None and not _is_address(url):
        raise click.BadParameter(f"'{url}' is no URL. It looks like http://127.0.0.1:9600.")
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        return False


__all__ = ["Place", "Target", "data_dir", "output", "place", "target"]
