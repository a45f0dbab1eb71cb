"""Hands a firing to its target: to functions through the door of sources, to other services by their APIs."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pasture.domain.errors import ApiError
from pasture.domain.scope import Scope
from pasture.neighbours.caller import Caller, NeighbourRefused, NeighbourUnreachable, NoNeighbour
from pasture.schedules import calls
from pasture.schedules.calls import Call, NoTarget
from pasture.schedules.clockwork import Refused
from pasture.schedules.firing import Failure, Firing, dead_letter_attributes, is_function
from pasture.schedules.planning import filled
from pasture.sources.push.accepting import Accepting, Origin, Pushed, located

ATTEMPT_SECONDS = 60.0
HOPS = 16
"""From bus to bus; more is a circle."""
# Of status 4xx, and passing all the same.
_PASSING_STATUS = frozenset({408, 429})
_PASSING_CODES = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestThrottled"})

MayUse = Callable[[str, str, str, str], bool]
"""Whether a role may take an action on a resource, for something of this account; empty for what has no role."""


class Buses(Protocol):
    """This server's own."""

    async def put(self, scope: Scope, request: Mapping[str, Any], *, hops: int = 0, trace: str = "") -> dict[str, Any]:
        """PutEvents, of a service."""
        ...


@dataclass(frozen=True, slots=True)
class Reaching:
    accepting: Accepting
    caller: Caller
    may_use: MayUse
    buses: Buses | None = None
    """None where a neighbour has them."""

    async def __call__(self, firing: Firing) -> None:
        """Raises Refused, StoreFailed."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await self._handed(firing)
        except ApiError as error:
            raise Refused(Failure(error.code, error.message, passes=error.fault != "User")) from error
        except NoTarget as error:
            raise Refused(Failure("NO_RESOURCE", str(error))) from error
        except NeighbourRefused as error:
            passes = error.status >= 500 or error.status in _PASSING_STATUS or error.code in _PASSING_CODES
            raise Refused(Failure(error.code, error.message, passes=passes)) from error
        except (NeighbourUnreachable, NoNeighbour) as error:
            raise Refused(Failure("SERVICE_UNAVAILABLE", str(error), passes=True)) from error
        except TimeoutError as error:
            words = f"it took longer than {ATTEMPT_SECONDS:g} seconds."
            raise Refused(Failure("SERVICE_UNAVAILABLE", words, passes=True)) from error

    async def _handed(self, firing: Firing) -> None:
        if firing.failure is not None:
            body, attributes = filled(firing), dead_letter_attributes(firing)
            await self._call(firing, calls.dead_letter(firing.target.dead_letter, body, attributes))
        elif is_function(firing.target.arn):
            await self._to_function(firing)
        elif function := calls.invoked_by_name(firing, filled(firing)):
            arn, payload = function
            await self._to_function(firing, arn, payload)
        else:
            await self._call(firing, calls.call_of(firing, filled(firing)))

    async def _to_function(self, firing: Firing, arn: str = "", payload: str = "") -> None:
        """Whoever has a role is judged by it; without one the function's policy is."""
        arn, role = arn or firing.target.arn, firing.target.role
        origin = Origin()
        if role:
            if located(arn)[0].account != firing.scope.account:
                raise NoTarget(f"{arn} is of another account, where the role {role} is nobody.")
            self._judge(firing, "lambda:InvokeFunction", arn)
        else:
            origin = Origin(firing.service, firing.source_arn, firing.scope.account)
        body = (payload or filled(firing)).encode()
        await self.accepting(Pushed(arn, body, origin, trace_id=firing.trace, id=firing.id))

    async def _call(self, firing: Firing, call: Call) -> None:
        self._judge(firing, call.action, call.resource)
        scope = Scope(firing.scope.account, call.region or firing.scope.region)
        if call.operation == "PutEvents" and self.buses is not None:
            if firing.hops >= HOPS:
                raise NoTarget(f"The event has come by {HOPS} rules and goes no further.")
            answer = await self.buses.put(scope, call.parameters, hops=firing.hops + 1, trace=firing.trace)
        else:
            parameters = dict(call.parameters)
            if call.queue:
                asked = {"QueueName": call.queue[1], "QueueOwnerAWSAccountId": call.queue[0]}
                parameters["QueueUrl"] = (await self.caller.call("sqs", "GetQueueUrl", asked, scope=scope))["QueueUrl"]
            answer = await self.caller.call(call.service, call.operation, parameters, scope=scope)
        if answer.get("FailedEntryCount"):
            entry = answer["Entries"][0]
            raise Refused(Failure(str(entry.get("ErrorCode", "")), str(entry.get("ErrorMessage", ""))))

    def _judge(self, firing: Firing, action: str, resource: str) -> None:
        role = firing.target.role
        if not self.may_use(role, action, resource, firing.scope.account):
            who = f"The role {role}" if role else f"A target without a role in {firing.source_arn}"
            words = f"{who} is not allowed {action} on {resource}."
            raise Refused(Failure("AccessDeniedException", words))
