"""`pasture env`: what a shell needs to know so that every AWS tool in it speaks to Pasture."""

import os
import shlex
from collections.abc import Callable, Iterable, Mapping

import click

from pasture.cli import options
from pasture.cli.endpoint import Target, answers, find, running, same_address
from pasture.cli.failure import nobody_answers
from pasture.cli.options import Place
from pasture.cli.output import note, print_json

# Left from real AWS credentials, they would be sent along with our key, which has none.
_STALE = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

_SET: Mapping[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {_fish_quoted(value)};",
    "powershell": lambda name, value: f"$env:{name} = '{value.replace(chr(39), chr(39) * 2)}'",
}
_UNSET: Mapping[str, Callable[[str], str]] = {
    "sh": lambda name: f"unset {name}",
    "fish": lambda name: f"set -e {name};",
    "powershell": lambda name: f"Remove-Item Env:{name}",
}


@click.command(short_help="Point the AWS CLI and every SDK in a shell at Pasture.")
@click.option("--shell", type=click.Choice(list(_SET)), default="sh", show_default=True, help="Whose words to use.")
@options.output
@options.place
def env(shell: str, as_json: bool, place: Place) -> None:
    """Print the variables that point the AWS CLI, boto3 and every SDK at Pasture.

    The key is the first of `pasture keys list`; when there is none, one is made.

    \b
    Example:
      eval "$(pasture env)"
      pasture env --shell fish | source
    """
    target = find(place, os.environ, make_key=True)
    _remark(place, target)
    values = variables(target)
    if as_json:
        print_json(values)
        return
    stale = [name for name in _STALE if name in os.environ]
    click.echo("\n".join(script(shell, values, stale)))


def variables(target: Target) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": target.url,
        "AWS_ACCESS_KEY_ID": target.credentials.id,
        "AWS_SECRET_ACCESS_KEY": target.credentials.secret,
        "AWS_REGION": target.region,
        "AWS_DEFAULT_REGION": target.region,
    }


def script(shell: str, values: Mapping[str, str], stale: Iterable[str]) -> list[str]:
    """The lines that set `values` and forget what is `stale`."""
    return [_UNSET[shell](name) for name in stale] + [_SET[shell](name, value) for name, value in values.items()]


def _remark(place: Place, target: Target) -> None:
    server = running(place.data_dir)
    if not answers(target.url):
        note(f"# {nobody_answers(target.url)}")
    elif server is not None and not server.auth and same_address(server.url, target.url):
        note("# This server runs with --no-auth: any key works.")


def _fish_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
