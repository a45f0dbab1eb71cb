"""How an environment comes to be: its runtime, its code, its log stream and its plan, put together."""

import asyncio
import os
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pasture.app.images import ImageFunctions, image_extensions
from pasture.domain.function import Function, FunctionVersion
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.environments.environment import Environment
from pasture.environments.image import NO_RUNTIME, ImageProgram
from pasture.environments.journal import Journal
from pasture.environments.plan import EXTENSIONS, OPT, TASK_ROOT, Plan, make_plan
from pasture.functions.package import Packages
from pasture.iam.sessions import Credentials
from pasture.isolation.spec import Isolation
from pasture.kit.clock import Clock
from pasture.logs import report
from pasture.logs.levels import LogLevels
from pasture.logs.platform import ON_DEMAND, PROVISIONED, SNAP_START
from pasture.logs.service import LogService
from pasture.metrics.recorder import Recorder
from pasture.runtime_api.outward import Outward
from pasture.runtimes import emulation
from pasture.runtimes.registry import Runtimes
from pasture.runtimes.spec import Emulator, InstalledRuntime

NETWORK_TAG = "pasture:network"
ZYGOTE_TAG = "pasture:zygote"
AWS_ENDPOINT_TAG = "pasture:aws-endpoint"


class Issue(Protocol):
    """`iam.sessions.Sessions.issue`."""

    def __call__(self, role_arn: str, session_name: str, seconds: int, *, holder: str) -> Credentials: ...


@dataclass(frozen=True, slots=True)
class EnvironmentFactory:
    isolation: Isolation
    packages: Packages
    runtimes: Runtimes
    logs: LogService
    clock: Clock
    limits: Limits
    issue: Issue
    credential_seconds: int
    """How long an environment's credentials are good: longer than an environment lives."""
    find: Callable[[Scope, str], Awaitable[Function | None]]
    """`Catalog.find`."""
    network_default: str
    """Of functions without the tag `pasture:network`."""
    proportional_cpu: bool = True
    zygotes: bool = True
    """Whether runtimes are forked from zygotes, for functions without the tag `pasture:zygote` = `off`."""
    outward: Callable[[Scope], Outward | None] = lambda _scope: None
    """What functions of an account and region find at AWS_ENDPOINT_URL, but those with the tag = `off`."""
    images: ImageFunctions | None = None
    recorder: Recorder | None = None
    """Counts what environments report."""

    async def make_provisioned(self, id_: str, version: FunctionVersion) -> Environment:
        return await self.make(id_, version, PROVISIONED)

    async def make(self, id_: str, version: FunctionVersion, initialization: str = "") -> Environment:
        """Raises RuntimeUnavailable or FileNotFoundError when what the version needs is gone."""
        identifier = emulation.installed_as(version.runtime, version.architectures[0])
        runtime = NO_RUNTIME if version.is_image else self.runtimes.ready(identifier)
        if runtime is None:
            runtime = await asyncio.to_thread(self.runtimes.install, identifier)
        # Whatever fails in here, the packages are let go again; at the end they are the environment's.
        with ExitStack() as holds:
            for digest in sorted(version.digests):
                self.packages.hold(digest)
                holds.callback(self.packages.release, digest)
            plan = await self._plan(id_, version, runtime, initialization)
            writer = self.logs.writer(version.scope, version.logging.group, plan.log_stream)
            return Environment(
                plan,
                self.isolation,
                Journal(writer, self.clock, LogLevels.of(version.logging)),
                self.clock,
                self.limits,
                runtime_version_arn="" if version.is_image else runtime.arn(version.scope.region),
                outward=self.outward(version.scope) if plan.aws_endpoint else None,
                on_gone=holds.pop_all().close,
                on_report=self._reporting(version),
            )
        raise AssertionError  # for the type checker: the block above returns or raises

    def _reporting(self, version: FunctionVersion) -> Callable[[Invocation, Outcome, float], None]:
        def report(invocation: Invocation, outcome: Outcome, duration_ms: float) -> None:
            if self.recorder is not None:
                self.recorder.counter(version, invocation.function_arn).reported(duration_ms, outcome.failed)

        return report

    async def prepare(self, version: FunctionVersion) -> None:
        """Have what environments of this version will be forked from. Nothing where there is nothing to fork from."""
        runtime = self.runtimes.ready(version.runtime)
        if self.zygotes and runtime is not None and runtime.zygote is not None:
            await self.isolation.prepare(runtime.zygote)

    async def _plan(self, id_: str, version: FunctionVersion, runtime: InstalledRuntime, initialization: str) -> Plan:
        image = await self._image(version)
        tree = await self.packages.tree(version.code.sha256) if image is None else image.root
        opt = await self.packages.opt(version.layer_digests)
        tags = await self._tags(version)
        trees = {TASK_ROOT: tree, OPT: opt}
        entrypoint = _entrypoint(runtime, trees)
        extensions = _extensions(opt) if image is None else image_extensions(image)
        emulator = emulation.emulator(version.architectures[0])
        today = datetime.fromtimestamp(self.clock.now(), UTC)
        return make_plan(
            id_,
            version,
            runtime,
            tree,
            report.stream_name((today.year, today.month, today.day), version.version, uuid.uuid4().hex),
            self.limits,
            opt,
            extensions,
            proportional_cpu=self.proportional_cpu,
            network=tags.get(NETWORK_TAG, self.network_default) == "nat",
            zygote=self.zygotes and tags.get(ZYGOTE_TAG) != "off",
            credentials=self._credentials(version),
            metadata_token=secrets.token_urlsafe(32),
            aws_endpoint=self._has_endpoint(version, tags),
            initialization=initialization or (SNAP_START if version.snap_start else ON_DEMAND),
            entrypoint=entrypoint,
            image=image,
            emulator=emulator,
            emulated=frozenset(runtime.command[:1])
            | _emulated(emulator, [entrypoint, *(f"{EXTENSIONS}/{name}" for name in extensions)], trees),
        )

    async def _image(self, version: FunctionVersion) -> ImageProgram | None:
        if not version.is_image:
            return None
        if self.images is None:
            raise FileNotFoundError("container images cannot be run by this server")
        return await self.images.program(version)

    async def _tags(self, version: FunctionVersion) -> Mapping[str, str]:
        """What a function chooses by a tag needs no member that AWS does not have."""
        function = await self.find(version.scope, version.name)
        return function.tags if function is not None else {}

    def _has_endpoint(self, version: FunctionVersion, tags: Mapping[str, str]) -> bool:
        return tags.get(AWS_ENDPOINT_TAG) != "off" and self.outward(version.scope) is not None

    def _credentials(self, version: FunctionVersion) -> dict[str, str]:
        """The execution role's, for this environment: a role that is not known here may do nothing."""
        given = self.issue(version.role, version.name, self.credential_seconds, holder=version.scope.account)
        return {
            "AWS_ACCESS_KEY_ID": given.access_key_id,
            "AWS_SECRET_ACCESS_KEY": given.secret_access_key,
            "AWS_SESSION_TOKEN": given.session_token,
        }


def _extensions(opt: Path | None) -> tuple[str, ...]:
    """External extensions are the files of `extensions` in the layers; folders there are their own affair."""
    if opt is None:
        return ()
    try:
        found = os.scandir(opt / "extensions")
    except FileNotFoundError:
        return ()
    with found:
        return tuple(sorted(entry.name for entry in found if entry.is_file()))


def _entrypoint(runtime: InstalledRuntime, trees: Mapping[str, Path | None]) -> str:
    """The first that is there, whatever it is but a directory: whether it can be executed is the kernel's to say."""
    for entrypoint in runtime.entrypoints:
        folder, _, name = entrypoint.rpartition("/")
        tree = trees.get(folder)
        if tree is not None and os.path.lexists(tree / name) and not (tree / name).is_dir():
            return entrypoint
    return ""


def _emulated(emulator: Emulator | None, programs: Sequence[str], trees: Mapping[str, Path | None]) -> frozenset[str]:
    """Those of the programs that the emulator is for: scripts are run by the machine's own shells."""
    if emulator is None:
        return frozenset()
    located = {
        program: folder / program.removeprefix(f"{root}/")
        for program in programs
        for root, folder in trees.items()
        if folder is not None and program.startswith(f"{root}/")
    }
    return frozenset(name for name, file in located.items() if emulation.is_for(emulator.architecture, file))
