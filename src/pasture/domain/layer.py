"""A layer version as the catalog keeps it, who may use it, and the names and ARNs by which it is asked for. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pasture.domain.function import Code
from pasture.domain.scope import Scope

_LAYER = re.compile(r"arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]+)(?::(\d+))?", re.ASCII)


class LayerRef(NamedTuple):
    """A layer, or one version of it, of some account and region."""

    scope: Scope
    name: str
    number: int | None = None

    @property
    def arn(self) -> str:
        return self.scope.arn("lambda", f"layer:{self.name}" + (f":{self.number}" if self.number is not None else ""))


def parse_layer(text: str, scope: Scope) -> LayerRef:
    """What a name or an ARN means to a caller in `scope`; the wire's pattern has let it pass."""
    ref = parse_layer_arn(text)
    return LayerRef(scope, text) if ref is None else ref


def parse_layer_arn(arn: str) -> LayerRef | None:
    """None for what is no layer's ARN: a bare name, or AWS's own form `arn:…:lambda:::awslayer:NAME`."""
    form = _LAYER.fullmatch(arn)
    if form is None:
        return None
    region, account, name, number = form.groups()
    return LayerRef(Scope(account, region), name, int(number) if number else None)


@dataclass(frozen=True, slots=True)
class LayerStatement:
    """Whom a layer version's policy lets read it: an account, its root's ARN, or everyone."""

    id: str
    principal: str
    organization: str = ""

    def shown(self, resource: str) -> dict[str, Any]:
        """As GetLayerVersionPolicy shows it."""
        account = re.fullmatch(r"\d{12}", self.principal)
        principal: Any = self.principal
        if self.principal != "*":
            principal = {"AWS": f"arn:aws:iam::{self.principal}:root" if account else self.principal}
        statement = {
            "Sid": self.id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": "lambda:GetLayerVersion",
            "Resource": resource,
        }
        if self.organization:
            statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": self.organization}}
        return statement

    def permits(self, account: str) -> bool:
        """No account here is in an organization, so what is for one is for nobody."""
        return not self.organization and (self.principal == "*" or account in self.principal.split(":"))


@dataclass(frozen=True, slots=True)
class LayerVersion:
    """Immutable, except for its policy."""

    scope: Scope
    name: str
    number: int
    code: Code
    created: float
    """Seconds since the epoch."""
    description: str = ""
    license: str = ""
    runtimes: tuple[str, ...] | None = None
    """None when none were sent: AWS omits the member then."""
    architectures: tuple[str, ...] | None = None
    statements: Mapping[str, LayerStatement] = field(default_factory=dict)
    policy_revision: str = ""

    @property
    def layer_arn(self) -> str:
        return LayerRef(self.scope, self.name).arn

    @property
    def arn(self) -> str:
        return LayerRef(self.scope, self.name, self.number).arn

    def permits(self, account: str) -> bool:
        """Whether that account may read it."""
        return account == self.scope.account or any(s.permits(account) for s in self.statements.values())

    def suits(self, runtime: str | None, architecture: str | None) -> bool:
        """Whether it says that it is for these; None means any."""
        return (runtime is None or runtime in (self.runtimes or ())) and (
            architecture is None or architecture in (self.architectures or ())
        )
