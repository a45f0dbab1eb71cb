"""`pasture keys`: the access keys that a server believes. They are in its data directory; it need not be running."""

from pathlib import Path
from typing import Any

import click

from pasture.api.auth.keys import AccessKey, KeyRing
from pasture.cli import options, policies
from pasture.cli.failure import Failure
from pasture.cli.output import print_json, print_table
from pasture.domain.scope import DEFAULT_ACCOUNT
from pasture.kit.clock import iso_millis


@click.group()
def keys() -> None:
    """Make, show and delete the access keys of a server.

    \b
    Example:
      pasture keys create --description "the build server"
    """


@keys.command()
@click.option("--account", default=DEFAULT_ACCOUNT, show_default=True, help="The account the key belongs to.")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A policy document. A key without one may do everything in its account.",
)
@options.data_dir
@options.output
def create(account: str, description: str, policy_file: Path | None, data_dir: Path, as_json: bool) -> None:
    """Make a key. Its secret is shown this once.

    \b
    Example:
      pasture keys create --account 111122223333
      pasture keys create --description "the web shop" --policy invoke-orders.json
    """
    key = _ring(data_dir).create(account, description, policies.given(policy_file, None))
    if as_json:
        print_json({"AccessKeyId": key.id, "SecretAccessKey": key.secret, **_details(key)})
        return
    click.echo(f"Access key id:      {key.id}\nSecret access key:  {key.secret}")
    click.echo("The secret is not shown again.", err=True)


@keys.command("list")
@options.data_dir
@options.output
def list_keys(data_dir: Path, as_json: bool) -> None:
    """Show the keys, without their secrets.

    \b
    Example:
      pasture keys list
    """
    known = _ring(data_dir).list()
    if as_json:
        print_json([{"AccessKeyId": key.id, **_details(key)} for key in known])
        return
    print_table(
        ("ID", "ACCOUNT", "CREATED", "DESCRIPTION", "MAY"),
        [(key.id, key.account, iso_millis(key.created), key.description, _may(key)) for key in known],
    )


@keys.command()
@click.argument("key_id", metavar="ID")
@options.data_dir
def delete(key_id: str, data_dir: Path) -> None:
    """Delete a key; a running server stops believing it at once.

    \b
    Example:
      pasture keys delete AKIAIOSFODNN7EXAMPLE
    """
    if not _ring(data_dir).delete(key_id):
        raise Failure(f"There is no key {key_id}. `pasture keys list` shows those there are.")
    click.echo(f"Deleted {key_id}.")


def _ring(data_dir: Path) -> KeyRing:
    return KeyRing(data_dir / "keys.json")


def _may(key: AccessKey) -> str:
    return "everything" if key.policy is None else "by its policy"


def _details(key: AccessKey) -> dict[str, Any]:
    details = {"Account": key.account, "Description": key.description, "Created": iso_millis(key.created)}
    return details if key.policy is None else {**details, "Policy": key.policy}
