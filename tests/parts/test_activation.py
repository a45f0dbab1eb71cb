"""Activation: from Pending to Active or Failed, whatever happens in between."""

import asyncio
import dataclasses
import io
import threading
import uuid
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pasture.domain.function import Code, Function, FunctionVersion, LastUpdateStatus, LoggingConfig, Reason, State
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions import activation as activation_module
from pasture.functions.activation import Activation
from pasture.functions.catalog import Catalog
from pasture.functions.package import Packages
from pasture.functions.records import FunctionKey
from pasture.images.images import FoundImage
from pasture.kit.clock import ManualClock
from pasture.kit.settling import LONGEST_DELAY
from pasture.runtimes.fake import FakeFamily
from pasture.runtimes.registry import Runtimes
from pasture.runtimes.spec import InstalledRuntime
from pasture.store.blobs import Blobs
from pasture.store.kinds.memory import MemoryDocuments

HERE = Scope()


def zip_of(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", text)
    return content.getvalue()


def draft(name: str = "f", runtime: str = "python3.12") -> FunctionVersion:
    return FunctionVersion(HERE, name, "role", runtime, "main.h", Code("", 0), "", "", 0.0, LoggingConfig("/g"))


class Node:
    """Everything activation needs; `start` begins a new session over the same store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.documents = MemoryDocuments()
        self.family = FakeFamily()
        self.slept: list[float] = []
        self.pulling = asyncio.Event()
        self.given_up = asyncio.Event()
        self.activation: Activation
        self.catalog: Catalog
        self.packages: Packages

    async def start(self, activation: bool = True) -> None:
        self.packages = Packages(self.directory / "packages", Blobs(self.directory / "blobs"), Limits())
        await self.packages.open()
        self.catalog = Catalog(
            self.documents, self.packages, limits=Limits(), clock=ManualClock(), new_id=lambda: str(uuid.uuid4())
        )
        self.catalog.open()
        self.activation = Activation(
            self.catalog,
            self.packages,
            Runtimes([self.family]),
            prepared=self.prepared,
            pull=self.pull,
            sleep=self.sleep,
        )
        if activation:
            await self.activation.open()

    async def stop(self) -> None:
        await self.activation.close()
        self.catalog.close()

    async def create(self, name: str = "f", runtime: str = "python3.12") -> Function:
        return await self.catalog.create(draft(name, runtime), zip_of(name), tags={})

    async def settled(self, name: str = "f") -> Function:
        await self.activation.idle()
        return await self.catalog.get(HERE, name)

    async def prepared(self, _version: FunctionVersion) -> None:
        """Nothing to warm."""

    async def pull(self, _version: FunctionVersion) -> None:
        """A registry that never answers."""
        self.pulling.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    await node.start()
    yield node
    await node.stop()


async def test_a_created_function_becomes_active(node: Node) -> None:
    created = await node.create()
    function = await node.settled()
    assert function.latest == dataclasses.replace(
        created.latest,
        state=State.ACTIVE,
        state_reason=None,
        last_update=LastUpdateStatus.SUCCESSFUL,
        revision_id=function.latest.revision_id,
    )
    assert function.active == function.latest
    assert node.family.installed == ["python3.12"]


async def test_an_updated_function_becomes_successful_and_the_new_code_serves(node: Node) -> None:
    await node.create()
    await node.settled()
    updated = await node.catalog.update_code(HERE, "f", zip_of("new"), lambda version: version)
    function = await node.settled()
    assert function.active is not None
    assert function.active.code == updated.latest.code
    assert function.latest.last_update is LastUpdateStatus.SUCCESSFUL


async def test_a_runtime_that_cannot_be_had_fails_the_function_with_the_reason(node: Node) -> None:
    node.family.broken = "pip cannot reach its index."
    await node.create()
    function = await node.settled()
    assert function.latest.state is State.FAILED
    assert function.latest.state_reason == Reason("pip cannot reach its index.", "InvalidRuntime")
    assert function.active is None


async def test_a_package_that_was_lost_fails_the_function(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.start(activation=False)
    created = await node.create()
    (tmp_path / "packages" / created.latest.code.sha256).rename(tmp_path / "lost")
    await Blobs(tmp_path / "blobs").delete(created.latest.code.sha256)
    await node.activation.open()
    assert (await node.settled()).latest.state_reason == Reason(
        "The deployment package of this function is missing. Upload it again.", "InternalError"
    )
    await node.stop()


async def test_what_a_crash_left_pending_is_found_at_the_next_start(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.start(activation=False)
    for n in range(5):
        await node.create(f"f{n}")
    await node.stop()

    await node.start()
    await node.activation.idle()
    functions, _ = await node.catalog.list(HERE, limit=10)
    assert [function.latest.state for function in functions] == [State.ACTIVE] * 5
    assert await node.catalog.unsettled() == []
    await node.stop()


async def test_no_marker_is_left_when_everything_has_settled(node: Node) -> None:
    await node.create()
    await node.settled()
    assert await node.catalog.unsettled() == []


class Faulty(Node):
    """Fails so many times before it is prepared."""

    faults = 3

    async def prepared(self, _version: FunctionVersion) -> None:
        if self.faults:
            self.faults -= 1
            raise OSError(28, "No space left on device")


async def test_a_fault_that_may_pass_is_tried_again_ever_more_slowly(tmp_path: Path) -> None:
    node = Faulty(tmp_path)
    await node.start()
    await node.create()
    assert (await node.settled()).latest.state is State.ACTIVE
    assert node.slept == [0.25, 0.5, 1.0]
    await node.stop()


async def test_the_wait_between_two_tries_has_a_bound(tmp_path: Path) -> None:
    node = Faulty(tmp_path)
    node.faults = 12
    await node.start()
    await node.create()
    await node.settled()
    assert max(node.slept) == node.slept[-1] == LONGEST_DELAY
    await node.stop()


class Gated(Node):
    """Preparing waits until it is let through; counts how many are at it at once."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.at_it, self.most = 0, 0
        self.arrived = asyncio.Semaphore(0)
        self.gate = asyncio.Event()

    async def prepared(self, _version: FunctionVersion) -> None:
        self.at_it += 1
        self.most = max(self.most, self.at_it)
        self.arrived.release()
        await self.gate.wait()
        self.at_it -= 1


async def test_a_function_that_is_deleted_while_it_is_activated_stays_deleted(tmp_path: Path) -> None:
    node = Gated(tmp_path)
    await node.start()
    await node.create()
    await node.arrived.acquire()
    await node.catalog.delete(HERE, "f")
    node.gate.set()
    await node.activation.idle()
    assert await node.catalog.find(HERE, "f") is None
    assert await node.documents.list("") == []
    await node.stop()


async def test_a_function_that_is_created_anew_while_the_old_one_is_activated_is_activated_too(tmp_path: Path) -> None:
    node = Gated(tmp_path)
    await node.start()
    await node.create()
    await node.arrived.acquire()
    await node.catalog.delete(HERE, "f")
    again = await node.create()
    node.gate.set()
    function = await node.settled()
    assert (function.latest.generation, function.latest.state) == (again.latest.generation, State.ACTIVE)
    await node.stop()


async def test_only_so_many_are_activated_at_once(tmp_path: Path) -> None:
    node = Gated(tmp_path)
    await node.start()
    for n in range(7):
        await node.create(f"f{n}")
    for _ in range(activation_module.AT_ONCE):
        await node.arrived.acquire()
    node.gate.set()
    await node.activation.idle()
    assert node.most == activation_module.AT_ONCE
    await node.stop()


async def test_closing_ends_what_is_at_work_and_the_function_stays_marked(tmp_path: Path) -> None:
    node = Gated(tmp_path)
    await node.start()
    await node.create()
    await node.arrived.acquire()
    await node.stop()
    assert await node.catalog.unsettled() == [FunctionKey(HERE, "f")]
    assert (await node.catalog.get(HERE, "f")).latest.state is State.PENDING


class SlowFamily(FakeFamily):
    """An installation lasts until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def install(self, identifier: str) -> InstalledRuntime:
        if identifier == "python3.13":
            self.go.wait(30)
        return super().install(identifier)


async def test_a_runtime_that_is_being_installed_does_not_hold_up_functions_of_another(tmp_path: Path) -> None:
    node = Node(tmp_path)
    family = node.family = SlowFamily()
    await node.start()
    await node.create("first")
    await node.settled("first")
    await node.create("slow", "python3.13")
    seen = asyncio.Event()
    node.catalog.on_change(lambda _scope, name, f: seen.set() if name == "quick" and f and f.active else None)
    await node.create("quick")
    await seen.wait()
    assert (await node.catalog.get(HERE, "slow")).latest.state is State.PENDING
    family.go.set()
    assert (await node.settled("slow")).latest.state is State.ACTIVE
    await node.stop()


async def test_a_pull_is_given_up_when_its_function_is_deleted(node: Node) -> None:
    image = FoundImage("r.example/app:v1", f"r.example/app@sha256:{'0' * 64}", "0" * 64)
    version = dataclasses.replace(draft(), package_type="Image", runtime="", handler="")
    await node.catalog.create(version, image, tags={})
    await asyncio.wait_for(node.pulling.wait(), 30)
    await node.catalog.delete(HERE, "f")
    await asyncio.wait_for(node.given_up.wait(), 30)
    await asyncio.wait_for(node.activation.idle(), 30)
    assert await node.catalog.find(HERE, "f") is None
    assert await node.catalog.unsettled() == []
