"""One server: everything it is made of, made in order and taken down in the opposite one."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from pasture.api.gateway import Gateway, body_limit
from pasture.api.wire.patterns import compile_all
from pasture.app.data_directory import DataDirectory, secret
from pasture.app.environment_factory import EnvironmentFactory
from pasture.app.event_sources import EventSources, open_event_sources
from pasture.app.gateway import open_gateway
from pasture.app.images import open_images
from pasture.app.invoking import Invoking, open_invoking
from pasture.app.neighbourhood import Neighbourhood, open_neighbourhood
from pasture.app.packages import open_packages
from pasture.app.parts import Parts
from pasture.app.push import open_push
from pasture.app.schedules import open_schedules
from pasture.domain.function import LATEST, Function, FunctionVersion, Reason
from pasture.domain.scope import DEFAULT_REGION, Scope
from pasture.environments.assignment import Rules
from pasture.environments.pool import Pool
from pasture.functions.activation import Activation
from pasture.functions.catalog import Catalog
from pasture.functions.collection import Collection
from pasture.functions.provisioned_allocation import ProvisionedAllocation
from pasture.functions.records import VersionKey
from pasture.functions.sources import Sources
from pasture.http.server import HttpLimits, HttpServer
from pasture.iam import roles as iam_roles
from pasture.iam.roles import Roles
from pasture.iam.sessions import Sessions
from pasture.isolation.kinds import open_kind
from pasture.isolation.spec import Isolation
from pasture.kit.clock import Clock, SystemClock
from pasture.kit.tasks import Tasks
from pasture.logs.service import LogService
from pasture.logs.store import LogStore
from pasture.metrics.service import Metrics
from pasture.metrics.store import MetricStore
from pasture.runtimes import emulation
from pasture.runtimes.registry import Runtimes, families
from pasture.settings import Settings
from pasture.signing import profiles, verifying
from pasture.signing.profiles import Profiles
from pasture.store.blobs import Blobs
from pasture.store.kinds.sqlite import SqliteDocuments

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
        self._invoking: Invoking
        self._event_sources: EventSources
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
            self._invoking.events.invoker.stop()
            seconds = self._settings.grace_seconds
            await asyncio.gather(self._event_sources.stop(seconds), self.pool.close(seconds))
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
        self.sessions = Sessions(await secret(documents, "session-secret"), self._clock)
        blobs = Blobs(data.path / "blobs")
        await blobs.clear_temporary()
        images = await open_images(stack, data.path, settings, isolation_kind)
        packages = await open_packages(stack, data.path, settings, blobs, images)
        logs = LogService(await LogStore.open(data.path / "logs.db"), self._clock)
        stack.push_async_callback(logs.close)
        await logs.open()
        self._metrics = await self._open_metrics(data.path)

        runtimes = Runtimes(families(settings.runtimes_dir), emulation.families(settings.runtimes_dir))
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
        collection = Collection(catalog, packages)
        collection.open()
        stack.push_async_callback(collection.close)

        parts = Parts(
            settings=settings,
            clock=self._clock,
            data=data.path,
            documents=documents,
            blobs=blobs,
            catalog=catalog,
            sources=Sources(packages, self._neighbourhood.code_in_s3(), images.source, images.no_images),
            runtimes=runtimes,
            roles=Roles(data.path / iam_roles.FILE),
            sessions=self.sessions,
            logs=logs,
            metrics=self._metrics,
            isolation=self.isolation,
            pool=self.pool,
            provisioned=self._provisioned,
            neighbourhood=self._neighbourhood,
        )
        self._invoking = await open_invoking(stack, parts)
        await open_push(stack, parts, self._invoking)
        scheduled = await open_schedules(stack, parts, self._invoking)
        gateway = await open_gateway(stack, parts, self._invoking, scheduled)
        self._event_sources = await open_event_sources(stack, parts, self._invoking)
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
