"""Composes destinations: the kinds, who may use them, and the loop that brings them what is in the outbox."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pasture.destinations.delivering import Delivering
from pasture.destinations.kinds import Place, Tools, make_all
from pasture.destinations.rights import DestinationRights, Lacks
from pasture.domain.errors import AccessDenied, InvalidParameterValue, RequestTooLarge
from pasture.domain.events import Delivery, Event
from pasture.domain.function import FunctionVersion
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.iam.neighbour_rights import NeighbourRights
from pasture.iam.policy import Effect, Policy
from pasture.iam.principal import Principal
from pasture.iam.roles import parts_of
from pasture.iam.sessions import session_arn
from pasture.invoke import lineage
from pasture.kit.clock import Clock
from pasture.kit.random_ids import random_uuid
from pasture.metrics.recorder import Recorder
from pasture.neighbours.caller import Caller
from pasture.store.outbox import Outbox

_INVOKE = "lambda:InvokeFunction"


def open_destinations(
    stack: AsyncExitStack,
    outbox: Outbox,
    caller: Caller,
    is_configured: Callable[[str], bool],
    functions: "Functions",
    rights: NeighbourRights,
    recorder: Recorder,
    clock: Clock,
    scale: float,
) -> Lacks:
    """What is in the outbox begins to be delivered. `is_configured`: whether the operator has named a server for it."""
    kinds = make_all(Tools(caller, functions.accept))
    asked = DestinationRights(kinds, rights, is_configured)
    delivering = Delivering(
        outbox, kinds, asked, clock, lambda name, place: recorder.observe(name, place, 1), scale=scale
    )
    stack.push_async_callback(delivering.close)
    delivering.open()
    return asked.lacks


@dataclass(frozen=True, slots=True)
class Functions:
    """Functions as destinations: their events are accepted as if somebody had invoked them."""

    resolve: Callable[[Scope, FunctionRef], Awaitable[FunctionVersion]]
    queue: Callable[[Event], Awaitable[None]]
    policy_of: Callable[[str], Awaitable[Policy | None]]
    limits: Limits
    clock: Clock

    async def accept(self, delivery: Delivery) -> None:
        """Returns when the event is durable. Raises ApiError, StoreFailed."""
        scope = Scope(Place.of(delivery.target, delivery.scope).account, delivery.scope.region)
        ref = locate_function(delivery.target, scope)
        arn = ref.arn(scope)
        if scope.account != delivery.scope.account:
            await self._check_policy(delivery, arn)
        version = await self.resolve(scope, ref)
        if version.keeps_tenants_apart:
            raise InvalidParameterValue("The function is enabled with tenancy configuration, and no tenant is named.")
        if len(delivery.body) > self.limits.async_payload_bytes:
            raise RequestTooLarge(
                f"{len(delivery.body)} byte payload is too large for the Event invocation type "
                f"(limit {self.limits.async_payload_bytes} bytes)"
            )
        await self.queue(
            Event(
                id=random_uuid(),
                scope=scope,
                name=ref.name,
                qualifier=ref.qualifier or "",
                payload=delivery.body,
                accepted=self.clock.now(),
                trace_id=lineage.counted(delivery.trace_id, arn)[0],
            )
        )

    async def _check_policy(self, delivery: Delivery, arn: str) -> None:
        """Another account's function must itself be open to the role, whose own rights have been asked."""
        policy, parts = await self.policy_of(arn), parts_of(delivery.role)
        if policy is not None and parts is not None:
            who = Principal(
                account=parts[0],
                arn=session_arn(*parts, delivery.name),
                role_arn=delivery.role,
            ).caller
            if policy.decide(_INVOKE, arn, {}, who) in {Effect.ALLOW, Effect.LEFT_TO_THE_ACCOUNT}:
                return
        raise AccessDenied(f"{delivery.role} is not allowed {_INVOKE} on {arn} by the function's policy")
