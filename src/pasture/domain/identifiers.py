"""Which function a client means: every form of `FunctionName` that AWS takes, with or without a qualifier. Pure.

The forms are a bare name, `account:function:name`, `function:name`, `region:account:function:name` and ARNs, each
with an optional `:qualifier`; a separate Qualifier parameter must then say the same.
"""

import re
from dataclasses import dataclass

from pasture.domain.errors import AccessDenied, InvalidParameterValue, ResourceNotFound, ValidationError
from pasture.domain.function import LATEST
from pasture.domain.scope import Scope

NAME_LENGTH_MAX = 64

# The model's NamespacedFunctionName, which takes whatever FunctionName takes.
_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_FORM = re.compile(_PATTERN, re.ASCII)
_REGION, _ACCOUNT, _NAME, _QUALIFIER = 3, 9, 11, 13


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function of one scope, and the qualifier it was addressed with; None when there was none."""

    name: str
    qualifier: str | None = None
    account: str | None = None
    """Of another account than the caller's; None of the caller's own."""

    @property
    def is_latest(self) -> bool:
        return self.qualifier in {None, LATEST}

    def scope(self, caller: Scope) -> Scope:
        """Whose it is."""
        return caller if self.account is None else Scope(self.account, caller.region)

    def arn(self, caller: Scope) -> str:
        return self.scope(caller).function_arn(self.name, self.qualifier)


def parse_function(text: str, scope: Scope, qualifier: str | None = None) -> FunctionRef:
    """What `text` and the Qualifier parameter mean to a caller in `scope` who works on functions of its own.

    Raises as `locate_function`, and AccessDenied for another account: AWS answers that with an empty message.
    """
    ref = locate_function(text, scope, qualifier)
    if ref.account is not None:
        raise AccessDenied
    return ref


def locate_function(text: str, scope: Scope, qualifier: str | None = None) -> FunctionRef:
    """As `parse_function`, of any account: for operations that the function's own policy may open to others.

    Who uses it works in `ref.scope(scope)`, and relies on the caller's having been judged before. Raises
    ValidationError, InvalidParameterValue, or ResourceNotFound for another region.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValidationError(
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {_PATTERN}"
        )
    name = form[_NAME]
    check_name_length(name)
    _check_reachable(scope, form[_REGION])
    account = (form[_ACCOUNT] or "")[:-1]
    other = account if account not in {"", scope.account} else None
    return FunctionRef(name, _agreed(form[_QUALIFIER], qualifier or None), other)


def check_name_length(name: str) -> None:
    if len(name) > NAME_LENGTH_MAX:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {NAME_LENGTH_MAX}"
        )


def _check_reachable(scope: Scope, region: str | None) -> None:
    if region is not None and (named := region[:-1]) != scope.region:
        raise ResourceNotFound(f"Functions from '{named}' are not reachable in this region ('{scope.region}')")


def _agreed(derived: str | None, given: str | None) -> str | None:
    if derived is not None and given is not None and derived != given:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return derived if given is None else given
