"""Names of functions of other accounts: whose they are, and what a call of them needs."""

import pytest

from pasture.api.auth.needs import Need, needs
from pasture.domain.errors import AccessDenied, ResourceNotFound
from pasture.domain.identifiers import FunctionRef, locate_function, parse_function
from pasture.domain.scope import Scope

HERE, THERE = Scope("111122223333", "eu-west-1"), Scope("444455556666", "eu-west-1")
FORMS = (
    THERE.function_arn("f", "live"),
    "444455556666:function:f:live",
    "444455556666:f:live",
    "eu-west-1:444455556666:function:f:live",
)


@pytest.mark.parametrize("name", FORMS)
def test_whatever_form_names_it_a_function_of_another_account_is_that_accounts(name: str) -> None:
    ref = locate_function(name, HERE)
    assert ref == FunctionRef("f", "live", "444455556666")
    assert (ref.scope(HERE), ref.arn(HERE)) == (THERE, THERE.function_arn("f", "live"))


@pytest.mark.parametrize("name", FORMS)
def test_who_works_on_its_own_functions_is_given_no_others(name: str) -> None:
    with pytest.raises(AccessDenied) as denial:
        parse_function(name, HERE)
    assert denial.value.message == ""


def test_a_function_of_ones_own_has_no_other_account() -> None:
    assert locate_function(HERE.function_arn("f"), HERE) == FunctionRef("f")


def test_a_function_of_another_region_cannot_be_reached() -> None:
    with pytest.raises(ResourceNotFound):
        locate_function(Scope("444455556666", "us-east-1").function_arn("f"), HERE)


@pytest.mark.parametrize("name", FORMS)
def test_a_call_needs_its_action_on_the_others_function(name: str) -> None:
    needed = list(needs("lambda", "Invoke", {"FunctionName": name}, HERE))
    assert needed == [Need("lambda:InvokeFunction", THERE.function_arn("f", "live"))]
