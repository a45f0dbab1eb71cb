"""`pasture roles`: what functions, and whoever assumes a role, may do. They are in the server's data directory."""

from pathlib import Path
from typing import Any

import click

from pasture.cli import options, policies
from pasture.cli.failure import Failure
from pasture.cli.output import print_json, print_table
from pasture.domain.scope import DEFAULT_ACCOUNT
from pasture.iam.policy import Kind
from pasture.iam.roles import DEFAULT_POLICY, DEFAULT_SESSION_SECONDS, FILE, Role, Roles, own_account
from pasture.kit.clock import iso_millis

_account = click.option(
    "--account", default=DEFAULT_ACCOUNT, show_default=True, help="The account the role belongs to."
)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_policy = click.option("--policy", "policy_file", type=_file, metavar="FILE", help="The policy document.")
_policy_json = click.option("--policy-json", metavar="JSON", help="The policy document itself.")
_policy_name = click.option(
    "--policy-name", default=DEFAULT_POLICY, show_default=True, help="Its name: a role may have several policies."
)


@click.group()
def roles() -> None:
    """Make, show, change and delete roles. A server need not be running, and a running one knows them at once.

    \b
    Example:
      pasture roles create orders --policy orders.json
    """


@roles.command()
@click.argument("name")
@_account
@_policy
@_policy_json
@_policy_name
@click.option("--trust", type=_file, metavar="FILE", help="Who may assume it; without one, its own account.")
@click.option("--path", default="/", show_default=True, help="What comes before the name in the ARN.")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--session-seconds", type=int, default=DEFAULT_SESSION_SECONDS, show_default=True, help="The longest session."
)
@options.data_dir
@options.output
def create(
    name: str,
    account: str,
    policy_file: Path | None,
    policy_json: str | None,
    policy_name: str,
    trust: Path | None,
    path: str,
    description: str,
    session_seconds: int,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Make a role. Without a policy it may do nothing.

    \b
    Example:
      pasture roles create orders --policy orders.json
      pasture roles create deployer --policy all.json --trust who.json
    """
    document = policies.given(policy_file, policy_json)
    role = _roles(data_dir).create(
        Role(
            name,
            account,
            path,
            description,
            policies={} if document is None else {policy_name: document},
            trust=policies.given(trust, None, Kind.TRUST),
            session_seconds=session_seconds,
        )
    )
    if as_json:
        print_json(_details(role))
    else:
        click.echo(role.arn)


@roles.command("list")
@options.data_dir
@options.output
def list_roles(data_dir: Path, as_json: bool) -> None:
    """Show the roles.

    \b
    Example:
      pasture roles list
    """
    known = _roles(data_dir).list()
    if as_json:
        print_json([_details(role) for role in known])
        return
    print_table(
        ("ARN", "POLICIES", "CREATED", "DESCRIPTION"),
        [(role.arn, ", ".join(role.policies), iso_millis(role.created), role.description) for role in known],
    )


@roles.command()
@click.argument("name")
@_account
@options.data_dir
def show(name: str, account: str, data_dir: Path) -> None:
    """Show a role with its policies, as JSON.

    \b
    Example:
      pasture roles show orders
    """
    role = _roles(data_dir).get(account, name)
    if role is None:
        raise Failure(_unknown(account, name))
    print_json(_details(role))


@roles.command("put-policy")
@click.argument("name")
@_account
@_policy
@_policy_json
@_policy_name
@options.data_dir
def put_policy(
    name: str, account: str, policy_file: Path | None, policy_json: str | None, policy_name: str, data_dir: Path
) -> None:
    """Give a role a policy, or another one of that name.

    \b
    Example:
      pasture roles put-policy orders --policy orders.json
    """
    role = _roles(data_dir).put_policy(account, name, policy_name, policies.required(policy_file, policy_json))
    click.echo(_has(role))


@roles.command("delete-policy")
@click.argument("name")
@_account
@_policy_name
@options.data_dir
def delete_policy(name: str, account: str, policy_name: str, data_dir: Path) -> None:
    """Take a policy from a role.

    \b
    Example:
      pasture roles delete-policy orders --policy-name queue
    """
    role = _roles(data_dir).delete_policy(account, name, policy_name)
    click.echo(_has(role))


@roles.command("put-trust")
@click.argument("name")
@click.argument("file", type=_file)
@_account
@options.data_dir
def put_trust(name: str, file: Path, account: str, data_dir: Path) -> None:
    """Say who may assume a role.

    \b
    Example:
      pasture roles put-trust deployer who.json
    """
    document = policies.given(file, None, Kind.TRUST)
    role = _roles(data_dir).put_trust(account, name, document or own_account(account))
    click.echo(f"{role.arn} has another trust policy.")


@roles.command()
@click.argument("name")
@_account
@options.data_dir
def delete(name: str, account: str, data_dir: Path) -> None:
    """Delete a role; its sessions and the functions that run with it have no rights from then on.

    \b
    Example:
      pasture roles delete orders
    """
    if not _roles(data_dir).delete(account, name):
        raise Failure(_unknown(account, name))
    click.echo(f"Deleted {name}.")


def _roles(data_dir: Path) -> Roles:
    return Roles(data_dir / FILE)


def _has(role: Role) -> str:
    return f"{role.arn} has {'the policies ' + ', '.join(role.policies) if role.policies else 'no policies'}."


def _unknown(account: str, name: str) -> str:
    return f"There is no role {name} in account {account}. `pasture roles list` shows those there are."


def _details(role: Role) -> dict[str, Any]:
    return {
        "Arn": role.arn,
        "Account": role.account,
        "Description": role.description,
        "Created": iso_millis(role.created),
        "SessionSeconds": role.session_seconds,
        "Policies": role.policies,
        "Trust": role.trust or own_account(role.account),
    }
