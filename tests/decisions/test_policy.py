"""Policy documents: what they let pass, and which are none."""

import json
from typing import Any

import pytest

from pasture.iam.errors import MalformedPolicy
from pasture.iam.policy import Effect, Kind, parse
from pasture.iam.principals import Caller

F = "arn:aws:lambda:us-east-1:111122223333:function:orders"
INVOKE = "lambda:InvokeFunction"
USER = Caller("arn:aws:iam::111122223333:user/ann", "111122223333")
SESSION = Caller(
    "arn:aws:sts::111122223333:assumed-role/r/s", "111122223333", "arn:aws:iam::111122223333:role/r"
)  # fmt: skip


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def allow(action: Any = INVOKE, resource: Any = F, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = INVOKE, resource: Any = F, **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def said(*statements: dict[str, Any], action: str = INVOKE, resource: str = F, **context: str) -> Effect | None:
    keys = {f"aws:{name.lower()}": (value,) for name, value in context.items()}
    return parse(document(*statements)).decide(action, resource, keys)


# Decisions...


def test_what_nothing_speaks_of_is_left_open() -> None:
    assert said(allow("lambda:GetFunction")) is None
    assert said(allow(resource=f"{F}2")) is None


def test_what_a_statement_allows_is_allowed() -> None:
    assert said(allow()) is Effect.ALLOW


def test_a_deny_wins_wherever_it_stands() -> None:
    assert said(allow("*", "*"), deny()) is Effect.DENY
    assert said(deny(), allow("*", "*")) is Effect.DENY


def test_one_statement_needs_no_list() -> None:
    assert parse({"Statement": allow()}).decide(INVOKE, F, {}) is Effect.ALLOW


@pytest.mark.parametrize(
    "action", ["*", "lambda:*", "lambda:Invoke*", "LAMBDA:invokefunction", "lambda:Invoke?unction"]
)
def test_actions_have_wildcards_and_no_case(action: str) -> None:
    assert said(allow([action, "s3:GetObject"])) is Effect.ALLOW


@pytest.mark.parametrize(
    ("resource", "fits"),
    [
        ("*", True),
        (F, True),
        ("arn:aws:lambda:*:*:function:ord*", True),
        ("arn:aws:lambda:us-east-?:111122223333:function:orders", True),
        ("arn:aws:lambda:*", True),
        (F.upper().replace("ARN", "arn"), False),
        (f"{F}:*", False),
        ("arn:aws:lambda:us-east-1:111122223333:function:order", False),
    ],
)
def test_resources_have_wildcards_and_case(resource: str, fits: bool) -> None:
    assert said(allow(resource=resource)) is (Effect.ALLOW if fits else None)


def test_not_action_and_not_resource_speak_of_all_others() -> None:
    others = {"Effect": "Allow", "NotAction": ["lambda:Delete*"], "NotResource": f"{F}*"}
    assert said(others) is None
    assert said(others, resource="arn:aws:lambda:us-east-1:111122223333:function:else") is Effect.ALLOW
    assert said(others, action="lambda:DeleteFunction", resource="arn:aws:x") is None


def test_variables_stand_for_the_requests_values() -> None:
    own = allow(resource="arn:aws:lambda:*:*:function:${aws:username}-*")
    name = "arn:aws:lambda:us-east-1:1:function:ann-app"
    assert said(own, resource=name, UserName="ann") is Effect.ALLOW
    assert said(own, resource=name, UserName="bob") is None
    assert said(own, resource=name) is None


def test_what_a_variable_brings_in_is_literal() -> None:
    own = allow(resource="arn:aws:lambda:*:*:function:${aws:username}")
    assert said(own, resource=F, username="*") is None
    assert said(own, resource="arn:aws:lambda:r:a:function:*", username="*") is Effect.ALLOW


def test_a_variable_may_have_a_default_and_signs_can_be_written() -> None:
    assert said(allow(resource="arn:aws:x:${aws:username, 'none'}"), resource="arn:aws:x:none") is Effect.ALLOW
    assert said(allow(resource="arn:aws:x:${*}"), resource="arn:aws:x:*") is Effect.ALLOW
    assert said(allow(resource="arn:aws:x:${*}"), resource="arn:aws:x:y") is None


def test_the_old_version_knows_no_variables() -> None:
    policy = parse(document(allow(resource="arn:aws:x:${aws:username}"), version="2008-10-17"))
    assert policy.decide(INVOKE, "arn:aws:x:${aws:username}", {"aws:username": ("ann",)}) is Effect.ALLOW


# Principals...


@pytest.mark.parametrize(
    ("principal", "caller", "effect"),
    [
        ("*", USER, Effect.ALLOW),
        ("*", Caller(), Effect.ALLOW),
        ({"AWS": "*"}, Caller(), Effect.ALLOW),
        ({"AWS": USER.arn}, USER, Effect.ALLOW),
        ({"AWS": [USER.arn]}, SESSION, None),
        ({"AWS": SESSION.role_arn}, SESSION, Effect.ALLOW),
        ({"AWS": SESSION.arn}, SESSION, Effect.ALLOW),
        ({"AWS": "111122223333"}, USER, Effect.LEFT_TO_THE_ACCOUNT),
        ({"AWS": "arn:aws:iam::111122223333:root"}, SESSION, Effect.LEFT_TO_THE_ACCOUNT),
        ({"AWS": "444455556666"}, USER, None),
        ({"Service": "s3.amazonaws.com"}, Caller(service="s3.amazonaws.com"), Effect.ALLOW),
        ({"Service": "s3.amazonaws.com"}, Caller(service="sns.amazonaws.com"), None),
        ({"Service": "s3.amazonaws.com"}, Caller(), None),
    ],
)
def test_a_resources_policy_names_callers(principal: Any, caller: Caller, effect: Effect | None) -> None:
    policy = parse(document(allow(Principal=principal)), Kind.RESOURCE)
    assert policy.decide(INVOKE, F, {}, caller) is effect


def test_not_principal_names_all_others() -> None:
    policy = parse(document({**deny(), "NotPrincipal": {"AWS": USER.arn}}), Kind.RESOURCE)
    assert [policy.decide(INVOKE, F, {}, caller) for caller in (USER, SESSION)] == [None, Effect.DENY]


def test_a_trust_policy_has_no_resource() -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": USER.arn}, "Action": "sts:AssumeRole"}
    assert parse(document(statement), Kind.TRUST).decide("sts:AssumeRole", "any", {}, USER) is Effect.ALLOW


# Refusals...


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{", "Syntax errors in policy."),
        ("[" * 5_000, "Syntax errors in policy."),
        ("[]", "Syntax errors in policy."),
        ('{"Version": "2012-10-17"}', "Syntax errors in policy."),
        ('{"Statement": []}', "Syntax errors in policy."),
        ('{"Statement": {"Effect": "Allow", "Effect": "Deny", "Action": "*", "Resource": "*"}}', "Syntax errors in policy."),
        (document(allow(), version="2020-01-01"), "Policy document must be version 2012-10-17 or greater."),
        (document(allow(Effekt="Allow")), "Syntax errors in policy."),
        (document({**allow(), "Effect": "allow"}), "Syntax errors in policy."),
        (document({"Effect": "Allow", "Action": "*"}), "Policy statement must contain resources."),
        (document(allow(resource=[])), "Policy statement must contain resources."),
        (document({"Effect": "Allow", "Resource": "*"}), "Policy statement must contain actions."),
        (document(allow(NotAction="*")), "Syntax errors in policy."),
        (document(allow(1)), "Syntax errors in policy."),
        (document(allow("Invoke")), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (document(allow("lambda:a:b")), "Actions/Condition can contain only one colon."),
        (document(allow("la mbda:a")), "Vendor la mbda is not valid"),
        (document(allow(resource="orders")), 'Resource orders must be in ARN format or "*".'),
        (document(allow(Sid="a"), deny(Sid="a")), "Statement IDs (SID) in a single policy must be unique."),
        (document(allow(Principal="*")), "Policy document should not specify a principal."),
        (document(allow(Condition={"StringSame": {"a": "b"}})), "Invalid Condition type : StringSame."),
        (document(allow(Condition={"NumericEquals": {"a": "b"}})), "Invalid value in a condition: b."),
        (document(allow(Condition={"IpAddress": {"a": "10.0.0.0/99"}})), "Invalid value in a condition: 10.0.0.0/99."),
        (document(allow(Condition={"StringLike": "a"})), "Syntax errors in policy."),
        (document(allow(Condition={"StringLike": {"a": {}}})), "Syntax errors in policy."),
        ("x" * 20_481, "Maximum policy size of 20480 bytes exceeded."),
    ],
)  # fmt: skip
def test_a_document_that_is_no_policy_is_refused_in_iams_words(policy: Any, words: str) -> None:
    with pytest.raises(MalformedPolicy) as caught:
        parse(policy)
    assert caught.value.message == words


@pytest.mark.parametrize(
    ("kind", "statement", "words"),
    [
        (Kind.TRUST, allow(Principal="*"), "Has prohibited field Resource."),
        (Kind.TRUST, {"Effect": "Allow", "Action": "*"}, "Missing required field Principal."),
        (Kind.RESOURCE, allow(), "Missing required field Principal."),
        (Kind.RESOURCE, allow(Principal={"AWS": "ann"}), 'Invalid principal in policy: "AWS":"ann"'),
        (Kind.RESOURCE, allow(Principal={"Foo": "ann"}), "Invalid principal in policy: {'Foo': 'ann'}"),
    ],
)
def test_each_kind_of_policy_has_its_own_elements(kind: Kind, statement: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedPolicy) as caught:
        parse(document(statement), kind)
    assert caught.value.message == words


def test_a_text_is_read_as_its_json() -> None:
    assert repr(parse(json.dumps(document(allow(), deny())))) == "Policy(1 allow, 1 deny)"
