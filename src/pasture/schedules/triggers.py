"""What makes a function run by the clock or by an event, for whoever asks about the function."""

from collections.abc import Iterator
from dataclasses import dataclass

from pasture.domain.scope import Scope
from pasture.schedules.rule import RuleKey
from pasture.schedules.rules import Rules
from pasture.schedules.schedule import ScheduleKey
from pasture.schedules.schedules import Schedules


@dataclass(frozen=True, slots=True)
class Trigger:
    kind: str
    """`schedule` or `rule`."""
    what: str
    """Its name and what it waits for: a schedule expression, or a pattern of events."""
    qualifier: str
    """Of the function: a version or an alias; empty without one."""
    state: str
    arn: str


@dataclass(frozen=True, slots=True)
class Triggers:
    schedules: Schedules
    rules: Rules

    async def triggers_of(self, scope: Scope, function_name: str) -> list[Trigger]:
        """Schedules and rules of the function's own account and region, in order of kind and name."""
        arn = scope.function_arn(function_name)
        found: list[Trigger] = []
        for key, schedule in await self.schedules.aiming_at(scope, arn):
            state = "ENABLED" if schedule.is_enabled else "DISABLED"
            what = f"{_name(key)} {schedule.timing.expression} {schedule.timing.timezone}"
            found.append(Trigger("schedule", what, _qualifier(schedule.target.arn, arn), state, key.arn))
        for named, rule in await self.rules.aiming_at(arn, scope):
            what = f"{_name(named)} {rule.timing.expression if rule.timing is not None else rule.pattern}"
            qualifiers = _qualifiers([to.target.arn for to in rule.targets.values()], arn)
            found += [Trigger("rule", what, qualifier, rule.state, named.arn) for qualifier in qualifiers]
        return found


def _name(key: ScheduleKey | RuleKey) -> str:
    """Within its group or bus, unless that is the default one."""
    within = key.group if isinstance(key, ScheduleKey) else key.bus
    return key.name if within == "default" else f"{within}/{key.name}"


def _qualifiers(targets: list[str], arn: str) -> Iterator[str]:
    """Each once."""
    mine = dict.fromkeys(target for target in targets if target == arn or target.startswith(f"{arn}:"))
    return (_qualifier(target, arn) for target in mine)


def _qualifier(target: str, arn: str) -> str:
    return target.removeprefix(arn).removeprefix(":")
