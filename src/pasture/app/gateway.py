"""Composes what answers: the services, the pages, function URLs, and the way to the neighbours."""

import logging
from contextlib import AsyncExitStack

from pasture.api.account_operations import AccountOperations
from pasture.api.aliases_operations import AliasesOperations
from pasture.api.auth.authenticator import Authenticates, Authenticator, OpenDoor
from pasture.api.auth.authorisation import Authorizer
from pasture.api.auth.keys import KeyRing
from pasture.api.auth.resource_keys import ResourceKeys
from pasture.api.autoscaling_operations import AutoscalingOperations
from pasture.api.downloads import PREFIX as DOWNLOADS
from pasture.api.downloads import Downloads
from pasture.api.events_page import PREFIX as EVENTS
from pasture.api.events_page import EventsPage
from pasture.api.function_urls.door import FunctionUrls
from pasture.api.functions_operations import FunctionsOperations
from pasture.api.gateway import Gateway, PlainHandler
from pasture.api.hooks_page import PREFIX as HOOKS
from pasture.api.hooks_page import HooksPage
from pasture.api.invoke_operations import InvokeOperations
from pasture.api.layers_operations import LayersOperations
from pasture.api.log_subscription_operations import LogSubscriptionOperations
from pasture.api.logs_operations import LogsOperations
from pasture.api.metrics_operations import MetricsOperations
from pasture.api.metrics_page import PATH as METRICS
from pasture.api.metrics_page import MetricsPage
from pasture.api.settings_operations import settings_operations
from pasture.api.status_page import PATH as STATUS
from pasture.api.status_page import StatusPage
from pasture.api.sts import AssumingRoles, CallerIdentity
from pasture.api.versions_operations import VersionsOperations
from pasture.api.wire.service import Service
from pasture.app.data_directory import secret
from pasture.app.invoking import Invoking
from pasture.app.parts import Parts
from pasture.app.push import LogReaders
from pasture.app.schedules import Scheduled
from pasture.http.message import Request, Response
from pasture.kit.random_ids import random_uuid
from pasture.scaling.controller import Scaling
from pasture.scaling.targets import Targets

_log = logging.getLogger(__name__)


async def open_gateway(stack: AsyncExitStack, parts: Parts, invoking: Invoking, scheduled: Scheduled) -> Gateway:
    settings, catalog, clock = parts.settings, parts.catalog, parts.clock
    downloads = Downloads(await secret(parts.documents, "link-secret"), clock, parts.blobs.path)
    keys_of = ResourceKeys(catalog.event_source_mappings.find)
    authorizer = Authorizer(clock, invoking.policies, keys_of=keys_of, open_door=not settings.auth)
    authenticator = _authenticator(parts)
    services = _services(parts, invoking, authorizer, downloads)
    services["application-autoscaling"] = Service(
        "application-autoscaling", [await _scaling(stack, parts)], authorizer.authorise
    )
    for name, operations in scheduled.operations.items():
        services[name] = Service(name, [operations], authorizer.authorise)
    urls = FunctionUrls(
        catalog.urls.find,
        invoking.resolver,
        invoking.direct.invoke,
        authenticator,
        authorizer,
        invoking.policies,
        settings.limits,
        clock,
    )
    passing = parts.neighbourhood.passing(authorizer, parts.roles, clock)
    pages = _pages(parts, invoking, authenticator, authorizer, downloads)
    gateway = Gateway(services, authenticator, pages, urls=urls, passing=passing)
    parts.neighbourhood.let_out(gateway, authenticator, parts.sessions)
    return gateway


def _services(parts: Parts, invoking: Invoking, authorizer: Authorizer, downloads: Downloads) -> dict[str, Service]:
    settings, catalog, runtimes, clock = parts.settings, parts.catalog, parts.runtimes, parts.clock
    limits, lacks, authorise = settings.limits, invoking.lacks, authorizer.authorise
    direct, accept, stop = invoking.direct.invoke, invoking.events.invoker.accept, invoking.recursion.stop
    functions = [
        InvokeOperations(invoking.resolver, direct, accept, limits, clock, stop),
        FunctionsOperations(catalog, runtimes, downloads.link, parts.sources, limits, lacks=lacks),
        VersionsOperations(catalog, runtimes, limits),
        AliasesOperations(catalog, limits),
        LayersOperations(catalog.layers, downloads.link, parts.sources),
        AccountOperations(catalog, limits),
        *settings_operations(
            catalog,
            clock,
            allocated=parts.provisioned.allocation,
            url_domain=lambda _base_url: settings.url_domain,
            lacks=lacks,
        ),
    ]
    assuming = AssumingRoles(parts.roles, parts.sessions, authorizer if settings.auth else None)
    subscriptions = LogSubscriptionOperations(parts.logs, LogReaders(invoking.accepting).may_have)
    return {
        "lambda": Service("lambda", functions, authorise),
        "logs": Service("logs", [LogsOperations(parts.logs), subscriptions], authorise),
        "monitoring": Service("cloudwatch", [MetricsOperations(parts.metrics, clock)], authorise),
        "sts": Service("sts", [CallerIdentity(), assuming], authorise),
    }


def _pages(
    parts: Parts, invoking: Invoking, authenticator: Authenticates, authorizer: Authorizer, downloads: Downloads
) -> dict[str, PlainHandler]:
    settings, authorise = parts.settings, authorizer.authorise
    is_open = settings.metrics_open or not settings.auth
    metrics = MetricsPage(parts.metrics, authenticator, authorise, is_open=is_open)
    status = StatusPage(
        parts.pool.assignment, invoking.direct.admission, lambda: parts.isolation.stock, authenticator, authorise
    )
    kept, find = invoking.events, parts.catalog.find
    events = EventsPage(kept.queue, kept.outbox, kept.invoker, find, parts.clock, authenticator, authorise)
    hooks = HooksPage(settings.push_hooks, invoking.accepting)
    own: dict[str, PlainHandler] = {METRICS: metrics, STATUS: status, EVENTS: events, HOOKS: hooks}
    return {DOWNLOADS: downloads, "/_pasture/health": _health, **own}


async def _scaling(stack: AsyncExitStack, parts: Parts) -> AutoscalingOperations:
    catalog, provisioned, clock = parts.catalog, parts.provisioned, parts.clock
    targets = Targets(parts.documents)
    targets.open()
    stack.callback(targets.close)
    scaling = Scaling(targets, clock, catalog.find, catalog.provisioned.put, provisioned.utilisation, random_uuid)
    scaling.open()
    stack.push_async_callback(scaling.close)
    return AutoscalingOperations(targets, clock, random_uuid, catalog.provisioned.is_target)


def _authenticator(parts: Parts) -> Authenticates:
    if not parts.settings.auth:
        return OpenDoor(sessions=parts.sessions)
    ring = KeyRing(parts.data / "keys.json")
    if all(key.policy is not None for key in ring.list()):
        key = ring.create(description="first")
        _log.info("made the first access key, %s; `pasture env` shows how to use it", key.id)
    return Authenticator(ring, parts.clock, parts.sessions, parts.roles)


async def _health(_request: Request) -> Response:
    return Response(200, {"Content-Type": "application/json"}, b'{"status":"ok"}')
