"""`pasture functions`: what is deployed, and changing it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pasture.cli import deploying, options
from pasture.cli.clients import account, lambda_client
from pasture.cli.deploying import Wanted
from pasture.cli.endpoint import Target
from pasture.cli.options import Command
from pasture.cli.output import print_json, print_table, size
from pasture.cli.zipping import read_package
from pasture.domain.scope import Scope

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


def _variables(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    """`--env` as a mapping; None when it was never given."""
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.BadParameter(f"'{name}' is not of the form NAME=VALUE.")
    return {name: value for name, _, value in pairs} or None


def _settings(*, new: bool) -> Callable[[Command], Command]:
    """The options that say what a function is: a new one needs some and has defaults for others."""
    declared = [
        click.option("--runtime", metavar="ID", required=new, help="As python3.12: see `pasture runtimes list`."),
        click.option("--handler", metavar="MODULE.FUNCTION", required=new, help="What is called, as app.handler."),
        click.option("--code", metavar="DIR|ZIP", required=new, type=click.Path(path_type=Path), help="Its code."),
        click.option("--memory", metavar="MB", type=int, default=128 if new else None, help="Memory, and CPU with it."),
        click.option("--timeout", metavar="SECONDS", type=int, default=3 if new else None, help="How long it may run."),
        click.option(
            "--env", "variables", metavar="K=V", multiple=True, callback=_variables,
            help="A variable; repeat for more. Together they replace those there were.",
        ),
        click.option(
            "--role", metavar="ARN", show_default="arn:aws:iam::ACCOUNT:role/pasture" if new else False,
            help="Its execution role.",
        ),
        click.option("--wait/--no-wait", default=True, help="Return when it can be invoked, or at once."),
    ]  # fmt: skip

    def declare(command: Command) -> Command:
        for option in reversed(declared):
            command = option(command)
        return command

    return declare


@click.group(context_settings={"show_default": True})
def functions() -> None:
    """Create, show, change and delete functions.

    \b
    Example:
      pasture functions create hello --runtime python3.12 --handler app.handler --code ./hello
    """


@functions.command("list")
@options.output
@options.target
def list_functions(target: Target, as_json: bool) -> None:
    """Show every function.

    \b
    Example:
      pasture functions list
    """
    client = lambda_client(target)
    found: list[Any] = [f for page in client.get_paginator("list_functions").paginate() for f in page["Functions"]]
    if as_json:
        print_json(found)
        return
    headings = ("NAME", "RUNTIME", "MEMORY", "TIMEOUT", "CODE SIZE", "MODIFIED", "STATE")
    print_table(headings, [_row(function, _state(client, function)) for function in found])


@functions.command()
@click.argument("name")
@click.option("--qualifier", metavar="Q", help="A version or an alias.")
@options.output
@options.target
def get(name: str, qualifier: str | None, target: Target, as_json: bool) -> None:
    """Show one function: its configuration, its code and its tags.

    \b
    Example:
      pasture functions get hello
    """
    which: Any = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})
    answer = deploying.body(lambda_client(target).get_function(**which))
    if as_json:
        print_json(answer)
        return
    _print_details({**answer.pop("Configuration"), **answer})


@functions.command()
@click.argument("name")
@_settings(new=True)
@options.output
@options.target
def create(name: str, code: Path, role: str | None, wait: bool, target: Target, as_json: bool, **given: Any) -> None:
    """Create a function from a directory or a zip file.

    \b
    Example:
      pasture functions create hello --runtime python3.12 --handler app.handler --code ./hello
    """
    role = role or f"arn:{Scope(region=target.region).partition}:iam::{account(target)}:role/pasture"
    wanted = Wanted(code=read_package(code), role=role, **given)
    _report("Created", deploying.create(lambda_client(target), name, wanted, wait=wait), as_json=as_json)


@functions.command()
@click.argument("name")
@_settings(new=False)
@options.output
@options.target
def update(name: str, code: Path | None, wait: bool, target: Target, as_json: bool, **given: Any) -> None:
    """Change a function's code, its configuration, or both. What is not named stays as it is.

    \b
    Example:
      pasture functions update hello --code ./hello --memory 512
    """
    wanted = Wanted(code=None if code is None else read_package(code), **given)
    if wanted == Wanted():
        raise click.UsageError("There is nothing to change: name at least one of the options.")
    _report("Updated", deploying.update(lambda_client(target), name, wanted, wait=wait), as_json=as_json)


@functions.command()
@click.argument("name")
@options.target
def delete(name: str, target: Target) -> None:
    """Delete a function with all its versions and aliases. Its logs stay.

    \b
    Example:
      pasture functions delete hello
    """
    lambda_client(target).delete_function(FunctionName=name)
    click.echo(f"Deleted {name}.")


def _row(function: dict[str, Any], state: str) -> tuple[str, ...]:
    return (
        function["FunctionName"],
        function.get("Runtime", "-"),
        f"{function['MemorySize']} MB",
        f"{function['Timeout']} s",
        size(function["CodeSize"]),
        function["LastModified"],
        state,
    )


def _state(client: "LambdaClient", function: dict[str, Any]) -> str:
    """ListFunctions leaves the state out, as on AWS; the function itself is asked for it."""
    if "State" in function:
        return str(function["State"])
    try:
        return client.get_function_configuration(FunctionName=function["FunctionName"])["State"]
    except client.exceptions.ResourceNotFoundException:
        return "deleted meanwhile"


def _report(done: str, configuration: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(configuration)
        return
    click.echo(f"{done} {configuration['FunctionArn']}.")


def _print_details(details: dict[str, Any]) -> None:
    rows = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in details.items()]
    print_table(("SETTING", "VALUE"), rows)
