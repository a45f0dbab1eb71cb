"""Wildcards and whole policies against the plainest way to write the same rules."""

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pasture.iam.errors import MalformedPolicy
from pasture.iam.policy import Effect, parse
from pasture.iam.wildcards import Style, Texts

SHORT = st.text("ab:", max_size=8)
PATTERN = st.text("ab:*?", max_size=8)
SEGMENTS = ["a", "b", "ab", "*", "a*", "?", "*b", "a?b*"]
ARN_PATTERN = st.lists(st.sampled_from(SEGMENTS), min_size=6, max_size=8).map(":".join)
ARN = st.lists(st.sampled_from(["", "a", "b", "ab", "aab", "bb"]), min_size=6, max_size=8).map(":".join)


def naive(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in {"?", text[0]} and naive(pattern[1:], text[1:])


def naive_arn(pattern: str, text: str) -> bool:
    one, other = pattern.split(":", 5), text.split(":", 5)
    return len(one) == len(other) and all(naive(p, t) for p, t in zip(one, other, strict=True))


@given(st.lists(PATTERN, max_size=3), SHORT)
def test_wildcards_match_what_a_plain_matcher_matches(patterns: list[str], text: str) -> None:
    assert Texts(patterns, Style()).match(text, {}) == any(naive(pattern, text) for pattern in patterns)


@given(PATTERN, SHORT)
def test_a_variables_value_is_matched_as_it_stands(pattern: str, value: str) -> None:
    texts = Texts([f"{pattern}-${{k}}"], Style())
    prefix = pattern.replace("*", "xx").replace("?", "y") + "-"
    assert texts.match(prefix + value, {"k": (value,)})
    assert not texts.match(prefix + value + "!", {"k": (value,)})


@given(ARN_PATTERN, ARN)
def test_arns_in_conditions_are_matched_component_by_component(pattern: str, arn: str) -> None:
    assert Texts([pattern], Style(arn=True)).match(arn, {}) == naive_arn(pattern, arn)


def test_no_pattern_takes_long() -> None:
    texts = Texts(["*a" * 1_000 + "b", "*" + "?*a" * 500], Style())
    begun = time.perf_counter()
    assert not texts.match("a" * 900, {})
    assert time.perf_counter() - begun < 1.0


ACTIONS = ["lambda:Invoke", "lambda:Get", "s3:Get"]
RESOURCES = ["arn:a", "arn:b", "arn:ab"]
STATEMENT = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"])}
    | {
        "Action": st.lists(st.sampled_from([*ACTIONS, "*", "lambda:*", "*:get"]), min_size=1, max_size=2),
        "Resource": st.lists(st.sampled_from([*RESOURCES, "*", "arn:a*"]), min_size=1, max_size=2),
    },
    optional={"Condition": st.sampled_from([{"Bool": {"k": "true"}}, {"StringNotEquals": {"k": "true"}}])},
)


def naive_decision(statements: list[dict[str, Any]], action: str, resource: str, k: str | None) -> Effect | None:
    effects = set()
    for statement in statements:
        if not any(naive(wanted.lower(), action.lower()) for wanted in statement["Action"]):
            continue
        if not any(naive(wanted, resource) for wanted in statement["Resource"]):
            continue
        condition = statement.get("Condition", {})
        if ("Bool" in condition and k != "true") or ("StringNotEquals" in condition and k == "true"):
            continue
        effects.add(statement["Effect"])
    if "Deny" in effects:
        return Effect.DENY
    return Effect.ALLOW if effects else None


@given(
    st.lists(STATEMENT, min_size=1, max_size=4),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
    st.sampled_from(["true", "false", None]),
)
def test_a_policy_decides_as_its_statements_one_by_one(
    statements: list[dict[str, Any]], action: str, resource: str, k: str | None
) -> None:
    policy = parse({"Version": "2012-10-17", "Statement": statements})
    context = {} if k is None else {"k": (k,)}
    assert policy.decide(action, resource, context) is naive_decision(statements, action, resource, k)


ELEMENTS = ["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Null", "Sid"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["Allow", "*", "2012-10-17", "true"]),
    lambda x: st.lists(x) | st.dictionaries(st.sampled_from(ELEMENTS), x),
    max_leaves=12,
)


@given(ANYTHING, st.dictionaries(st.sampled_from(ELEMENTS), ANYTHING))
def test_whatever_is_no_policy_is_refused_and_nothing_else_happens(content: Any, more: Any) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", **more}
    for document in (content, {"Statement": statement}):
        try:
            policy = parse(document)
        except MalformedPolicy:
            continue
        policy.decide("lambda:Invoke", "arn:a", {})
