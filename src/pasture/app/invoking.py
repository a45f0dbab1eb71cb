"""Composes how functions are invoked, at once or as events, and where the outcomes of events go."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from pasture.api.auth.resource_policies import ResourcePolicies
from pasture.api.invoke_operations import new_trace
from pasture.app.async_events import AsyncEvents, open_events
from pasture.app.destinations import Functions, open_destinations
from pasture.app.own_buses import OwnBuses
from pasture.app.parts import Parts
from pasture.destinations.rights import Lacks
from pasture.domain.events import Event
from pasture.iam.neighbour_rights import NeighbourRights
from pasture.invoke.direct import DirectInvoker
from pasture.invoke.recursion import Recursion
from pasture.invoke.resolving import Resolver
from pasture.sources.push.accepting import Accepting


@dataclass(frozen=True, slots=True)
class Invoking:
    """Whatever makes functions run goes through these."""

    resolver: Resolver
    direct: DirectInvoker
    recursion: Recursion
    events: AsyncEvents
    policies: ResourcePolicies
    rights: NeighbourRights
    """Of execution roles."""
    lacks: Lacks
    accepting: Accepting
    """The door for events that sources hand to functions in the name of a service."""
    buses: OwnBuses

    async def accept(self, event: Event) -> None:
        """Returns when the event is durable. Raises StoreFailed."""
        await self.events.invoker.accept(event)


async def open_invoking(stack: AsyncExitStack, parts: Parts) -> Invoking:
    settings, catalog, recorder, clock = parts.settings, parts.catalog, parts.metrics.recorder, parts.clock
    policies = ResourcePolicies(catalog.find, catalog.layers.find)
    direct = DirectInvoker(
        parts.pool.run,
        settings.limits,
        catalog.reservations.of,
        allocated=parts.provisioned.allocated,
        counter=recorder.counter,
    )
    catalog.code_signing.on_warned = parts.signature_failed
    resolver = Resolver(catalog.find, catalog.versions.find, instead=parts.provisioned.instead)
    recursion = Recursion(catalog.find, lambda name, place: recorder.observe(name, place, 1))
    events = await open_events(
        stack, parts.data, settings, catalog, resolver, direct, parts.pool, recursion, recorder, clock
    )
    buses = OwnBuses(parts.neighbourhood.neighbours)
    rights = NeighbourRights(parts.roles, clock, open_door=not settings.auth)
    lacks = open_destinations(
        stack,
        events.outbox,
        buses,
        buses.is_configured,
        Functions(resolver, events.invoker.accept, policies, settings.limits, clock),
        rights,
        recorder,
        clock,
        settings.event_time_scale,
    )
    accepting = Accepting(resolver, events.invoker.accept, policies, settings.limits, clock, new_trace)
    return Invoking(resolver, direct, recursion, events, policies, rights, lacks, accepting, buses)
