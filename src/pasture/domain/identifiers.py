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

    @property
    def is_latest(self) -> bool:
        return self.qualifier in {None, LATEST}

    def arn(self, scope: Scope) -> str:
        return scope.function_arn(self.name, self.qualifier)


def parse_function(text: str, scope: Scope, qualifier: str | None = None) -> FunctionRef:
    """What `text` and the Qualifier parameter mean to a caller in `scope`.

    Raises ValidationError, InvalidParameterValue, ResourceNotFound (another region) or AccessDenied (another
    account: AWS answers that with an empty message).
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValidationError(
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {_PATTERN}"
        )
    name = form[_NAME]
    check_name_length(name)
    _check_reachable(scope, region=form[_REGION], account=form[_ACCOUNT])
    return FunctionRef(name, _agreed(form[_QUALIFIER], qualifier or None))


def check_name_length(name: str) -> None:
    if len(name) > NAME_LENGTH_MAX:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {NAME_LENGTH_MAX}"
        )


def _check_reachable(scope: Scope, *, region: str | None, account: str | None) -> None:
    if region is not None and (named := region[:-1]) != scope.region:
        raise ResourceNotFound(f"Functions from '{named}' are not reachable in this region ('{scope.region}')")
    if account is not None and account[:-1] != scope.account:
        raise AccessDenied


def _agreed(derived: str | None, given: str | None) -> str | None:
    if derived is not None and given is not None and derived != given:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return derived if given is None else given
