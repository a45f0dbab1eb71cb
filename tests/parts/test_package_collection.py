"""Packages go when nothing needs them, and not before."""

import asyncio
import io
import uuid
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pasture.domain.function import Code, Function, FunctionVersion, LoggingConfig
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.collection import PAUSE_AFTER_A_FAULT, Collection
from pasture.functions.package import Packages
from pasture.kit.clock import ManualClock
from pasture.store.blobs import Blobs
from pasture.store.kinds.memory import MemoryDocuments

HERE = Scope()


def zip_of(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", text)
    return content.getvalue()


class ObservedBlobs(Blobs):
    """Says when one has been deleted, and fails when it is told to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.deleted: asyncio.Queue[str] = asyncio.Queue()
        self.faults = 0

    async def delete(self, sha256: str) -> bool:
        if self.faults:
            self.faults -= 1
            raise OSError(5, "Input/output error")
        existed = await super().delete(sha256)
        self.deleted.put_nowait(sha256)
        return existed


class Node:
    def __init__(self, directory: Path) -> None:
        self.blobs = ObservedBlobs(directory / "blobs")
        self.packages = Packages(directory / "packages", self.blobs, Limits())
        self.catalog = Catalog(
            MemoryDocuments(),
            self.packages,
            limits=Limits(),
            clock=ManualClock(),
            new_id=lambda: str(uuid.uuid4()),
        )
        self.slept: list[float] = []
        self.collection = Collection(self.catalog, self.packages, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def deploy(self, name: str, text: str) -> Function:
        draft = FunctionVersion(HERE, name, "role", "python3.12", "m.h", Code("", 0), "", "", 0.0, LoggingConfig("/g"))
        created = await self.catalog.create(draft, zip_of(text), tags={})
        settled = await self.catalog.settle(HERE, name, created.latest.generation, None)
        assert settled is not None
        return settled

    async def gone(self) -> str:
        """The next package that goes."""
        return await asyncio.wait_for(self.blobs.deleted.get(), 10)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    await node.packages.open()
    node.collection.open()
    yield node
    await node.collection.close()


async def test_the_package_of_a_deleted_function_goes(node: Node) -> None:
    function = await node.deploy("f", "one")
    await node.catalog.delete(HERE, "f")
    assert await node.gone() == function.latest.code.sha256
    assert await node.packages.stored() == set()


async def test_replaced_code_goes_when_the_update_has_settled(node: Node) -> None:
    old = await node.deploy("f", "one")
    updated = await node.catalog.update_code(HERE, "f", zip_of("two"), lambda version: version)
    assert await node.packages.stored() == {old.latest.code.sha256, updated.latest.code.sha256}
    await node.catalog.settle(HERE, "f", updated.latest.generation, None)
    assert await node.gone() == old.latest.code.sha256
    assert await node.packages.stored() == {updated.latest.code.sha256}


async def test_code_that_two_functions_share_goes_with_the_last(node: Node) -> None:
    function = await node.deploy("f", "same")
    await node.deploy("g", "same")
    await node.deploy("h", "other")
    await node.catalog.delete(HERE, "f")
    await node.catalog.delete(HERE, "h")
    assert await node.gone() != function.latest.code.sha256
    await node.catalog.delete(HERE, "g")
    assert await node.gone() == function.latest.code.sha256


async def test_code_that_an_environment_still_uses_goes_with_that_environment(node: Node) -> None:
    used, other = await node.deploy("f", "one"), await node.deploy("g", "other")
    node.packages.hold(used.latest.code.sha256)
    await node.catalog.delete(HERE, "f")
    await node.catalog.delete(HERE, "g")
    assert await node.gone() == other.latest.code.sha256
    node.packages.release(used.latest.code.sha256)
    assert await node.gone() == used.latest.code.sha256


async def test_what_a_crash_has_left_goes_at_the_next_start(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.packages.open()
    orphan = await node.blobs.put(b"an orphan")
    kept = await node.deploy("f", "one")
    node.collection.open()
    assert await node.gone() == orphan
    assert await node.packages.stored() == {kept.latest.code.sha256}
    await node.collection.close()


async def test_after_a_fault_it_is_tried_again_in_a_while(node: Node) -> None:
    function = await node.deploy("f", "one")
    node.blobs.faults = 2
    await node.catalog.delete(HERE, "f")
    assert await node.gone() == function.latest.code.sha256
    assert node.slept == [PAUSE_AFTER_A_FAULT] * 2
