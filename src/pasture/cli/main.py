"""The `pasture` program: every command in one group, and every error as a sentence."""

from typing import Any

import click

from pasture import __version__
from pasture.cli.build import build
from pasture.cli.env import env
from pasture.cli.events import events
from pasture.cli.failure import Failure, explain
from pasture.cli.functions import functions
from pasture.cli.invoke import invoke
from pasture.cli.keys import keys
from pasture.cli.logs import logs
from pasture.cli.roles import roles
from pasture.cli.runtimes import runtimes
from pasture.cli.serve import serve
from pasture.cli.signer import signer
from pasture.cli.status import status


class Program(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            text = explain(error)
            if text is None:
                raise
            raise Failure(text) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order in which one needs them, rather than the alphabet's."""
        return list(self.commands)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="pasture %(version)s")
def main() -> None:
    """AWS Lambda on your own machines.

    \b
    Example:
      pasture serve
      eval "$(pasture env)"
      aws lambda list-functions
    """


for command in (serve, env, build, functions, invoke, logs, events, status, runtimes, keys, roles, signer):
    main.add_command(command)

if __name__ == "__main__":
    main()
