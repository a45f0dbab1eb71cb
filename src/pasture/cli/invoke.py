"""`pasture invoke`: call a function and show what it answers."""

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pasture.cli import options
from pasture.cli.clients import lambda_client
from pasture.cli.endpoint import Target
from pasture.cli.failure import FUNCTION_ERROR
from pasture.cli.output import note


@dataclass(frozen=True, slots=True)
class Answer:
    payload: bytes
    error: str | None
    """`Handled` or `Unhandled` when the function failed."""
    log_tail: bytes


@click.command(short_help="Call a function and print what it answers.")
@click.argument("name")
@click.option("--payload", metavar="JSON|@FILE|-", help="The event: as text, from a file, or (-) from standard input.")
@click.option("--qualifier", metavar="Q", help="A version or an alias.")
@click.option("--tail", is_flag=True, help="Print the end of the invocation's log to standard error.")
@click.option("--client-context", metavar="JSON", help="What the function finds in context.client_context.")
@click.option("--output-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the payload to a file.")
@options.output
@options.target
def invoke(
    name: str,
    payload: str | None,
    qualifier: str | None,
    tail: bool,
    client_context: str | None,
    output_file: Path | None,
    target: Target,
    as_json: bool,
) -> None:
    """Call a function and print what it answers: laid out on a terminal, byte for byte into a pipe.

    The exit code is 0 when the function succeeded, 1 when it was not called, and 3 when it failed.

    \b
    Example:
      pasture invoke hello --payload '{"name": "Ada"}' --tail
      pasture invoke hello --payload @event.json > answer.json
    """
    request = call_parameters(name, read_payload(payload), qualifier, client_context, tail=tail)
    answer = _call(target, request)
    if tail:
        click.echo(answer.log_tail, err=True, nl=not answer.log_tail.endswith(b"\n"))
    if answer.error is not None:
        note(describe_error(answer.error, answer.payload))
    _deliver(answer, output_file, as_json=as_json)
    if answer.error is not None:
        sys.exit(FUNCTION_ERROR)


def read_payload(given: str | None) -> bytes | None:
    """The bytes that `--payload` means; None when it was not given."""
    if given is None:
        return None
    if given == "-":
        return sys.stdin.buffer.read()
    return Path(given[1:]).expanduser().read_bytes() if given.startswith("@") else given.encode()


def call_parameters(
    name: str, payload: bytes | None, qualifier: str | None, client_context: str | None, *, tail: bool
) -> dict[str, Any]:
    """The parameters of Invoke: only those that were given."""
    parameters = {
        "FunctionName": name,
        "Payload": payload,
        "Qualifier": qualifier,
        "ClientContext": base64.b64encode(client_context.encode()).decode() if client_context is not None else None,
        "LogType": "Tail" if tail else None,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def describe_error(kind: str, payload: bytes) -> str:
    """What went wrong in a function, as one reads it: type, message, stack trace."""
    try:
        error = json.loads(payload)
    except ValueError:
        error = None
    if not isinstance(error, Mapping) or not {"errorType", "errorMessage"} & error.keys():
        return f"The function failed ({kind}). {payload.decode(errors='replace')}".rstrip()
    said = ": ".join(str(error[name]) for name in ("errorType", "errorMessage") if error.get(name))
    return "\n".join([f"The function failed ({kind}). {said}", *_stack(error)])


def _stack(error: Mapping[str, Any]) -> list[str]:
    """Python, Java, Ruby and .NET name it `stackTrace`, Node.js `trace`; a frame is a text or, rarely, a list."""
    frames = error.get("stackTrace") or error.get("trace") or []
    if not isinstance(frames, list):
        frames = [frames]
    texts = [frame if isinstance(frame, str) else " ".join(map(str, frame)) for frame in frames]
    return [text.rstrip("\n") for text in texts]


def _call(target: Target, parameters: dict[str, Any]) -> Answer:
    said = lambda_client(target).invoke(**parameters)
    return Answer(said["Payload"].read(), said.get("FunctionError"), base64.b64decode(said.get("LogResult", "")))


def _deliver(answer: Answer, output_file: Path | None, *, as_json: bool) -> None:
    if output_file is not None:
        output_file.write_bytes(answer.payload)
    elif as_json or not sys.stdout.isatty():
        sys.stdout.buffer.write(answer.payload)
        sys.stdout.buffer.flush()
    elif answer.error is None:  # on a terminal the description of an error has said it all
        _print_pretty(answer.payload)


def _print_pretty(payload: bytes) -> None:
    from rich.console import Console

    try:
        text = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        click.echo(payload)
        return
    Console().print_json(text, ensure_ascii=False)
