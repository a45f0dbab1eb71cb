"""Which function a client means."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.errors import AccessDenied, ApiError, InvalidParameterValue, ResourceNotFound, ValidationError
from pasture.domain.identifiers import FunctionRef, parse_function
from pasture.domain.scope import Scope

HERE = Scope("111111111111", "eu-west-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f", FunctionRef("f")),
        ("my-function_1", FunctionRef("my-function_1")),
        ("f:live", FunctionRef("f", "live")),
        ("f:7", FunctionRef("f", "7")),
        ("f:$LATEST", FunctionRef("f", "$LATEST")),
        ("f:$LATEST.PUBLISHED", FunctionRef("f", "$LATEST.PUBLISHED")),
        ("function:f", FunctionRef("f")),
        ("function:f:live", FunctionRef("f", "live")),
        ("111111111111:f", FunctionRef("f")),
        ("111111111111:function:f", FunctionRef("f")),
        ("111111111111:function:f:live", FunctionRef("f", "live")),
        ("eu-west-1:111111111111:function:f", FunctionRef("f")),
        ("arn:aws:lambda:eu-west-1:111111111111:function:f", FunctionRef("f")),
        ("arn:aws:lambda:eu-west-1:111111111111:function:f:live", FunctionRef("f", "live")),
        ("arn:aws:lambda:eu-west-1:111111111111:function:f:$LATEST", FunctionRef("f", "$LATEST")),
    ],
)
def test_every_form_of_a_name_is_understood(text: str, expected: FunctionRef) -> None:
    assert parse_function(text, HERE) == expected


@pytest.mark.parametrize(("text", "qualifier"), [("f", "live"), ("f:live", "live")])
def test_a_qualifier_may_come_beside_the_name_or_in_it_or_both(text: str, qualifier: str) -> None:
    assert parse_function(text, HERE, qualifier) == FunctionRef("f", "live")


def test_an_empty_qualifier_is_none_at_all() -> None:
    assert parse_function("f", HERE, "") == FunctionRef("f")


def answer(text: str, qualifier: str | None = None) -> tuple[type[ApiError], str]:
    with pytest.raises(ApiError) as failure:
        parse_function(text, HERE, qualifier)
    return type(failure.value), failure.value.message


def test_two_qualifiers_that_differ_are_refused() -> None:
    assert answer("f:live", "test") == (
        InvalidParameterValue,
        "The derived qualifier from the function name does not match the specified qualifier.",
    )


def test_another_region_is_not_reachable() -> None:
    assert answer("arn:aws:lambda:ap-southeast-1:111111111111:function:f") == (
        ResourceNotFound,
        "Functions from 'ap-southeast-1' are not reachable in this region ('eu-west-1')",
    )


def test_another_account_is_denied_without_a_word() -> None:
    assert answer("222222222222:function:f") == (AccessDenied, "")


def test_a_bare_name_has_at_most_64_characters() -> None:
    assert parse_function("a" * 64, HERE) == FunctionRef("a" * 64)
    assert answer("a" * 65) == (
        InvalidParameterValue,
        (
            f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: "
            "Member must have length less than or equal to 64"
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "invalid:function:name",
        "f:",
        ":f",
        "a b",
        "f/../g",
        "arn:aws:lambda:eu-west-1:111111111111@function:f",
        "f\n",
        "ф",
    ],
)
def test_what_is_no_name_is_the_validators_answer(text: str) -> None:
    error, message = answer(text)
    assert error is ValidationError
    assert message.startswith(f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy")


names = st.from_regex(re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII), fullmatch=True).filter(lambda n: n != "function")
qualifiers = (
    st.none() | st.just("$LATEST") | st.from_regex(re.compile(r"[a-zA-Z0-9_-]{1,128}", re.ASCII), fullmatch=True)
)


@given(names, qualifiers)
def test_an_arn_that_we_show_means_the_same_function_when_it_comes_back(name: str, qualifier: str | None) -> None:
    ref = FunctionRef(name, qualifier)
    assert parse_function(ref.arn(HERE), HERE) == ref


@given(st.text(max_size=200))
def test_any_text_is_a_function_or_an_answer_to_the_client(text: str) -> None:
    try:
        ref = parse_function(text, HERE)
    except ApiError:
        return
    assert 1 <= len(ref.name) <= 64
    assert "/" not in ref.name
