"""The catalog over the store in memory: what a write changes, what a crash leaves, what readers see."""

import asyncio
import dataclasses
import io
import itertools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.mortal import Killed, MortalDocuments
from pasture.domain.errors import (
    ApiError,
    CodeStorageExceeded,
    InvalidParameterValue,
    PreconditionFailed,
    ResourceConflict,
    ResourceNotFound,
)
from pasture.domain.function import Code as DomainCode
from pasture.domain.function import Function, FunctionVersion, LastUpdateStatus, LoggingConfig, Reason, State
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.collection import Collection
from pasture.functions.package import Packages
from pasture.functions.records import FunctionKey, decode, encode, key_of
from pasture.functions.versions import CREATING
from pasture.kit.clock import ManualClock
from pasture.store.blobs import Blobs
from pasture.store.documents import Document, Documents
from pasture.store.kinds.memory import MemoryDocuments

HERE = Scope()
LIMITS = Limits(code_storage_bytes=1_000)


def zip_of(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", text)
    return content.getvalue()


def draft(name: str = "f", scope: Scope = HERE) -> FunctionVersion:
    return FunctionVersion(
        scope,
        name,
        "role",
        "python3.12",
        "main.handler",
        DomainCode("", 0),
        "",
        "",
        0.0,
        LoggingConfig(f"/aws/lambda/{name}"),
    )


def numbers() -> Callable[[], str]:
    count = itertools.count(1)
    return lambda: f"id-{next(count)}"


async def made(documents: Documents, directory: Path) -> Catalog:
    packages = Packages(directory / "packages", Blobs(directory / "blobs"), LIMITS)
    await packages.open()
    catalog = Catalog(documents, packages, limits=LIMITS, clock=ManualClock(), new_id=numbers())
    catalog.open()
    return catalog


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
async def catalog(documents: MemoryDocuments, tmp_path: Path) -> Catalog:
    return await made(documents, tmp_path)


async def active(catalog: Catalog, name: str = "f", text: str = "one") -> Function:
    created = await catalog.create(draft(name), zip_of(text), tags={})
    settled = await catalog.settle(HERE, name, created.latest.generation, None)
    assert settled is not None
    return settled


async def keys(documents: Documents) -> list[str]:
    return [document.key for document in await documents.list("")]


def longer(version: FunctionVersion) -> FunctionVersion:
    return dataclasses.replace(version, timeout=9)


async def refusal(call: Any) -> tuple[type[ApiError], str]:
    with pytest.raises(ApiError) as failure:
        await call
    return type(failure.value), failure.value.message


# Creating...


async def test_a_function_is_created_pending_with_its_identifiers_and_its_time(catalog: Catalog) -> None:
    function = await catalog.create(draft(), zip_of("one"), tags={"team": "a"})
    assert function == Function(
        dataclasses.replace(
            draft(),
            code=function.latest.code,
            revision_id="id-1",
            generation="id-2",
            last_modified=1_700_000_000.0,
            state=State.PENDING,
            state_reason=CREATING,
        ),
        tags={"team": "a"},
    )
    assert function.latest.code.size == len(zip_of("one"))


async def test_a_name_can_be_taken_once(catalog: Catalog) -> None:
    await catalog.create(draft(), zip_of("one"), tags={})
    assert await refusal(catalog.create(draft(), zip_of("two"), tags={})) == (
        ResourceConflict,
        "Function already exist: f",
    )


async def test_of_many_who_create_one_name_one_succeeds(catalog: Catalog) -> None:
    answers = await asyncio.gather(
        *(catalog.create(draft(), zip_of(str(n)), tags={}) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(answer, Function) for answer in answers) == 1
    assert sum(isinstance(answer, ResourceConflict) for answer in answers) == 4


async def test_a_refused_package_leaves_no_document(catalog: Catalog, documents: MemoryDocuments) -> None:
    assert (await refusal(catalog.create(draft(), b"no zip", tags={})))[0] is InvalidParameterValue
    assert await keys(documents) == []


async def test_the_accounts_storage_is_bounded(catalog: Catalog) -> None:
    size = len(zip_of("one"))
    for n in range(1_000 // size):
        await active(catalog, f"f{n}", "one")
    assert await refusal(catalog.create(draft("more"), zip_of("one"), tags={})) == (
        CodeStorageExceeded,
        "Code storage limit exceeded.",
    )


# Updating...


async def test_an_update_is_in_progress_until_it_settles_and_meanwhile_the_old_version_serves(catalog: Catalog) -> None:
    before = await active(catalog)
    updated = await catalog.update_code(HERE, "f", zip_of("two"), longer)
    assert updated.active == before.latest
    assert updated.latest.code != before.latest.code
    assert updated.latest.timeout == 9
    assert (updated.latest.state, updated.latest.last_update) == (State.ACTIVE, LastUpdateStatus.IN_PROGRESS)

    settled = await catalog.settle(HERE, "f", updated.latest.generation, None)
    assert settled is not None
    assert settled.active == settled.latest
    assert settled.latest.last_update is LastUpdateStatus.SUCCESSFUL


async def test_the_revision_changes_with_every_state_and_the_generation_with_every_update(catalog: Catalog) -> None:
    created = await catalog.create(draft(), zip_of("one"), tags={})
    settled = await catalog.settle(HERE, "f", created.latest.generation, None)
    updated = await catalog.update_configuration(HERE, "f", longer)
    finished = await catalog.settle(HERE, "f", updated.latest.generation, None)
    assert settled is not None
    assert finished is not None
    versions = [function.latest for function in (created, settled, updated, finished)]
    assert len({version.revision_id for version in versions}) == 4
    generations = [version.generation for version in versions]
    assert generations[0] == generations[1] != generations[2] == generations[3]


async def test_a_failed_update_leaves_the_old_version_serving(catalog: Catalog) -> None:
    before = await active(catalog)
    updated = await catalog.update_code(HERE, "f", zip_of("two"), longer)
    why = Reason("gone", "InvalidRuntime")
    failed = await catalog.settle(HERE, "f", updated.latest.generation, why)
    assert failed is not None
    assert failed.active == before.latest
    assert (failed.latest.state, failed.latest.last_update, failed.latest.last_update_reason) == (
        State.ACTIVE,
        LastUpdateStatus.FAILED,
        why,
    )


async def test_a_function_whose_creation_failed_can_be_mended_by_an_update(catalog: Catalog) -> None:
    created = await catalog.create(draft(), zip_of("one"), tags={})
    failed = await catalog.settle(HERE, "f", created.latest.generation, Reason("gone", "InvalidRuntime"))
    assert failed is not None
    assert (failed.latest.state, failed.active) == (State.FAILED, None)
    updated = await catalog.update_configuration(HERE, "f", longer)
    mended = await catalog.settle(HERE, "f", updated.latest.generation, None)
    assert mended is not None
    assert (mended.latest.state, mended.active) == (State.ACTIVE, mended.latest)


async def test_a_generation_settles_once_and_no_other_does(catalog: Catalog) -> None:
    created = await catalog.create(draft(), zip_of("one"), tags={})
    assert await catalog.settle(HERE, "f", "another", None) is None
    assert await catalog.settle(HERE, "f", created.latest.generation, None) is not None
    assert await catalog.settle(HERE, "f", created.latest.generation, Reason("late", "InternalError")) is None


async def test_updates_wait_for_creation_to_end(catalog: Catalog) -> None:
    await catalog.create(draft(), zip_of("one"), tags={})
    assert await refusal(catalog.update_configuration(HERE, "f", longer)) == (
        ResourceConflict,
        ("The operation cannot be performed at this time. The function is currently in the following state: Pending"),
    )


async def test_updates_come_one_after_the_other(catalog: Catalog) -> None:
    await active(catalog)
    await catalog.update_configuration(HERE, "f", longer)
    assert await refusal(catalog.update_code(HERE, "f", zip_of("two"), longer)) == (
        ResourceConflict,
        (
            "The operation cannot be performed at this time. An update is in progress for resource: "
            "arn:aws:lambda:us-east-1:000000000000:function:f"
        ),
    )


async def test_an_update_from_another_revision_is_refused(catalog: Catalog) -> None:
    await active(catalog)
    assert await refusal(catalog.update_configuration(HERE, "f", longer, revision_id="old")) == (
        PreconditionFailed,
        (
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        ),
    )


async def test_an_update_from_the_latest_revision_is_made(catalog: Catalog) -> None:
    function = await active(catalog)
    updated = await catalog.update_configuration(HERE, "f", longer, revision_id=function.latest.revision_id)
    assert updated.latest.timeout == 9


async def test_changing_a_setting_needs_no_settling(catalog: Catalog) -> None:
    before = await active(catalog)
    changed = await catalog.change(HERE, "f", lambda f: dataclasses.replace(f, reserved_concurrency=7))
    assert changed == dataclasses.replace(before, reserved_concurrency=7)


# Deleting and finding...


async def test_a_deleted_function_is_gone_with_every_document(catalog: Catalog, documents: MemoryDocuments) -> None:
    await active(catalog)
    await catalog.update_code(HERE, "f", zip_of("two"), longer)
    await catalog.delete(HERE, "f")
    assert await catalog.find(HERE, "f") is None
    assert await keys(documents) == []


@pytest.mark.parametrize("verb", ["get", "delete", "update"])
async def test_an_unknown_function_is_not_found(catalog: Catalog, verb: str) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: catalog.get(HERE, "f"),
        "delete": lambda: catalog.delete(HERE, "f"),
        "update": lambda: catalog.update_code(HERE, "f", zip_of("x"), longer),
    }
    assert await refusal(calls[verb]()) == (
        ResourceNotFound,
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f",
    )


async def test_a_function_of_another_account_is_another_function(catalog: Catalog) -> None:
    await active(catalog)
    assert await catalog.find(Scope("111111111111"), "f") is None


class CountingDocuments(MemoryDocuments):
    reads = 0

    async def get(self, key: str) -> Document | None:
        self.reads += 1
        return await super().get(key)


async def test_a_function_that_is_known_is_found_without_reading(tmp_path: Path) -> None:
    documents = CountingDocuments()
    catalog = await made(documents, tmp_path)
    function = await active(catalog)
    reads = documents.reads
    assert await catalog.find(HERE, "f") == function
    assert documents.reads == reads


async def test_what_another_node_writes_is_seen(documents: MemoryDocuments, tmp_path: Path) -> None:
    one, other = await made(documents, tmp_path), await made(documents, tmp_path)
    await active(one)
    assert (await other.get(HERE, "f")).latest.timeout == 3
    await one.update_configuration(HERE, "f", longer)
    assert (await other.get(HERE, "f")).latest.timeout == 9
    await one.delete(HERE, "f")
    assert await other.find(HERE, "f") is None


class SlowReads(MemoryDocuments):
    """A read answers what was there when it began."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.proceed = asyncio.Event(), asyncio.Event()

    async def get(self, key: str) -> Document | None:
        document = await super().get(key)
        self.begun.set()
        await self.proceed.wait()
        return document


async def test_a_slow_read_does_not_bring_back_what_was_deleted_meanwhile(tmp_path: Path) -> None:
    documents = SlowReads()
    catalog = await made(documents, tmp_path)
    documents.proceed.set()
    function = await active(catalog)
    reader = await made(documents, tmp_path)
    documents.proceed.clear()
    documents.begun.clear()
    reading = asyncio.create_task(reader.find(HERE, "f"))
    await documents.begun.wait()
    await documents.delete(FunctionKey(HERE, "f").function)
    documents.proceed.set()
    assert await reading == function  # as it was when asked
    assert await reader.find(HERE, "f") is None


async def test_listeners_hear_of_every_change_until_they_stop(catalog: Catalog) -> None:
    heard: list[tuple[str, State | None]] = []
    stop = catalog.on_change(lambda _scope, name, f: heard.append((name, f.latest.state if f else None)))
    await active(catalog)
    await catalog.delete(HERE, "f")
    stop()
    await active(catalog)
    assert heard == [("f", State.PENDING), ("f", State.ACTIVE), ("f", None)]


async def test_functions_are_listed_in_pages_by_name(catalog: Catalog) -> None:
    for name in ("b", "a", "c"):
        await catalog.create(draft(name), zip_of("x"), tags={})
    await catalog.create(draft("z", Scope("111111111111")), zip_of("x"), tags={})
    first, after = await catalog.list(HERE, limit=2)
    second, end = await catalog.list(HERE, after=after or "", limit=2)
    assert ([f.name for f in first], after, [f.name for f in second], end) == (["a", "b"], "b", ["c"], None)


async def test_usage_is_counted_once_and_kept(documents: MemoryDocuments, tmp_path: Path) -> None:
    await active(await made(documents, tmp_path), "before")
    catalog = await made(documents, tmp_path)
    usage = await catalog.usage(HERE)
    size = len(zip_of("one"))
    assert (usage.functions, usage.code_bytes) == (1, size)
    await active(catalog, "after")
    await catalog.change(HERE, "after", lambda f: dataclasses.replace(f, reserved_concurrency=5))
    assert (usage.functions, usage.code_bytes, usage.claimed_concurrency) == (2, 2 * size, 5)
    await catalog.delete(HERE, "after")
    assert (usage.functions, usage.code_bytes, usage.claimed_concurrency) == (1, size, 0)


# What a document says...


def test_a_function_reads_back_as_it_was_written() -> None:
    latest = dataclasses.replace(
        draft(), environment={"A": "ü"}, more={"VpcConfig": {"SubnetIds": ["subnet-1"]}}, state_reason=CREATING
    )
    function = Function(latest, active=draft(), tags={"a": "b"}, reserved_concurrency=0)
    assert decode(encode(function)) == function


def test_every_key_says_whose_it_is() -> None:
    key = FunctionKey(Scope("111111111111", "eu-west-1"), "f")
    assert {key_of(text) for text in (key.function, key.activation, key.code("00" * 32))} == {key}


# Crashes...


async def live(catalog: Catalog) -> None:
    await active(catalog)
    updated = await catalog.update_code(HERE, "f", zip_of("two"), longer)
    await catalog.settle(HERE, "f", updated.latest.generation, None)
    await catalog.unmark(HERE, "f")
    await catalog.delete(HERE, "f")


@pytest.mark.parametrize("writes", range(14))
async def test_after_a_crash_at_any_write_nothing_needed_is_lost_and_nothing_else_stays(
    documents: MemoryDocuments, tmp_path: Path, writes: int
) -> None:
    doomed = await made(MortalDocuments(documents, writes), tmp_path)
    try:
        await live(doomed)
    except Killed:
        pass
    else:
        assert writes == 13

    catalog = await made(documents, tmp_path)
    function = await catalog.find(HERE, "f")
    if function is not None and function.latest.is_settling:
        assert await catalog.unsettled() == [FunctionKey(HERE, "f")]
    needed = function.code if function else frozenset()
    packages = Packages(tmp_path / "packages", Blobs(tmp_path / "blobs"), LIMITS)
    await Collection(catalog, packages).sweep()
    assert set(await Blobs(tmp_path / "blobs").sizes()) == needed
    for sha256 in needed:
        assert (await packages.tree(sha256)).is_dir()
