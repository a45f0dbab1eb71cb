"""`pasture runtimes`: which managed runtimes this machine has. No server is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pasture.cli import options
from pasture.cli.failure import Failure
from pasture.cli.output import note, print_json, print_table
from pasture.settings import default_runtimes_dir

if TYPE_CHECKING:
    from pasture.runtimes.registry import Runtimes, RuntimeStatus
    from pasture.runtimes.spec import InstalledRuntime

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
    """Show every runtime: whether it is ready, can be installed, or cannot be had here as things are.

    `pasture runtimes install ID` says what one that cannot be had needs.

    \b
    Example:
      pasture runtimes list
    """
    found = _registry(runtimes_dir).overview()
    if as_json:
        print_json([_details(status) for status in found])
        return
    headings = ("IDENTIFIER", "FAMILY", "STATE", "VERSION", "LOCATION")
    print_table(headings, [tuple(_details(status).values()) for status in found])


@runtimes.command()
@click.argument("identifiers", metavar="ID...", nargs=-1)
@click.option("--found", is_flag=True, help="Every runtime whose interpreter is on this machine.")
@_runtimes_dir
@options.output
def install(identifiers: tuple[str, ...], found: bool, runtimes_dir: Path, as_json: bool) -> None:
    """Make runtimes ready now, so that the first function that asks for one need not wait.

    \b
    Example:
      pasture runtimes install python3.12 nodejs24.x
      pasture runtimes install --found
    """
    registry = _registry(runtimes_dir)
    wanted = tuple(registry.found()) if found else identifiers
    if not wanted:
        raise click.UsageError("Name a runtime, or take --found.")
    installed = _install_all(registry, wanted)
    if as_json:
        print_json([{"identifier": i.identifier, "version": i.version, "location": str(i.location)} for i in installed])
        return
    for runtime in installed:
        click.echo(f"{runtime.identifier} is ready: {runtime.version} at {runtime.location}")


def _install_all(registry: "Runtimes", identifiers: tuple[str, ...]) -> "list[InstalledRuntime]":
    """With a bar on a terminal; else a line for each that is not there yet."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        return [_install(registry, identifier, note) for identifier in identifiers]
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Installing", total=len(identifiers))
        installed = []
        for identifier in identifiers:
            installed.append(_install(registry, identifier, lambda text: progress.update(task, description=text)))
            progress.advance(task)
        return installed


def _install(registry: "Runtimes", identifier: str, tell: Callable[[str], None]) -> "InstalledRuntime":
    from pasture.runtimes.spec import RuntimeUnavailable

    try:
        if registry.find(identifier) is None:
            tell(f"Installing {identifier} …")
        return registry.install(identifier)
    except RuntimeUnavailable as error:
        raise Failure(f"{error}.") from error


def _registry(directory: Path) -> "Runtimes":
    from pasture.runtimes.registry import Runtimes, families

    return Runtimes(families(directory))


def _details(status: "RuntimeStatus") -> dict[str, str]:
    return {
        "identifier": status.identifier,
        "family": status.family,
        "state": "ready" if status.ready else "can be installed" if status.available else "not on this machine",
        "version": status.version,
        "location": str(status.interpreter or ""),
    }
