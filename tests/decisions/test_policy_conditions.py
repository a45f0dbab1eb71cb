"""Conditions of policies: every operator, with and without the request's value."""

from typing import Any

import pytest

from pasture.iam.conditions import parse

ARN = "arn:aws:s3:::bucket/key"


def holds(operator: str, wanted: Any, given: list[str] | None) -> bool:
    context = {} if given is None else {"aws:key": given}
    return all(condition.holds(context) for condition in parse({operator: {"aws:Key": wanted}}, variables=True))


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "result"),
    [
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["x", "a"], "a", True),
        ("StringEquals", "A", "a", False),
        ("StringEquals", True, "true", True),
        ("StringEqualsIgnoreCase", "GRÜN", "grün", True),
        ("StringLike", "a*b?", "axxbc", True),
        ("StringLike", "a*b?", "axxb", False),
        ("ArnLike", "arn:aws:s3:::buck*", ARN, True),
        ("ArnEquals", "arn:*:s3:*:*:bucket/*", ARN, True),
        ("ArnLike", "arn:*:bucket/key", ARN, False),
        ("ArnLike", "arn:aws:s?:::bucket/key", ARN, True),
        ("NumericEquals", 10, "10.0", True),
        ("NumericLessThan", 10, "9.9", True),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "10", False),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("NumericEquals", "10", "ten", False),
        ("NumericEquals", "10", "NaN", False),
        ("DateEquals", "2024-01-01T00:00:00Z", "1704067200", True),
        ("DateLessThan", "2024", "2023-12-31T23:59:59Z", True),
        ("DateGreaterThan", "2024-01-02", "2024-01-01T23:00:00Z", False),
        ("DateGreaterThanEquals", "2024-01", "2024-01-01T00:00:00+00:00", True),
        ("DateLessThanEquals", "2024-01-01T00:00:00Z", "2024-01-01T01:00:00+02:00", True),
        ("Bool", "true", "True", True),
        ("Bool", False, "true", False),
        ("IpAddress", ["10.0.0.0/8", "::1"], "10.1.2.3", True),
        ("IpAddress", "10.0.0.0/8", "11.1.2.3", False),
        ("IpAddress", "fe80::/10", "10.1.2.3", False),
        ("IpAddress", "10.0.0.0/8", "nowhere", False),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("Null", "false", "a", True),
        ("Null", "true", "a", False),
    ],
)
def test_an_operator_compares(operator: str, wanted: Any, given: str, result: bool) -> None:
    assert holds(operator, wanted, [given]) is result


@pytest.mark.parametrize(
    ("positive", "negative", "wanted"),
    [
        ("StringEquals", "StringNotEquals", "a"),
        ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "A"),
        ("StringLike", "StringNotLike", "a*"),
        ("ArnLike", "ArnNotLike", "a"),
        ("ArnEquals", "ArnNotEquals", "a"),
        ("NumericEquals", "NumericNotEquals", "1"),
        ("DateEquals", "DateNotEquals", "2024-01-01"),
        ("IpAddress", "NotIpAddress", "1.2.3.4"),
    ],
)
@pytest.mark.parametrize("given", [["a"], ["b"], ["1"], ["1.2.3.4"], ["2024-01-01"], None])
def test_a_negated_operator_says_the_opposite(
    positive: str, negative: str, wanted: str, given: list[str] | None
) -> None:
    assert holds(negative, wanted, given) is not holds(positive, wanted, given)


@pytest.mark.parametrize(
    ("operator", "result"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", False),
    ],
)
@pytest.mark.parametrize("given", [None, []])
def test_a_key_that_the_request_lacks_is_told_by_the_operator(
    operator: str, result: bool, given: list[str] | None
) -> None:
    assert holds(operator, "a", given) is result
    assert holds("Null", "true", given) is True


@pytest.mark.parametrize(
    ("operator", "given", "result"),
    [
        ("ForAllValues:StringLike", ["a1", "a2"], True),
        ("ForAllValues:StringLike", ["a1", "b"], False),
        ("ForAnyValue:StringLike", ["b", "a1"], True),
        ("ForAnyValue:StringLike", ["b", "c"], False),
        ("ForAllValues:StringNotLike", ["b", "c"], True),
        ("ForAllValues:StringNotLike", ["b", "a1"], False),
        ("ForAnyValue:StringNotLike", ["a1", "b"], True),
        ("StringLike", ["b", "a1"], True),
        ("StringNotLike", ["b", "a1"], False),
    ],
)
def test_a_key_with_many_values_is_judged_by_the_quantifier(operator: str, given: list[str], result: bool) -> None:
    assert holds(operator, "a*", given) is result


def test_all_operators_and_all_keys_must_hold() -> None:
    element = {"StringEquals": {"a": "1", "b": "2"}, "Bool": {"c": "true"}}

    def all_hold(**context: str) -> bool:
        given = {key: (value,) for key, value in context.items()}
        return all(condition.holds(given) for condition in parse(element, variables=True))

    assert all_hold(a="1", b="2", c="true")
    assert not all_hold(a="1", b="2", c="false")
    assert not all_hold(a="1", b="1", c="true")


def test_values_have_variables() -> None:
    (condition,) = parse({"StringEquals": {"lambda:FunctionArn": "f-${aws:username}"}}, variables=True)
    assert condition.holds({"lambda:functionarn": ("f-ann",), "aws:username": ("ann",)})
    assert not condition.holds({"lambda:functionarn": ("f-ann",)})
