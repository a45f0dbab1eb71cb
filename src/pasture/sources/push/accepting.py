"""The one door for events that a source hands to a function: its policy is asked, then the event is kept.

AWS's services invoke asynchronously, each in its own name (`s3.amazonaws.com`), and the function's resource policy says
whether that service may, for that source (`aws:SourceArn`) of that account (`aws:SourceAccount`). What the operator of
this server has set up himself needs no policy: it comes without a service.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pasture.domain.errors import AccessDenied, ApiError, InvalidParameterValue, RequestTooLarge, ResourceConflict
from pasture.domain.events import Event
from pasture.domain.function import FunctionVersion
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.iam.policy import Effect, Policy
from pasture.iam.principals import Caller
from pasture.invoke import lineage
from pasture.kit.clock import Clock
from pasture.kit.random_ids import random_uuid
from pasture.store.errors import StoreFailed

_log = logging.getLogger(__name__)

_INVOKE = "lambda:InvokeFunction"
# A disk that is full may be made room on; whoever pushes waits for so long.
_STORE_PAUSES = (0.1, 0.5, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who hands over an event. Without a service it is the operator, whose settings are consent."""

    service: str = ""
    """`s3.amazonaws.com`."""
    arn: str = ""
    """Of the bucket, topic, rule or log group."""
    account: str = ""
    """Whose it is."""


OPERATOR = Origin()


@dataclass(frozen=True, slots=True)
class Pushed:
    function: str
    """ARN, with a qualifier or without."""
    payload: bytes
    """JSON."""
    origin: Origin = OPERATOR
    trace_id: str = ""
    id: str = ""
    """A UUID of whoever may push the same again: the event is kept once."""


@dataclass(frozen=True, slots=True)
class Accepting:
    resolve: Callable[[Scope, FunctionRef], Awaitable[FunctionVersion]]
    queue: Callable[[Event], Awaitable[None]]
    policy_of: Callable[[str], Awaitable[Policy | None]]
    limits: Limits
    clock: Clock
    new_trace: Callable[[float], str]
    """A tracing header for an event that comes without one."""

    async def __call__(self, pushed: Pushed) -> str:
        """The event's id, when it is durable. Raises ApiError when the function may not or cannot have it, StoreFailed
        when it could not be kept.
        """
        scope, ref = located(pushed.function)
        await self.check(pushed.function, pushed.origin)
        if len(pushed.payload) > self.limits.async_payload_bytes:
            raise RequestTooLarge(
                f"{len(pushed.payload)} byte payload is too large for the Event invocation type "
                f"(limit {self.limits.async_payload_bytes} bytes)"
            )
        now = self.clock.now()
        event = Event(
            id=pushed.id or random_uuid(),
            scope=scope,
            name=ref.name,
            qualifier=ref.qualifier or "",
            payload=pushed.payload,
            accepted=now,
            trace_id=lineage.counted(pushed.trace_id or self.new_trace(now), pushed.function)[0],
            is_once=bool(pushed.id),
        )
        await self.queue(event)
        return event.id

    async def patiently(self, pushed: Pushed) -> str:
        """As calling it, and tried again for a while when the event cannot be kept."""
        for pause in _STORE_PAUSES:
            try:
                return await self(pushed)
            except StoreFailed as error:
                _log.error("an event for %s cannot be kept, and will be tried again: %s", pushed.function, error)
                await asyncio.sleep(pause)
        return await self(pushed)

    async def check(self, function: str, origin: Origin) -> None:
        """Whether it is there and open to who hands over. Raises ApiError."""
        scope, ref = located(function)
        if origin.service:
            await self._check_policy(function, origin)
        try:
            version = await self.resolve(scope, ref)
        except ResourceConflict:
            return  # it is on its way to be active, and its events wait
        if version.keeps_tenants_apart:
            raise InvalidParameterValue("The function is enabled with tenancy configuration, and no tenant is named.")

    async def _check_policy(self, function: str, origin: Origin) -> None:
        context: dict[str, tuple[str, ...]] = {"aws:principalservicename": (origin.service,)}
        if origin.arn:
            context["aws:sourcearn"] = (origin.arn,)
        if origin.account:
            context["aws:sourceaccount"] = (origin.account,)
        policy = await self.policy_of(function)
        allowed = policy.decide(_INVOKE, function, context, Caller(service=origin.service)) if policy else None
        if allowed is not Effect.ALLOW:
            raise AccessDenied(
                f"User: {origin.service} is not authorized to perform: {_INVOKE} on resource: {function} because no "
                f"resource-based policy allows the {_INVOKE} action"
            )


def located(function: str) -> tuple[Scope, FunctionRef]:
    """Of its ARN. Raises ApiError when it is none."""
    parts = function.split(":")
    if len(parts) not in {7, 8} or parts[0] != "arn" or parts[2] != "lambda" or parts[5] != "function":
        raise InvalidParameterValue(f"{function[:256]} is no ARN of a function.")
    scope = Scope(parts[4], parts[3])
    return scope, locate_function(function, scope)


__all__ = ["OPERATOR", "Accepting", "ApiError", "Origin", "Pushed", "located"]
