"""After a crash at any write of the life of a code signing configuration, nothing is left half."""

import dataclasses
from pathlib import Path

import pytest

from fakes.functions import a_version
from fakes.management import HERE, counting, zip_of
from fakes.mortal import Killed, MortalDocuments
from pasture.domain.code_signing import CodeSigningConfig, ConfigRef
from pasture.domain.errors import ResourceConflict
from pasture.domain.function import State
from pasture.domain.limits import Limits
from pasture.functions.catalog import Catalog
from pasture.functions.package import Packages
from pasture.functions.records import CODE_SIGNING_CONFIGS, CODE_SIGNING_USES, use_of
from pasture.kit.clock import ManualClock
from pasture.store.blobs import Blobs
from pasture.store.documents import Documents
from pasture.store.kinds.memory import MemoryDocuments

DRAFT = a_version(state=State.PENDING)
CONFIG = CodeSigningConfig(HERE, "", ("arn:p",), 0.0)
WRITES = 21
"""Of the whole life."""


async def made(documents: Documents, directory: Path) -> Catalog:
    packages = Packages(directory / "packages", Blobs(directory / "blobs"), Limits())
    await packages.open()
    catalog = Catalog(documents, packages, limits=Limits(), clock=ManualClock(), new_id=counting())
    catalog.open()
    return catalog


class Life:
    """What its owner was told before the crash: which configurations there are, and which functions have them."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.configs: list[ConfigRef] = []
        self.attached: dict[str, str] = {}

    async def run(self) -> None:
        catalog, signing = self.catalog, self.catalog.code_signing
        self.configs += [(await signing.configs.create(CONFIG)).ref]
        self.configs += [(await signing.configs.create(CONFIG)).ref]
        one, two = (ref.arn for ref in self.configs)
        await catalog.create(DRAFT, zip_of("one"), {}, code_signing_config=one)
        self.attached["f"] = one
        await catalog.create(dataclasses.replace(DRAFT, name="g"), zip_of("one"), {})
        self.attached["g"] = ""
        await signing.attach(HERE, "g", two)
        self.attached["g"] = two
        await signing.attach(HERE, "g", one)
        self.attached["g"] = one
        await signing.attach(HERE, "g", "")
        self.attached["g"] = ""
        del self.attached["f"]
        await catalog.delete(HERE, "f")
        await signing.configs.delete(self.configs.pop())


async def lived(documents: Documents, directory: Path) -> Life:
    life = Life(await made(documents, directory))
    try:
        await life.run()
    except Killed:
        pass
    finally:
        life.catalog.close()
    return life


async def uses(documents: Documents) -> set[tuple[str, str]]:
    return {(key.ref.arn, function.name) for key, function in map(use_of, await keys(documents))}


async def keys(documents: Documents) -> list[str]:
    return [document.key for document in await documents.list(CODE_SIGNING_USES)]


async def test_the_whole_life_has_so_many_writes(tmp_path: Path) -> None:
    inner = MemoryDocuments()
    life = await lived(MortalDocuments(inner, WRITES), tmp_path)
    assert len(life.configs) == 1
    assert await inner.count(CODE_SIGNING_CONFIGS) == 1
    assert await keys(inner) == []
    again = MemoryDocuments()
    await lived(MortalDocuments(again, WRITES - 1), tmp_path / "again")
    assert await again.count(CODE_SIGNING_CONFIGS) == 2


@pytest.mark.parametrize("writes", range(WRITES))
async def test_after_a_crash_functions_and_configurations_agree(tmp_path: Path, writes: int) -> None:
    inner = MemoryDocuments()
    before = await lived(MortalDocuments(inner, writes), tmp_path)
    catalog = await made(inner, tmp_path)
    configs = catalog.code_signing.configs
    await catalog.drop_stale_references()

    for ref in before.configs:
        assert await configs.get(ref)
    has: set[tuple[str, str]] = set()
    for function in (await catalog.list(HERE, limit=10))[0]:
        if function.code_signing_config:
            has.add((function.code_signing_config, function.name))
            assert await configs.of_function(HERE, function.code_signing_config)
    assert set(before.attached) <= {function.name for function in (await catalog.list(HERE, limit=10))[0]}
    assert await uses(inner) == has
    for config in (await configs.list(HERE, limit=10))[0]:
        users, _ = await configs.functions(config.ref, limit=10)
        assert {(config.arn, name) for name in users} == {entry for entry in has if entry[0] == config.arn}
        if users:
            with pytest.raises(ResourceConflict):
                await configs.delete(config.ref)
        else:
            await configs.delete(config.ref)
    catalog.close()
