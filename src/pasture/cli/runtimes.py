"""`pasture runtimes`: which managed runtimes this machine has. No server is needed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pasture.cli import options
from pasture.cli.failure import Failure
from pasture.cli.output import note, print_json, print_table
from pasture.settings import default_runtimes_dir

if TYPE_CHECKING:
    from pasture.runtimes.registry import Runtimes, RuntimeStatus

_runtimes_dir = click.option(
    "--runtimes-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_runtimes_dir,
    show_default="the user's cache directory",
    envvar="PASTURE_RUNTIMES_DIR",
    show_envvar=True,
    help="Where runtimes are kept.",
)


@click.group()
def runtimes() -> None:
    """Show the managed runtimes of this machine, and make them ready.

    \b
    Example:
      pasture runtimes list
    """


@runtimes.command("list")
@_runtimes_dir
@options.output
def list_runtimes(runtimes_dir: Path, as_json: bool) -> None:
    """Show every runtime: whether it is ready, can be installed, or has no interpreter here.

    \b
    Example:
      pasture runtimes list
    """
    found = _registry(runtimes_dir).overview()
    if as_json:
        print_json([_details(status) for status in found])
        return
    print_table(("IDENTIFIER", "STATE", "VERSION", "LOCATION"), [tuple(_details(status).values()) for status in found])


@runtimes.command()
@click.argument("identifier", metavar="ID")
@_runtimes_dir
@options.output
def install(identifier: str, runtimes_dir: Path, as_json: bool) -> None:
    """Make a runtime ready now, so that the first function that asks for it need not wait.

    \b
    Example:
      pasture runtimes install python3.12
    """
    from pasture.runtimes.spec import RuntimeUnavailable

    registry = _registry(runtimes_dir)
    try:
        if registry.find(identifier) is None:
            note(f"Installing {identifier} …")
        installed = registry.install(identifier)
    except RuntimeUnavailable as error:
        raise Failure(f"{error}.") from error
    if as_json:
        print_json({"identifier": identifier, "version": installed.version, "location": str(installed.location)})
        return
    click.echo(f"{identifier} is ready: {installed.version} at {installed.location}")


def _registry(directory: Path) -> "Runtimes":
    from pasture.runtimes.registry import Runtimes, families

    return Runtimes(families(directory))


def _details(status: "RuntimeStatus") -> dict[str, str]:
    return {
        "identifier": status.identifier,
        "state": "ready" if status.ready else "can be installed" if status.interpreter else "no interpreter",
        "version": status.version,
        "location": str(status.interpreter or ""),
    }
