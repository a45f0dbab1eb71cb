"""What a person sees of an error: one readable text on standard error, and an exit code. No traceback."""

import errno
import os
from typing import IO, Any

import click

from pasture.kit.errors import OperatorError

REFUSED = 1
FUNCTION_ERROR = 3


class Failure(click.ClickException):
    """Ends the program with a text on standard error."""

    exit_code = REFUSED

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.format_message(), file=file, err=file is None)


def nobody_answers(url: str) -> str:
    return f"No Pasture answers at {url}. Start one with `pasture serve`."


def explain(error: Exception) -> str | None:
    """The text for an error that is not ours to mend; None for a fault of this program."""
    if isinstance(error, OperatorError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None and error.errno != errno.EPIPE:
        reason = os.strerror(error.errno)
        return f"{error.filename}: {reason}." if error.filename else f"{reason}."
    return _explain_client(error)


def _explain_client(error: Exception) -> str | None:
    from botocore import exceptions as aws
    from botocore.parsers import ResponseParserError

    if isinstance(error, aws.ClientError):
        said = error.response["Error"]
        return f"{said.get('Code', 'Unknown')}: {said.get('Message') or 'the server gave no message.'}"
    if isinstance(error, (aws.EndpointConnectionError, aws.ConnectTimeoutError)):
        return nobody_answers(_origin(str(error.kwargs["endpoint_url"])))
    if isinstance(error, ResponseParserError):
        return "What answers there is not Pasture: its answer has another form. Is --endpoint-url right?"
    if isinstance(error, aws.BotoCoreError):
        return str(error)
    return None


def _origin(url: str) -> str:
    """Scheme and address: the path of the call is no business of the reader's."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
