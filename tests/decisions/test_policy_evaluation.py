"""All policies that have a say, put together."""

import pytest

from pasture.iam.evaluation import ALLOWED, Decision, decide
from pasture.iam.policy import Kind, Policy, parse
from pasture.iam.principal import Principal

A, B = "111111111111", "222222222222"
INVOKE = "lambda:InvokeFunction"
FUNCTION = f"arn:aws:lambda:us-east-1:{A}:function:f"
ANN = f"arn:aws:iam::{A}:user/ann"


def policy(effect: str, action: str = "lambda:*") -> Policy:
    return parse({"Statement": {"Effect": effect, "Action": action, "Resource": "*"}})


def of_resource(effect: str, **principal: str) -> Policy:
    statement = {"Effect": effect, "Principal": principal, "Action": "*", "Resource": "*"}
    return parse({"Statement": statement}, Kind.RESOURCE)


def user(*policies: Policy, account: str = A, session: Policy | None = None) -> Principal:
    return Principal("AKIA", account, f"arn:aws:iam::{account}:user/ann", "AIDA", policies, session)


def asked(principal: Principal, resource_policy: Policy | None = None, *, trust: bool = False) -> Decision:
    return decide(principal, INVOKE, FUNCTION, {}, resource_policy, resource_must_agree=trust)


def no(kind: str) -> Decision:
    return Decision(allowed=False, reason=f"because no {kind} policy allows the {INVOKE} action")


def never(kind: str) -> Decision:
    return Decision(allowed=False, reason=f"with an explicit deny in {kind} policy")


ROOT = Principal(account=A)
ALLOW, DENY = policy("Allow"), policy("Deny")
TO_ANN, TO_ACCOUNT = of_resource("Allow", AWS=ANN), of_resource("Allow", AWS=A)


@pytest.mark.parametrize(
    ("principal", "resource_policy", "decision"),
    [
        (ROOT, None, ALLOWED),
        (ROOT, of_resource("Deny", AWS=A), never("a resource-based")),
        (user(), None, no("identity-based")),
        (user(ALLOW), None, ALLOWED),
        (user(ALLOW, DENY), None, never("an identity-based")),
        (user(DENY), TO_ANN, never("an identity-based")),
        (user(), TO_ANN, ALLOWED),
        (user(), TO_ACCOUNT, no("identity-based")),
        (user(ALLOW), TO_ACCOUNT, ALLOWED),
        (user(ALLOW, session=policy("Allow", "s3:*")), None, no("session")),
        (user(ALLOW, session=DENY), None, never("a session")),
        (user(ALLOW, session=ALLOW), None, ALLOWED),
        (user(session=ALLOW), None, no("identity-based")),
        (user(session=policy("Allow", "s3:*")), TO_ANN, no("session")),
    ],
)
def test_within_an_account_either_side_may_allow(
    principal: Principal, resource_policy: Policy | None, decision: Decision
) -> None:
    assert asked(principal, resource_policy) == decision


@pytest.mark.parametrize(
    ("principal", "resource_policy", "decision"),
    [
        (user(ALLOW, account=B), None, no("resource-based")),
        (user(account=B), of_resource("Allow", AWS=B), no("identity-based")),
        (user(ALLOW, account=B), of_resource("Allow", AWS=B), ALLOWED),
        (user(account=B), of_resource("Allow", AWS="*"), no("identity-based")),
        (Principal(account=B), None, no("resource-based")),
        (Principal(account=B), of_resource("Allow", AWS=B), ALLOWED),
    ],
)
def test_between_accounts_both_sides_must_allow(
    principal: Principal, resource_policy: Policy | None, decision: Decision
) -> None:
    assert asked(principal, resource_policy) == decision


@pytest.mark.parametrize(
    ("principal", "resource_policy", "decision"),
    [
        (user(ALLOW), None, no("resource-based")),
        (user(ALLOW), TO_ACCOUNT, ALLOWED),
        (user(), TO_ACCOUNT, no("identity-based")),
        (user(), TO_ANN, ALLOWED),
        (ROOT, TO_ACCOUNT, ALLOWED),
        (ROOT, TO_ANN, no("resource-based")),
    ],
)
def test_a_role_is_assumed_only_when_its_trust_policy_agrees(
    principal: Principal, resource_policy: Policy | None, decision: Decision
) -> None:
    assert asked(principal, resource_policy, trust=True) == decision


def test_a_service_needs_a_resources_policy_and_nothing_else() -> None:
    s3 = Principal("", "", "s3.amazonaws.com", "", (), service="s3.amazonaws.com")
    assert asked(s3) == no("resource-based")
    assert asked(s3, of_resource("Allow", Service="s3.amazonaws.com")) == ALLOWED
    assert asked(s3, of_resource("Allow", Service="sns.amazonaws.com")) == no("resource-based")


def test_a_resource_without_an_account_belongs_to_the_callers() -> None:
    assert decide(user(ALLOW), "lambda:ListFunctions", "*", {}) == ALLOWED
