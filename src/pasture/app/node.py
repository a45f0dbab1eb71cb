"""One server: everything it is made of, made in order and taken down in the opposite one."""

import asyncio
import logging
import secrets
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from pasture.api.account_operations import AccountOperations
from pasture.api.aliases_operations import AliasesOperations
from pasture.api.auth.authenticator import Authenticates, Authenticator, OpenDoor
from pasture.api.auth.authorisation import Authorizer
from pasture.api.auth.keys import KeyRing
from pasture.api.auth.resource_keys import ResourceKeys
from pasture.api.auth.resource_policies import ResourcePolicies
from pasture.api.autoscaling_operations import AutoscalingOperations
from pasture.api.downloads import PREFIX as DOWNLOADS
from pasture.api.downloads import Downloads
from pasture.api.events_page import PREFIX as EVENTS
from pasture.api.events_page import EventsPage
from pasture.api.function_urls.door import FunctionUrls
from pasture.api.functions_operations import FunctionsOperations
from pasture.api.gateway import Gateway, PlainHandler, body_limit
from pasture.api.invoke_operations import InvokeOperations
from pasture.api.layers_operations import LayersOperations
from pasture.api.logs_operations import LogsOperations
from pasture.api.metrics_operations import MetricsOperations
from pasture.api.metrics_page import PATH as METRICS
from pasture.api.metrics_page import MetricsPage
from pasture.api.settings_operations import settings_operations
from pasture.api.status_page import PATH as STATUS
from pasture.api.status_page import StatusPage
from pasture.api.sts import AssumingRoles, CallerIdentity
from pasture.api.versions_operations import VersionsOperations
from pasture.api.wire.patterns import compile_all
from pasture.api.wire.service import Service
from pasture.app.async_events import AsyncEvents, open_events
from pasture.app.data_directory import DataDirectory
from pasture.app.destinations import Functions, open_destinations
from pasture.app.environment_factory import EnvironmentFactory
from pasture.app.images import open_images
from pasture.app.neighbourhood import Neighbourhood, open_neighbourhood
from pasture.domain.function import LATEST, Function, FunctionVersion, Reason
from pasture.domain.scope import DEFAULT_REGION, Scope
from pasture.environments.assignment import Rules
from pasture.environments.pool import Pool
from pasture.functions import code_signing
from pasture.functions.activation import Activation
from pasture.functions.catalog import Catalog
from pasture.functions.collection import Collection
from pasture.functions.event_source_settling import MappingSettling
from pasture.functions.package import Packages
from pasture.functions.provisioned_allocation import ProvisionedAllocation
from pasture.functions.records import VersionKey
from pasture.functions.sources import Sources
from pasture.http.message import Request, Response
from pasture.http.server import HttpLimits, HttpServer
from pasture.iam import roles as iam_roles
from pasture.iam.neighbour_rights import NeighbourRights
from pasture.iam.roles import Roles
from pasture.iam.sessions import Sessions
from pasture.invoke.direct import DirectInvoker
from pasture.invoke.recursion import Recursion
from pasture.invoke.resolving import Resolver
from pasture.isolation.kinds import open_kind
from pasture.isolation.spec import Isolation
from pasture.kit.clock import Clock, SystemClock
from pasture.kit.random_ids import random_uuid
from pasture.kit.tasks import Tasks
from pasture.logs.service import LogService
from pasture.logs.store import LogStore
from pasture.metrics.names import Place
from pasture.metrics.service import Metrics
from pasture.metrics.store import MetricStore
from pasture.runtimes.registry import Runtimes, families
from pasture.scaling.controller import Scaling
from pasture.scaling.targets import Targets
from pasture.settings import Settings
from pasture.signing import profiles, verifying
from pasture.signing.profiles import Profiles
from pasture.store.blobs import Blobs
from pasture.store.documents import Documents
from pasture.store.kinds.sqlite import SqliteDocuments

_log = logging.getLogger(__name__)

# Seconds that the last answers may take to leave.
_LAST_ANSWERS = 2.0


class Node:
    """Made by `open`, which answers once everything works; `close` gives everything back."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._clock: Clock = SystemClock()
        self.url = ""
        self.pool: Pool
        self.isolation: Isolation
        self.sessions: Sessions
        self._metrics: Metrics
        self._neighbourhood: Neighbourhood
        self._provisioned: ProvisionedAllocation
        self._events: AsyncEvents
        self._server: HttpServer

    @classmethod
    async def open(cls, settings: Settings, isolation_kind: str) -> Self:
        async with AsyncExitStack() as stack:
            node = cls(settings, stack)
            await node._open(isolation_kind)
            node._stack = stack.pop_all()
            return node
        raise AssertionError  # for the type checker: the block above returns or raises

    async def close(self) -> None:
        """Accept no more, let running invocations finish within the grace period, then take everything down."""
        try:
            self._server.stop_listening()
            self._events.invoker.stop()
            await self.pool.close(self._settings.grace_seconds)
        finally:
            await self._stack.aclose()

    def hurry(self) -> None:
        """Cut the grace period short."""
        self.pool.refuse_all()

    async def _open(self, isolation_kind: str) -> None:
        settings, stack = self._settings, self._stack
        data = DataDirectory(settings.data_dir)
        stack.callback(data.close)
        self._neighbourhood = await open_neighbourhood(stack, settings, data.session)

        documents = await SqliteDocuments.open(data.path / "metadata.db")
        stack.push_async_callback(documents.close)
        self.sessions = Sessions(await _secret(documents, "session-secret"), self._clock)
        blobs = Blobs(data.path / "blobs")
        await blobs.clear_temporary()
        images = await open_images(stack, data.path, settings, isolation_kind)
        packages = Packages(data.path / "packages", blobs, settings.limits, images.images)
        await packages.open()
        logs = LogService(await LogStore.open(data.path / "logs.db"), self._clock)
        stack.push_async_callback(logs.close)
        await logs.open()
        self._metrics = await self._open_metrics(data.path)

        runtimes = Runtimes(families(settings.runtimes_dir))
        signers = Profiles(data.path / profiles.DIRECTORY)
        catalog = Catalog(
            documents,
            packages,
            limits=settings.limits,
            clock=self._clock,
            new_id=lambda: str(uuid.uuid4()),
            inspect=lambda package: verifying.inspect(package, signers),
        )
        catalog.open()
        stack.callback(catalog.close)

        self.isolation = open_kind(
            isolation_kind, run_directory=data.session, owner=data.owner, network=settings.network_options
        )
        await self.isolation.open()
        stack.push_async_callback(self.isolation.close)
        factory = EnvironmentFactory(
            self.isolation,
            packages,
            runtimes,
            logs,
            self._clock,
            settings.limits,
            self.sessions.issue,
            credential_seconds=int(settings.age_seconds + 2 * settings.limits.timeout_seconds_max),
            find=catalog.find,
            network_default=settings.network_default,
            proportional_cpu=settings.proportional_cpu,
            zygotes=settings.zygotes,
            images=images,
            recorder=self._metrics.recorder,
            outward=self._neighbourhood.outward,
        )
        self.pool = Pool(
            factory.make,
            settings.memory_mb,
            settings.idle_seconds,
            self._clock,
            freeze_seconds=settings.freeze_seconds,
            age_seconds=settings.age_seconds,
            make_provisioned=factory.make_provisioned,
            rules=Rules(
                places=settings.queue_invocations,
                waiting_seconds=settings.queue_seconds,
                scaling_burst=settings.limits.scaling_burst,
                scaling_seconds=settings.limits.scaling_seconds,
            ),
        )
        stack.push_async_callback(self.pool.close, 0.0)
        stack.callback(catalog.on_change(self._function_changed))
        stack.callback(catalog.versions.on_change(self._version_changed))

        activation = Activation(catalog, packages, runtimes, prepared=_prepared(factory, self.pool), pull=images.pull)
        await activation.open()
        stack.push_async_callback(activation.close)
        self._provisioned = ProvisionedAllocation(catalog, self.pool.provisioned)
        await self._provisioned.open()
        stack.push_async_callback(self._provisioned.close)
        settling = MappingSettling(catalog.event_source_mappings)
        await settling.open()
        stack.push_async_callback(settling.close)
        collection = Collection(catalog, packages)
        collection.open()
        stack.push_async_callback(collection.close)

        sources = Sources(packages, self._neighbourhood.code_in_s3(), images.source, images.no_images)
        gateway = await self._gateway(data.path, documents, blobs, catalog, logs, runtimes, sources)
        await self._listen(gateway, data)

    async def _listen(self, gateway: Gateway, data: DataDirectory) -> None:
        settings, stack = self._settings, self._stack
        limits = HttpLimits(body_bytes=body_limit, too_large=gateway.too_large, streams=gateway.streams)
        await self._neighbourhood.ready()
        self._server = HttpServer(gateway, limits)
        stack.push_async_callback(self._server.close, _LAST_ANSWERS)
        host, port = await self._server.listen(settings.host, settings.port)
        tasks = Tasks("node")
        stack.push_async_callback(tasks.finish)
        tasks.start(asyncio.to_thread(compile_all), "patterns")
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{port}"
        data.announce(self.url, auth=settings.auth, region=DEFAULT_REGION)

    async def _open_metrics(self, data: Path) -> Metrics:
        metrics = Metrics(await MetricStore.open(data / "metrics.db"), self._clock)
        self._stack.push_async_callback(metrics.close)
        await metrics.open()
        return metrics

    async def _gateway(
        self,
        data: Path,
        documents: Documents,
        blobs: Blobs,
        catalog: Catalog,
        logs: LogService,
        runtimes: Runtimes,
        sources: Sources,
    ) -> Gateway:
        settings = self._settings
        downloads = Downloads(await _secret(documents, "link-secret"), self._clock, blobs.path)
        roles = Roles(data / iam_roles.FILE)
        policies = ResourcePolicies(catalog.find, catalog.layers.find)
        keys_of = ResourceKeys(catalog.event_source_mappings.find)
        authorizer = Authorizer(self._clock, policies, keys_of=keys_of, open_door=not settings.auth)
        authorise = authorizer.authorise
        invoker = DirectInvoker(
            self.pool.run,
            settings.limits,
            catalog.reservations.of,
            allocated=self._provisioned.allocated,
            counter=self._metrics.recorder.counter,
        )
        catalog.code_signing.on_warned = self._signature_failed
        resolver = Resolver(catalog.find, catalog.versions.find, instead=self._provisioned.instead)
        recursion = Recursion(catalog.find, lambda name, place: self._metrics.recorder.observe(name, place, 1))
        self._events = await open_events(
            self._stack, data, settings, catalog, resolver, invoker, self.pool, recursion, self._metrics.recorder,
            self._clock,
        )  # fmt: skip
        accept = self._events.invoker.accept
        directory = self._neighbourhood.neighbours.directory
        lacks = open_destinations(
            self._stack,
            self._events.outbox,
            self._neighbourhood.neighbours,
            lambda service: directory.has(service) and not directory.is_embedded(service),
            Functions(resolver, accept, policies, settings.limits, self._clock),
            NeighbourRights(roles, self._clock, open_door=not settings.auth),
            self._metrics.recorder,
            self._clock,
            settings.event_time_scale,
        )
        assuming = AssumingRoles(roles, self.sessions, authorizer if settings.auth else None)
        services = {
            "lambda": Service(
                "lambda",
                [
                    InvokeOperations(resolver, invoker.invoke, accept, settings.limits, self._clock, recursion.stop),
                    FunctionsOperations(catalog, runtimes, downloads.link, sources, settings.limits, lacks=lacks),
                    VersionsOperations(catalog, runtimes, settings.limits),
                    AliasesOperations(catalog, settings.limits),
                    LayersOperations(catalog.layers, downloads.link, sources),
                    AccountOperations(catalog, settings.limits),
                    *settings_operations(
                        catalog,
                        self._clock,
                        allocated=self._provisioned.allocation,
                        url_domain=lambda _base_url: settings.url_domain,
                        lacks=lacks,
                    ),
                ],
                authorise,
            ),
            "logs": Service("logs", [LogsOperations(logs)], authorise),
            "application-autoscaling": Service(
                "application-autoscaling", [await self._scaling(documents, catalog)], authorise
            ),
            "monitoring": Service("cloudwatch", [MetricsOperations(self._metrics, self._clock)], authorise),
            "sts": Service("sts", [CallerIdentity(), assuming], authorise),
        }
        authenticator = self._authenticator(data, roles)
        is_open = settings.metrics_open or not settings.auth
        page = MetricsPage(self._metrics, authenticator, authorise, is_open=is_open)
        status = StatusPage(
            self.pool.assignment, invoker.admission, lambda: self.isolation.stock, authenticator, authorise
        )
        pages: dict[str, PlainHandler] = {
            DOWNLOADS: downloads,
            "/_pasture/health": _health,
            METRICS: page,
            STATUS: status,
            EVENTS: EventsPage(
                self._events.queue, self._events.invoker, catalog.find, self._clock, authenticator, authorise
            ),
        }
        urls = FunctionUrls(
            catalog.urls.find,
            resolver,
            invoker.invoke,
            authenticator,
            authorizer,
            policies,
            settings.limits,
            self._clock,
        )
        passing = self._neighbourhood.passing(authorizer, roles, self._clock)
        gateway = Gateway(services, authenticator, pages, urls=urls, passing=passing)
        self._neighbourhood.let_out(gateway, authenticator, self.sessions)
        return gateway

    async def _scaling(self, documents: Documents, catalog: Catalog) -> AutoscalingOperations:
        targets = Targets(documents)
        targets.open()
        self._stack.callback(targets.close)
        put, utilisation = catalog.provisioned.put, self._provisioned.utilisation
        scaling = Scaling(targets, self._clock, catalog.find, put, utilisation, random_uuid)
        scaling.open()
        self._stack.push_async_callback(scaling.close)
        return AutoscalingOperations(targets, self._clock, random_uuid, catalog.provisioned.is_target)

    def _authenticator(self, data: Path, roles: Roles) -> Authenticates:
        if not self._settings.auth:
            return OpenDoor(sessions=self.sessions)
        ring = KeyRing(data / "keys.json")
        if all(key.policy is not None for key in ring.list()):
            key = ring.create(description="first")
            _log.info("made the first access key, %s; `pasture env` shows how to use it", key.id)
        return Authenticator(ring, self._clock, self.sessions, roles)

    def _signature_failed(self, scope: Scope, subject: str) -> None:
        """`subject` is the name of a function, or its ARN."""
        name = subject.split(":")[6] if subject.startswith("arn:") else subject
        place = Place(scope.account, scope.region, name)
        self._metrics.recorder.observe(code_signing.METRIC, place, 1)

    def _function_changed(self, scope: Scope, name: str, function: Function | None) -> None:
        self.pool.replaced(scope, name, function.active if function else None, LATEST if function else None)

    def _version_changed(self, key: VersionKey, version: FunctionVersion | None) -> None:
        if version is None:
            self.pool.replaced(key.scope, key.name, None, str(key.number))
            self.pool.snapshots.drop(key.scope, key.name, str(key.number))


def _prepared(factory: EnvironmentFactory, pool: Pool) -> Callable[[FunctionVersion], Awaitable[Reason | None]]:
    async def prepared(version: FunctionVersion) -> Reason | None:
        await factory.prepare(version)
        return await pool.snapshots.keep(version) if version.snap_start else None

    return prepared


async def _secret(documents: Documents, name: str) -> bytes:
    """Made once for a data directory, so that the links and the tokens it signs outlive a restart."""
    known = await documents.get(f"server/{name}")
    if known is None:
        known = await documents.put(f"server/{name}", secrets.token_bytes(32), expect=0)
    return known.value


async def _health(_request: Request) -> Response:
    return Response(200, {"Content-Type": "application/json"}, b'{"status":"ok"}')
