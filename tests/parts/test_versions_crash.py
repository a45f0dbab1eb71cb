"""After a crash at any write of the life of a function with versions, aliases and layers, nothing is left half."""

import dataclasses
from pathlib import Path

import pytest

from fakes.functions import a_version
from fakes.management import HERE, counting, zip_of
from fakes.mortal import Killed, MortalDocuments
from pasture.domain.function import LATEST, Alias, Code, FunctionVersion, State
from pasture.domain.layer import LayerRef, LayerVersion
from pasture.domain.limits import Limits
from pasture.functions.catalog import Catalog
from pasture.functions.collection import Collection
from pasture.functions.package import Packages
from pasture.functions.records import FUNCTIONS, LAYER_VERSIONS, VERSIONS, FunctionKey, VersionKey
from pasture.kit.clock import ManualClock
from pasture.store.blobs import Blobs
from pasture.store.documents import Documents
from pasture.store.kinds.memory import MemoryDocuments

DRAFT = a_version(state=State.PENDING)
WRITES = 55
"""Of the whole life."""


async def made(documents: Documents, directory: Path) -> Catalog:
    packages = Packages(directory / "packages", Blobs(directory / "blobs"), Limits())
    await packages.open()
    catalog = Catalog(documents, packages, limits=Limits(), clock=ManualClock(), new_id=counting())
    catalog.open()
    return catalog


async def settle(catalog: Catalog) -> None:
    function = await catalog.get(HERE, "f")
    await catalog.settle(HERE, "f", function.latest.generation, None)
    await catalog.unmark(HERE, "f")


async def settle_version(catalog: Catalog, version: str, generation: str) -> None:
    key = VersionKey(HERE, "f", int(version))
    await catalog.versions.settle(key, generation, None)
    await catalog.unmark(*key)


class Life:
    """What its owner was told before the crash."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.versions: dict[str, FunctionVersion] = {}
        self.alias = ""
        self.highest = 0

    async def run(self) -> None:
        catalog = self.catalog
        layers = [
            await catalog.layers.publish(LayerVersion(HERE, name, 0, Code("", 0), 0.0), zip_of({name: ""}))
            for name in ("a", "b")
        ]
        async with catalog.layers.using([layer.arn for layer in layers], HERE, "") as used:
            await catalog.create(dataclasses.replace(DRAFT, layers=used), zip_of("one"), {}, publish=True)
        await self._know("1")
        await settle(catalog)
        await settle_version(catalog, "1", self.versions["1"].generation)
        await catalog.aliases.create(HERE, "f", Alias("live", "1", ""))
        self.alias = "1"
        await catalog.update_code(HERE, "f", zip_of("two"), lambda version: dataclasses.replace(version, layers=()))
        await settle(catalog)
        published = await catalog.versions.publish(HERE, "f")
        await self._know(published.version)
        self.alias = "1 or 2"
        await catalog.aliases.update(HERE, "f", "live", lambda alias: dataclasses.replace(alias, version="2"))
        self.alias = "2"
        del self.versions["1"]
        await catalog.versions.delete(HERE, "f", "1")
        for layer in layers:
            await catalog.layers.delete(layer_ref(layer))
        self.versions.clear()
        self.alias = ""
        await catalog.delete(HERE, "f")

    async def _know(self, number: str) -> None:
        version = await self.catalog.versions.find(HERE, "f", number)
        assert version is not None
        self.versions[number] = version
        self.highest = max(self.highest, int(number))


def layer_ref(layer: LayerVersion) -> LayerRef:
    return LayerRef(layer.scope, layer.name, layer.number)


async def needed(catalog: Catalog) -> set[str]:
    """The packages that something in the catalog needs."""
    ledger = catalog._ledger
    functions = [stored.value for stored in await ledger.functions.list(FUNCTIONS)]
    versions = [stored.value for stored in await ledger.versions.list(VERSIONS)]
    layers = [stored.value for stored in await ledger.layers.list(LAYER_VERSIONS)]
    configured = [v for f in functions for v in (f.latest, f.active) if v is not None] + versions
    packages = {v.code.sha256 for v in configured} | {sha256 for v in configured for sha256 in v.layer_digests}
    return packages | {layer.code.sha256 for layer in layers}


@pytest.mark.parametrize("writes", range(WRITES + 1))
async def test_after_a_crash_at_any_write_nothing_is_half_there(tmp_path: Path, writes: int) -> None:
    documents = MemoryDocuments()
    life = Life(await made(MortalDocuments(documents, writes), tmp_path))
    try:
        await life.run()
    except Killed:
        assert writes < WRITES
    else:
        assert writes == WRITES

    catalog = await made(documents, tmp_path)
    packages = Packages(tmp_path / "packages", Blobs(tmp_path / "blobs"), Limits())
    await Collection(catalog, packages).sweep()

    function = await catalog.find(HERE, "f")
    stored = [entry.value for entry in await catalog._ledger.versions.list(VERSIONS)]
    # Every version that its owner knows of is there as it was, but for its state; none is there without its function.
    for number, known in life.versions.items():
        version = await catalog.versions.find(HERE, "f", number)
        assert version is not None
        assert (version.code, version.layers, version.revision_id) == (known.code, known.layers, known.revision_id)
    assert function is not None or stored == []
    # What has yet to come to rest is found again.
    unsettled = await catalog.unsettled()
    settling = [VersionKey(HERE, "f", int(v.version)) for v in stored if v.is_settling]
    settling_function = [FunctionKey(HERE, "f")] if function is not None and function.latest.is_settling else []
    assert {*settling, *settling_function} <= {*unsettled}
    # Aliases point to what is there, and to what was said.
    if function is not None:
        for alias in function.aliases.values():
            assert await catalog.versions.find(HERE, "f", alias.version) is not None
        assert not life.alias or function.aliases["live"].version in life.alias
    # On disk is what is needed, and nothing else.
    assert set(await Blobs(tmp_path / "blobs").sizes()) == await needed(catalog)
    # A number that was given out is not given again, whatever becomes of the function.
    highest = max([int(version.version) for version in stored] + [life.highest])
    if function is None:
        function = await catalog.create(DRAFT, zip_of("three"), {})
    if function.latest.is_settling:
        await settle(catalog)
    await catalog.update_configuration(HERE, "f", lambda version: dataclasses.replace(version, timeout=77))
    await settle(catalog)
    published = await catalog.versions.publish(HERE, "f")
    assert int(published.version) > highest
    assert published.version != LATEST
