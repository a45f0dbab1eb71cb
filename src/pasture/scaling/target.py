"""A scalable target with all that belongs to it: the one document that changes as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ACTIVITIES = 50
"""The last so many are kept."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Target tracking of LambdaProvisionedConcurrencyUtilization."""

    id: str
    created: float
    value: float
    """The share of 1 that is aimed at."""
    out_cooldown: int | None = None
    in_cooldown: int | None = None
    scales_in: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """A scheduled one."""

    id: str
    created: float
    schedule: str
    since: float
    """It is looked for what is due after this moment: the last time it was taken, or when it was put."""
    timezone: str = ""
    start: float | None = None
    end: float | None = None
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    id: str
    description: str
    cause: str
    start: float
    end: float
    status: str = "Successful"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Suspended:
    scale_in: bool = False
    scale_out: bool = False
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    id: str
    minimum: int
    maximum: int
    created: float
    suspended: Suspended = field(default_factory=Suspended)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    actions: Mapping[str, Action] = field(default_factory=dict)
    activities: tuple[Activity, ...] = ()
    """The latest first."""
    scaled_out: float = 0.0
    scaled_in: float = 0.0
