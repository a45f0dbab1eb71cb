"""Composes what fires by the clock or by an event: EventBridge Scheduler, and EventBridge with its rules."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from pasture.api.eventbridge_operations import EventbridgeOperations
from pasture.api.scheduler_operations import SchedulerOperations
from pasture.app.invoking import Invoking
from pasture.app.parts import Parts
from pasture.domain.scope import Scope
from pasture.iam.policy import Effect
from pasture.iam.principals import Caller
from pasture.kit.random_ids import random_uuid
from pasture.schedules import rules as of_rules
from pasture.schedules import schedules as of_schedules
from pasture.schedules.clockwork import Clockwork
from pasture.schedules.reaching import Reaching
from pasture.schedules.rules import Rules
from pasture.schedules.schedules import Schedules
from pasture.schedules.store import ScheduleStore
from pasture.schedules.triggers import Triggers

FILE = "schedules.db"
_SERVICE = "scheduler.amazonaws.com"
_PLANS = {"schedules": of_schedules.plan, "rules": of_rules.plan}


@dataclass(frozen=True, slots=True)
class Scheduled:
    operations: Mapping[str, object]
    """By service: of those that no neighbour was named for."""
    triggers: Triggers


async def open_schedules(stack: AsyncExitStack, parts: Parts, invoking: Invoking) -> Scheduled:
    store = await ScheduleStore.open(parts.data / FILE)
    stack.push_async_callback(store.close)
    buses, clock = invoking.buses, parts.clock
    rights = _Rights(parts, invoking)
    # What was put wakes the clockwork, and the clockwork puts.
    rules = Rules(store, clock, lambda: clockwork.wake(), random_uuid)  # noqa: PLW0108 (made below)
    own_buses = _Buses(rules) if buses.are_here else None
    reaching = Reaching(invoking.accepting, parts.neighbourhood.neighbours, rights.may_use, own_buses)
    clockwork = Clockwork(store, _PLANS, reaching, clock)
    schedules = Schedules(store, clock, clockwork.wake)
    stack.push_async_callback(schedules.close)
    await schedules.open()
    stack.push_async_callback(clockwork.close)
    clockwork.open()
    stack.callback(buses.close)
    buses.open(_Buses(rules).delivered)
    operations = {
        "scheduler": SchedulerOperations(schedules, clock, rights.is_assumable),
        "events": EventbridgeOperations(rules, clock),
    }
    own = {service: held for service, held in operations.items() if not buses.is_configured(service)}
    return Scheduled(own, Triggers(schedules, rules))


@dataclass(frozen=True, slots=True)
class _Buses:
    """For services: what they put may say that it is of AWS."""

    rules: Rules

    async def put(self, scope: Scope, request: Mapping[str, Any], *, hops: int = 0, trace: str = "") -> dict[str, Any]:
        return await self.rules.put_events(scope, request, is_own=True, hops=hops, trace=trace)

    async def delivered(self, scope: Scope, request: Mapping[str, Any], trace: str) -> dict[str, Any]:
        return await self.put(scope, request, trace=trace)


@dataclass(frozen=True, slots=True)
class _Rights:
    parts: Parts
    invoking: Invoking

    def may_use(self, role: str, action: str, resource: str, account: str) -> bool:
        """Without a role, what this server brings along and nothing else: there are no policies of queues and topics to
        be asked, and what was configured is the operator's.
        """
        service = action.partition(":")[0]
        embedded = service != "lambda" and not self.invoking.buses.is_configured(service)
        if not role:
            return embedded or not self.parts.settings.auth
        return self.invoking.rights.may_use(role, action, resource, embedded=embedded, holder=account)

    def is_assumable(self, role: str, account: str, must_be_known: bool) -> bool:
        """By the scheduler. Who is nobody here can invoke nothing here."""
        if not self.parts.settings.auth:
            return True
        known = self.parts.roles.find(role)
        if known is None:
            return not must_be_known
        if known.trust is None:
            return known.account == account
        context = {"aws:sourceaccount": (account,)}
        return known.trusts.decide("sts:AssumeRole", known.arn, context, Caller(service=_SERVICE)) is Effect.ALLOW
