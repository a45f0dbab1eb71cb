"""`pasture build`: a deployment package from source."""

import base64
import hashlib
import os
from pathlib import Path

import click

from pasture.cli import options
from pasture.cli.building import Recipe
from pasture.cli.building import build as build_package
from pasture.cli.output import print_json, size
from pasture.kit.errors import OperatorError
from pasture.runtimes.registry import Runtimes, families, machine_architecture
from pasture.settings import default_runtimes_dir


@click.command(context_settings={"show_default": True})
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--runtime", metavar="ID", required=True, help="What it is for, as python3.12 or nodejs22.x.")
@click.option(
    "--architecture",
    type=click.Choice(["x86_64", "arm64"]),
    show_default="this machine's",
    help="Of the machine that it will run on.",
)
@click.option(
    "--file", "target", metavar="ZIP", type=click.Path(path_type=Path), show_default="DIR.zip", help="Where it goes."
)
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Leave out what matches; repeat for more.")
@click.option("--from-source", is_flag=True, help="Build Python packages that have no wheel, on and for this machine.")
@options.output
def build(
    source: Path,
    runtime: str,
    architecture: str | None,
    target: Path | None,
    exclude: tuple[str, ...],
    from_source: bool,
    as_json: bool,
) -> None:
    """Make a zip of a function's source and what it needs.

    `requirements.txt` and `package.json` are installed for the platform that is meant: wheels, or Node.js packages.
    The same source with pinned versions gives the same bytes, and so the same CodeSha256.

    \b
    Example:
      pasture build ./thumbnails --runtime python3.12
      pasture functions create thumbnails --runtime python3.12 --handler app.handler --code thumbnails.zip
    """
    here = machine_architecture()
    architecture = architecture or here
    if from_source and architecture != here:
        raise OperatorError(
            f"Packages are built from source for this machine, which is {here}, not {architecture}.",
            "Leave --from-source away.",
        )
    recipe = Recipe(source, runtime, architecture, exclude, _interpreter(runtime), from_source)
    package = build_package(recipe)
    target = target or Path(f"{source.resolve().name}.zip")
    _write(target, package)
    digest = base64.b64encode(hashlib.sha256(package).digest()).decode()
    if as_json:
        print_json({"File": str(target), "CodeSize": len(package), "CodeSha256": digest})
    else:
        click.echo(f"{target}  {size(len(package))}  {digest}")


def _interpreter(runtime: str) -> Path | None:
    """The runtime's on this machine, if it is one that pip can run in."""
    if not runtime.startswith("python"):
        return None
    family = next((f for f in families(default_runtimes_dir()) if runtime in f.identifiers()), None)
    if family is None:
        known = ", ".join(Runtimes(families(default_runtimes_dir())).identifiers())
        raise OperatorError(f"{runtime} is no runtime of Python that Pasture knows.", f"Known are: {known}.")
    return family.interpreters().get(runtime)


def _write(target: Path, package: bytes) -> None:
    """Whole or not at all."""
    making = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        making.write_bytes(package)
        making.replace(target)
    except OSError as error:
        making.unlink(missing_ok=True)
        raise OperatorError(f"{target} cannot be written: {error.strerror}.") from error
