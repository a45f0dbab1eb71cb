"""Names, ARNs and tokens of CloudWatch Logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.scope import Scope
from pasture.logs import names
from pasture.logs.errors import InvalidParameter, ResourceNotFound
from pasture.logs.records import Position

SCOPE = Scope("123456789012", "eu-west-1")
ARN = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/f"


@pytest.mark.parametrize("identifier", ["/aws/lambda/f", ARN, ARN + ":*"])
def test_a_group_is_identified_by_name_or_arn(identifier: str) -> None:
    assert names.group_of_identifier(SCOPE, identifier) == "/aws/lambda/f"


@pytest.mark.parametrize("identifier", [ARN.replace("eu-west-1", "eu-west-2"), ARN.replace("9012", "9013")])
def test_a_group_of_another_region_or_account_is_not_found(identifier: str) -> None:
    with pytest.raises(ResourceNotFound, match=r"The specified log group does not exist\."):
        names.group_of_identifier(SCOPE, identifier)


def test_an_arn_of_something_else_is_invalid() -> None:
    with pytest.raises(InvalidParameter, match="Invalid ARN"):
        names.group_of_identifier(SCOPE, "arn:aws:lambda:eu-west-1:123456789012:function:f")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "x" * 513, "aws/x", "a\n"])
def test_group_names_that_aws_refuses_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameter):
        names.check_group_name(name)


@pytest.mark.parametrize("name", ["", "a:b", "a*b", "x" * 513])
def test_stream_names_that_aws_refuses_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameter):
        names.check_stream_name(name)


def test_names_of_functions_are_names() -> None:
    names.check_group_name("/aws/lambda/my-function_1.x#y")
    names.check_stream_name("2026/11/23/[$LATEST]0123456789abcdef")


@given(timestamp=st.integers(0, 1 << 60), number=st.integers(0, 1 << 60), forward=st.booleans())
def test_a_page_token_leads_back_to_where_it_was_made(timestamp: int, number: int, forward: bool) -> None:
    position = Position(timestamp, number)
    assert names.parse_page_token(names.page_token("f" if forward else "b", position)) == (forward, position)


@given(st.integers(0, 1 << 60), st.integers(0, 1 << 60), st.integers(0, 1 << 60), st.integers(0, 1 << 60))
def test_event_ids_sort_as_events_do(a: int, b: int, c: int, d: int) -> None:
    one, other = Position(a, b), Position(c, d)
    assert (names.event_id(one) < names.event_id(other)) == (one < other)


@pytest.mark.parametrize("token", ["", "f", "x/" + "0" * 56, "f/" + "0" * 55, "f/" + "\u0660" * 56, "f/" + "9" * 56])
def test_a_page_token_that_was_not_given_out_is_invalid(token: str) -> None:
    with pytest.raises(InvalidParameter, match="The specified nextToken is invalid"):
        names.parse_page_token(token)


@given(st.text(max_size=40) | st.lists(st.integers() | st.text()).map(lambda parts: names.opaque_token(*parts)))
def test_an_opaque_token_of_other_parts_is_invalid(token: str) -> None:
    try:
        number, name = names.parse_opaque_token(token, int, str)
    except InvalidParameter:
        return
    assert names.opaque_token(number, name) == token
