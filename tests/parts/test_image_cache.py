"""Images that go for want of room come back without their registry, and so do those that a crash has damaged."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.container_images import Image, a_layer, an_image
from fakes.scripted_registry import ScriptedRegistry, scripted
from pasture.images.images import ImageLimits, Images
from pasture.images.options import ImageOptions
from pasture.runtimes.registry import machine_architecture

BASE = a_layer({"base": "b" * 100_000}, "gzip")
LIMITS = ImageLimits(10_000_000, 25_400)


@pytest.fixture
def registry() -> Iterator[ScriptedRegistry]:
    with scripted(an_image([BASE, a_layer({"a": "1"}, "")], Cmd=["/run"])) as registry:
        yield registry


@asynccontextmanager
async def opened(directory: Path, *, orderly: bool = True, **options: tuple[str, ...]) -> AsyncIterator[Images]:
    images = Images(directory / "images", ImageOptions(retry_seconds=0, **options), LIMITS)  # type: ignore[arg-type]
    await images.open()
    yield images
    if orderly:
        await images.close()


async def pulled(images: Images, registry: ScriptedRegistry) -> tuple[str, str]:
    found = await images.resolve(f"{registry.host}/app:v1", machine_architecture())
    await images.ensure(found.digest, found.resolved_uri)
    return found.digest, found.resolved_uri


def on_disk(directory: Path) -> dict[str, int]:
    return {name: len(list((directory / "images" / name).iterdir())) for name in ("layers", "trees", "blobs", "kept")}


async def test_an_evicted_image_is_made_again_without_its_registry(tmp_path: Path, registry: ScriptedRegistry) -> None:
    async with opened(tmp_path) as images:
        digest, uri = await pulled(images, registry)
        assert images.unpacked_bytes > 100_000
        asked = len(registry.asked)
        assert await images.evict(digest)
        assert images.unpacked_bytes == 0
        assert on_disk(tmp_path) == {"layers": 0, "trees": 0, "blobs": 2, "kept": 1}
        stored = await images.ensure(digest, uri)
        assert ((stored.root / "a").read_text(), stored.settings.command) == ("1", ("/run",))
        assert len(registry.asked) == asked


async def test_an_evicted_image_is_known_after_a_restart_and_goes_when_nobody_needs_it(
    tmp_path: Path, registry: ScriptedRegistry
) -> None:
    async with opened(tmp_path) as images:
        digest, _ = await pulled(images, registry)
        await images.evict(digest)
    async with opened(tmp_path) as images:
        assert on_disk(tmp_path) == {"layers": 0, "trees": 0, "blobs": 2, "kept": 1}
        assert set(images.stored()) == {digest}
        await images.remove(digest)
        assert on_disk(tmp_path) == {"layers": 0, "trees": 0, "blobs": 0, "kept": 0}


async def test_a_layer_that_another_image_shows_stays(tmp_path: Path, registry: ScriptedRegistry) -> None:
    other: Image = an_image([BASE, a_layer({"c": "3"})], Cmd=["/other"])
    async with opened(tmp_path) as images:
        digest, _ = await pulled(images, registry)
        with scripted(other) as second:
            kept, _ = await pulled(images, second)
        assert await images.evict(digest)
        assert on_disk(tmp_path) == {"layers": 2, "trees": 1, "blobs": 3, "kept": 2}
        await images.remove(kept)
        assert on_disk(tmp_path) == {"layers": 0, "trees": 0, "blobs": 2, "kept": 1}


async def test_an_image_without_kept_layers_is_not_evicted(tmp_path: Path, registry: ScriptedRegistry) -> None:
    async with opened(tmp_path) as images:
        digest, _ = await pulled(images, registry)
    next((tmp_path / "images" / "blobs").iterdir()).unlink()
    async with opened(tmp_path) as images:
        assert not await images.evict(digest)
        assert on_disk(tmp_path)["trees"] == 1


async def test_after_an_unclean_end_a_damaged_image_is_made_again(tmp_path: Path, registry: ScriptedRegistry) -> None:
    async with opened(tmp_path, orderly=False) as images:
        digest, uri = await pulled(images, registry)
        await images._registry.close()
    asked = len(registry.asked)
    os.truncate(tmp_path / "images" / "trees" / digest / "root" / "base", 10)
    async with opened(tmp_path) as images:
        stored = await images.ensure(digest, uri)
        assert (stored.root / "base").stat().st_size == 100_000
    assert len(registry.asked) == asked


async def test_when_what_was_kept_is_damaged_too_the_registry_is_asked(
    tmp_path: Path, registry: ScriptedRegistry
) -> None:
    async with opened(tmp_path) as images:
        digest, uri = await pulled(images, registry)
        await images.evict(digest)
        for blob in (tmp_path / "images" / "blobs").iterdir():
            blob.write_bytes(blob.read_bytes()[:-20])
        stored = await images.ensure(digest, uri)
        assert (stored.root / "a").read_text() == "1"
        assert await images.evict(digest), "it is kept again"
        assert (await images.ensure(digest, uri)).root.is_dir()
