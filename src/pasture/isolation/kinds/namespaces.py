"""Real sandboxes on Linux: namespaces, cgroups and no privileges, as root or as an ordinary user."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pasture.isolation.box import Box, BoxGone
from pasture.isolation.launcher import cgroups, limits, seccomp
from pasture.isolation.launchers import Launchers
from pasture.isolation.launching import Launcher, LauncherGone
from pasture.isolation.network.network import Network
from pasture.isolation.network.options import NetworkOptions
from pasture.isolation.spec import Isolation, Sandbox, SandboxError, SandboxSpec, Zygote
from pasture.isolation.tmp_images import TmpImages

_TRIAL_BYTES = 1 << 20
_TRIES = 3
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class NamespaceIsolation:
    """Mutable state: the launchers, while it is open, and the boxes by id."""

    def __init__(self, run_directory: Path, owner: str, network: NetworkOptions) -> None:
        self._directory = run_directory / "boxes"
        # Where groups were made, for a start that finds itself elsewhere in the hierarchy.
        self._roots_file = run_directory / "cgroups.json"
        self._images = TmpImages(run_directory / "tmp-images")
        self._why_memory = ""
        self._owner = owner
        self._network = Network(owner, network)
        self._hierarchy = cgroups.Hierarchy(cgroups.Group, {}, [])
        self._launchers: Launchers | None = None
        self._boxes: dict[str, Box] = {}

    @property
    def name(self) -> str:
        return "namespaces"

    @property
    def warnings(self) -> Sequence[str]:
        why = seccomp.why_not(), _tmp_warning(self._why_memory)
        return [*self._hierarchy.warnings, *filter(None, why), *self._network.warnings]

    @property
    def stock(self) -> int:
        return self._launchers.in_stock if self._launchers is not None else 0

    async def open(self) -> None:
        await asyncio.to_thread(self._clear)
        await self._network.open()
        self._launchers = Launchers(
            self._directory, self._owner, self._hierarchy, self._network.outbound, self._groups_in_use
        )
        self._why_memory = self._images.why_not()
        await self._launchers.open(lambda: self._image(_TRIAL_BYTES))
        self._why_memory = self._why_memory or self._launchers.why_memory

    async def prepare(self, zygote: Zygote) -> None:
        if self._launchers is not None:
            await self._launchers.prepare(zygote)

    async def create(self, spec: SandboxSpec) -> Sandbox:
        if not _ID.fullmatch(spec.id) or spec.id in self._boxes:
            raise SandboxError(f"the sandbox id {spec.id!r} is in use, or not of letters, digits and hyphens.")
        spec = replace(spec, network=spec.network and self._network.outbound is not None)
        for _ in range(_TRIES):
            try:
                return await self._create(spec, await self._launcher(spec.zygote))
            except (BoxGone, LauncherGone) as error:
                # By no fault of its own: what it was made by has died.
                gone = error
        raise gone

    async def _launcher(self, zygote: Zygote | None) -> Launcher:
        if self._launchers is None:
            raise SandboxError("the isolation is not open.")
        loaded = self._launchers.loaded(zygote) if zygote is not None else None
        return loaded or await self._launchers.executing()

    async def _create(self, spec: SandboxSpec, launcher: Launcher) -> Sandbox:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        box = self._boxes[spec.id] = Box(spec.id, spec.cpus, ours, lambda: self._removed(spec.id))
        try:
            with theirs:
                created = await launcher.create(spec, theirs, await self._image(spec.tmp_bytes))
            await box.ready(created)
        except BaseException as error:
            await box.destroy()
            if isinstance(error, SandboxError):
                raise type(error)(f"sandbox {spec.id}: {error}") from error
            raise
        return box

    async def close(self) -> None:
        launchers, self._launchers = self._launchers, None
        await asyncio.gather(*(box.destroy() for box in list(self._boxes.values())))
        if launchers is not None:
            await launchers.close()
        await asyncio.to_thread(self._hierarchy.clear)
        await asyncio.to_thread(self._hierarchy.remove)
        await self._images.close()
        await self._network.close()
        self._roots_file.unlink(missing_ok=True)

    async def _image(self, size: int) -> str:
        """For a /tmp of that size on disk; nothing where it is memory."""
        return "" if self._why_memory else str(await self._images.image(size))

    def _groups_in_use(self) -> frozenset[str]:
        return frozenset(name for box in self._boxes.values() if (name := box.group_name))

    def _removed(self, box: str) -> None:
        self._boxes.pop(box, None)

    def _clear(self) -> None:
        """What an earlier session of this directory left: its groups, wherever they were, and all that runs there."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)
        self._images.clear()
        self._hierarchy = limits.find(self._owner)
        self._hierarchy.clear()
        with suppress(FileNotFoundError):
            limits.hierarchy(json.loads(self._roots_file.read_text())).clear()
        fresh = self._roots_file.with_suffix(".new")
        fresh.write_text(json.dumps(self._hierarchy.to_message()))
        fresh.replace(self._roots_file)


def _tmp_warning(why: str) -> str:
    return f"The /tmp of a sandbox is memory, and counts against the sandbox's own: {why.rstrip('.')}." if why else ""


def make(*, run_directory: Path, owner: str, network: NetworkOptions) -> Isolation:
    return NamespaceIsolation(run_directory, owner, network)
