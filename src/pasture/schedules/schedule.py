"""The nouns of EventBridge Scheduler, as they are kept. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pasture.domain.scope import Scope
from pasture.schedules.timing import Timing

SCHEDULES = "schedules/"
GROUPS = "schedule-groups/"
DEFAULT_GROUP = "default"


@dataclass(frozen=True, slots=True)
class Retry:
    """Of handing over; what a function makes of it is the function's own."""

    attempts: int = 185
    age: int = 86_400
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Target:
    arn: str
    role: str = ""
    input: str | None = None
    retry: Retry = field(default_factory=Retry)
    dead_letter: str = ""
    """ARN of a queue."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What only some targets have, as it is on the wire: `SqsParameters` and such."""


@dataclass(frozen=True, slots=True)
class Schedule:
    timing: Timing
    target: Target
    created: float
    modified: float
    description: str | None = None
    is_enabled: bool = True
    window: int = 0
    """Minutes that a firing may be late by; 0 for none."""
    kms_key: str = ""
    is_deleted_at_the_end: bool = False
    token: str = ""
    """The client's, of the call that made it."""


@dataclass(frozen=True, slots=True)
class Group:
    created: float
    modified: float
    tags: Mapping[str, str] = field(default_factory=dict)
    is_going: bool = False
    """Being deleted, with the schedules in it."""
    token: str = ""


class GroupKey(NamedTuple):
    scope: Scope
    name: str

    @property
    def document(self) -> str:
        return f"{_prefix(GROUPS, self.scope)}{self.name}"

    @property
    def schedules(self) -> str:
        """The prefix of its schedules."""
        return f"{_prefix(SCHEDULES, self.scope)}{self.name}/"

    @property
    def arn(self) -> str:
        return self.scope.arn("scheduler", f"schedule-group/{self.name}")


class ScheduleKey(NamedTuple):
    scope: Scope
    group: str
    name: str

    @property
    def document(self) -> str:
        return f"{_prefix(SCHEDULES, self.scope)}{self.group}/{self.name}"

    @property
    def group_key(self) -> GroupKey:
        return GroupKey(self.scope, self.group)

    @property
    def arn(self) -> str:
        return self.scope.arn("scheduler", f"schedule/{self.group}/{self.name}")


def schedule_key(document: str) -> ScheduleKey:
    _, account, region, group, name = document.split("/")
    return ScheduleKey(Scope(account, region), group, name)


def group_key(document: str) -> GroupKey:
    _, account, region, name = document.split("/")
    return GroupKey(Scope(account, region), name)


def schedules_of(scope: Scope) -> str:
    """The prefix of all schedules of an account in a region."""
    return _prefix(SCHEDULES, scope)


def groups_of(scope: Scope) -> str:
    return _prefix(GROUPS, scope)


def _prefix(kind: str, scope: Scope) -> str:
    return f"{kind}{scope.account}/{scope.region}/"
