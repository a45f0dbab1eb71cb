"""The nouns of EventBridge, as they are kept: buses, rules and what these are for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from pasture.domain.scope import Scope
from pasture.schedules.schedule import Retry, Target
from pasture.schedules.timing import Timing

RULES = "rules/"
BUSES = "buses/"
DEFAULT_BUS = "default"


@dataclass(frozen=True, slots=True)
class RuleTarget:
    target: Target
    """Its input is what every event is replaced by."""
    path: str = ""
    """Of the part of the event that is handed over."""
    paths: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    created: float
    state: str = "ENABLED"
    pattern: str = ""
    timing: Timing | None = None
    description: str = ""
    role: str = ""
    targets: Mapping[str, RuleTarget] = field(default_factory=dict)
    """By their ids."""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_enabled(self) -> bool:
        return self.state != "DISABLED"

    @property
    def retry(self) -> Retry:
        """The most patient of its targets."""
        return Retry(age=max((each.target.retry.age for each in self.targets.values()), default=0))


@dataclass(frozen=True, slots=True)
class Bus:
    created: float
    modified: float
    description: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What is only kept, as it is on the wire."""
    tags: Mapping[str, str] = field(default_factory=dict)


class BusKey(NamedTuple):
    scope: Scope
    name: str

    @property
    def document(self) -> str:
        return f"{buses_of(self.scope)}{quote(self.name, safe='')}"

    @property
    def rules(self) -> str:
        """The prefix of its rules."""
        return f"{rules_of(self.scope)}{quote(self.name, safe='')}/"

    @property
    def arn(self) -> str:
        return self.scope.arn("events", f"event-bus/{self.name}")


class RuleKey(NamedTuple):
    scope: Scope
    bus: str
    name: str

    @property
    def document(self) -> str:
        return f"{self.bus_key.rules}{self.name}"

    @property
    def bus_key(self) -> BusKey:
        return BusKey(self.scope, self.bus)

    @property
    def arn(self) -> str:
        bus = "" if self.bus == DEFAULT_BUS else f"{self.bus}/"
        return self.scope.arn("events", f"rule/{bus}{self.name}")


def rule_key(document: str) -> RuleKey:
    _, account, region, bus, name = document.split("/")
    return RuleKey(Scope(account, region), unquote(bus), name)


def bus_key(document: str) -> BusKey:
    _, account, region, bus = document.split("/")
    return BusKey(Scope(account, region), unquote(bus))


def bus_of(named: str | None, scope: Scope) -> BusKey:
    """By its name, or its ARN, of whoever's it is."""
    if named and named.startswith("arn:"):
        parts = named.split(":", 5)
        return BusKey(Scope(parts[4], parts[3]), parts[5].removeprefix("event-bus/"))
    return BusKey(scope, named or DEFAULT_BUS)


def rules_of(scope: Scope) -> str:
    """The prefix of all rules of an account in a region."""
    return f"{RULES}{scope.account}/{scope.region}/"


def buses_of(scope: Scope) -> str:
    return f"{BUSES}{scope.account}/{scope.region}/"
