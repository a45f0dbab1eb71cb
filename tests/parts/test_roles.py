"""Roles in their file, and the commands that change them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pasture.api.auth.keys import KeyRing
from pasture.cli.main import main
from pasture.iam.policy import Effect
from pasture.iam.principals import Caller
from pasture.iam.roles import Role, Roles, parts_of
from pasture.kit.clock import ManualClock
from pasture.kit.errors import OperatorError

ACCOUNT = "111122223333"
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}],
}
ROLE = Role("orders", ACCOUNT, policies={"default": POLICY})


def roles(folder: Path) -> Roles:
    return Roles(folder / "roles.json", ManualClock(1_700_000_000))


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PASTURE_DATA_DIR", str(tmp_path))
    return iter([tmp_path])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env=dict(os.environ))


# The file...


def test_a_role_is_found_by_its_arn_alone(tmp_path: Path) -> None:
    made = roles(tmp_path).create(Role("orders", ACCOUNT, "/team/"))
    known = roles(tmp_path)
    assert (made.arn, made.created) == (f"arn:aws:iam::{ACCOUNT}:role/team/orders", 1_700_000_000)
    assert [
        known.find(made.arn),
        known.find(made.arn.replace("aws", "aws-cn")),
        known.find(f"arn:aws:iam::{ACCOUNT}:role/orders"),
        known.find("arn:aws:iam::000000000000:role/team/orders"),
        known.find("orders"),
    ] == [made, made, None, None, None]


def test_a_running_server_sees_every_change(tmp_path: Path) -> None:
    running, other = roles(tmp_path), roles(tmp_path)
    arn = other.create(ROLE).arn
    before = running.find(arn)
    other.put_policy(ACCOUNT, "orders", "more", POLICY)
    after = running.find(arn)
    other.delete(ACCOUNT, "orders")
    assert before is not None
    assert after is not None
    assert (list(before.policies), list(after.policies), running.find(arn)) == (["default"], ["default", "more"], None)


def test_a_roles_policies_are_read_once(tmp_path: Path) -> None:
    role = roles(tmp_path).create(ROLE)
    (policy,) = role.rights
    assert policy.decide("lambda:InvokeFunction", "arn:aws:x", {}) is Effect.ALLOW
    assert role.rights[0] is policy


def test_a_role_without_a_trust_policy_trusts_its_account() -> None:
    own, other = (Caller(f"arn:aws:iam::{account}:user/a", account) for account in (ACCOUNT, "444455556666"))
    trusts = ROLE.trusts
    assert trusts.decide("sts:AssumeRole", ROLE.arn, {}, own) is Effect.LEFT_TO_THE_ACCOUNT
    assert trusts.decide("sts:AssumeRole", ROLE.arn, {}, other) is None


def test_a_policy_that_was_spoilt_by_hand_is_named() -> None:
    spoilt = Role("orders", ACCOUNT, policies={"default": {"Statement": 1}})
    with pytest.raises(
        OperatorError, match=f"cannot read a policy of the role arn:aws:iam::{ACCOUNT}:role/orders: Syn"
    ):
        _ = spoilt.rights


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "roles.json").write_text('{"keys": []}')
    with pytest.raises(OperatorError, match=r"cannot read the roles in .*roles\.json: it has no 'roles'"):
        roles(tmp_path).list()


@pytest.mark.parametrize(
    ("role", "words"),
    [
        (Role("a b"), "'a b' is not a role's name"),
        (Role("a", "1"), "'1' is not an account"),
        (Role("a", path="team"), "'team' is not a path"),
        (Role("a", session_seconds=60), "A session of 60 seconds cannot be"),
    ],
)
def test_a_role_that_cannot_be_is_refused(tmp_path: Path, role: Role, words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        roles(tmp_path).create(role)


def test_two_roles_of_an_account_have_two_names(tmp_path: Path) -> None:
    known = roles(tmp_path)
    known.create(ROLE)
    with pytest.raises(OperatorError, match="There is a role orders in account 111122223333 already"):
        known.create(ROLE)
    assert known.create(Role("orders")).arn == "arn:aws:iam::000000000000:role/orders"


def test_only_a_roles_arn_has_its_parts() -> None:
    assert [parts_of(ROLE.arn), parts_of("arn:aws:iam::1:role/r"), parts_of(f"arn:aws:iam::{ACCOUNT}:user/u")] == [
        (ACCOUNT, "orders"),
        None,
        None,
    ]


# The commands...


def test_a_role_is_made_shown_changed_and_deleted(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(POLICY))
    made = run("roles", "create", "orders", "--account", ACCOUNT, "--policy", str(file))
    assert (made.exit_code, made.stdout) == (0, f"{ROLE.arn}\n")
    more = run(
        "roles", "put-policy", "orders", "--account", ACCOUNT, "--policy-name", "b", "--policy-json", json.dumps(POLICY)
    )
    assert more.stdout == f"{ROLE.arn} has the policies default, b.\n"
    less = run("roles", "delete-policy", "orders", "--account", ACCOUNT)
    assert less.stdout == f"{ROLE.arn} has the policies b.\n"
    shown = json.loads(run("roles", "show", "orders", "--account", ACCOUNT).stdout)
    assert (shown["Arn"], shown["Policies"]) == (ROLE.arn, {"b": POLICY})
    assert run("roles", "list").stdout.splitlines()[1].split()[:2] == [ROLE.arn, "b"]
    assert run("roles", "delete", "orders", "--account", ACCOUNT).stdout == "Deleted orders.\n"
    assert json.loads(run("roles", "list", "--output", "json").stdout) == []


def test_a_roles_trust_policy_is_given_and_changed(tmp_path: Path) -> None:
    def trust(principal: str) -> tuple[Path, dict[str, Any]]:
        document = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]}
        file = tmp_path / f"{principal}.json"
        file.write_text(json.dumps(document))
        return file, document

    (first, one), (second, other) = trust("444455556666"), trust("777788889999")
    made = json.loads(run("roles", "create", "r", "--trust", str(first), "--output", "json").stdout)
    assert run("roles", "put-trust", "r", str(second)).exit_code == 0
    assert (made["Trust"], json.loads(run("roles", "show", "r").stdout)["Trust"]) == (one, other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "r", "--policy-json", "{"], "The policy is no policy that can be used: Syntax errors in policy."),
        (["put-policy", "r"], "Give the policy document with --policy FILE or --policy-json JSON."),
        (["put-policy", "r", "--policy-json", json.dumps(POLICY)], "There is no role r in account 000000000000."),
        (["delete", "r"], "There is no role r in account 000000000000. `pasture roles list` shows those there are."),
        (["show", "r"], "There is no role r in account 000000000000. `pasture roles list` shows those there are."),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(arguments: list[str], words: str) -> None:
    result = run("roles", *arguments)
    assert (result.exit_code, result.stderr) == (1, f"{words}\n")


def test_a_key_is_made_with_a_policy(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(POLICY))
    assert run("keys", "create", "--policy", str(file)).exit_code == 0
    (key,) = KeyRing(tmp_path / "keys.json").list()
    assert (key.policy, repr(key.rights)) == (POLICY, "(Policy(1 allow, 0 deny),)")
    assert run("keys", "list").stdout.rstrip().endswith("by its policy")


def test_a_key_with_half_a_policy_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"Statement": {"Effect": "Allow", "Action": "lambda:*"}}')
    result = run("keys", "create", "--policy", str(file))
    words = f"{file} is no policy that can be used: Policy statement must contain resources.\n"
    assert (result.exit_code, result.stderr, KeyRing(tmp_path / "keys.json").list()) == (1, words, [])
