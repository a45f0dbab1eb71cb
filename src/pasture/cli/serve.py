"""`pasture serve`: the server. Standard output gets one line, when it is ready; all else is log, on standard error."""

import errno
import logging
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click

from pasture.cli.failure import REFUSED
from pasture.isolation.network.options import MODES
from pasture.kit.errors import OperatorError
from pasture.settings import DEFAULT_PORT, Settings, load

_LEVELS = ("debug", "info", "warning", "error")


@click.command(context_settings={"auto_envvar_prefix": "PASTURE", "show_default": True})
@click.option("--host", metavar="ADDRESS", show_default="127.0.0.1", help="The address to listen on.")
@click.option("--port", type=int, show_default=str(DEFAULT_PORT), help="The port; 0 takes a free one.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the user's data directory",
    help="Where everything is kept.",
)
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file with settings; options win over it."
)
@click.option("--no-auth", is_flag=True, help="Take any key, or none. Only on a loopback address.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "namespaces", "process"]),
    show_default="auto",
    help="How functions are kept apart from this machine and from each other.",
)
@click.option(
    "--network",
    type=click.Choice(MODES),
    show_default="auto",
    help="Whether functions have a way out; auto: where this machine allows it.",
)
@click.option(
    "--s3-endpoint",
    metavar="URL",
    help="Where code in S3 is read from; `aws`: from Amazon's, with this process's keys.",
)
@click.option(
    "--neighbour",
    "neighbour",
    multiple=True,
    metavar="[SERVICE=]URL",
    help="A server of other services of AWS, or of one: http://127.0.0.1:5000, sqs=http://127.0.0.1:9324, aws.",
)
@click.option("--with-aws", is_flag=True, help="Bring those services along (moto): S3, SQS, SNS, DynamoDB and more.")
@click.option("--idle-seconds", type=float, help="Stop an environment that has served nothing for so long.")
@click.option("--memory-mb", type=int, help="What all environments together may use.")
@click.option(
    "--log-level", type=click.Choice(_LEVELS, case_sensitive=False), default="info", help="How much is logged."
)
def serve(config: Path | None, log_level: str, no_auth: bool, with_aws: bool, **options: Any) -> None:
    """Run Pasture: a Lambda region of your own, until Ctrl-C.

    Each option may also be set in the environment, as PASTURE_PORT for --port.

    \b
    Example:
      pasture serve --port 9600 --data-dir ~/lambda
    """
    settings = load(config, {**options, "auth": False if no_auth else None, "with_aws": with_aws or None})
    set_up_logging(log_level)
    sys.exit(_run(settings))


def _run(settings: Settings) -> int:
    from pasture.app.serve import run

    try:
        return run(settings, _announce)
    except OSError as error:
        if not _is_about_listening(error):
            # A fault of the server, and where it happened is worth more than a short sentence.
            logging.getLogger(__name__).exception("the server failed")
            return REFUSED
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise OperatorError(
            f"cannot listen on {settings.host} port {settings.port}: {reason}.", "Choose others with --host and --port."
        ) from error


def _is_about_listening(error: OSError) -> bool:
    if isinstance(error, socket.gaierror):
        return True
    return error.filename is None and error.errno in {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}


def set_up_logging(level: str) -> None:
    """Lines of time (UTC), level, logger and message on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _announce(url: str) -> None:
    click.echo(f"Pasture is ready at {url}")
    sys.stdout.flush()
