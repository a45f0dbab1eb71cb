"""Pulling images: tokens, redirects, registries that break off, and what stays on disk."""

import asyncio
import base64
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.container_images import Image, a_layer, an_image, write_layout
from fakes.scripted_registry import ScriptedRegistry, scripted
from pasture.images.errors import ImageDenied, ImageInvalid, ImageNotFound, ImageUnreachable
from pasture.images.images import FoundImage, ImageLimits, Images
from pasture.images.options import ImageOptions
from pasture.images.pulling import BadLayer
from pasture.runtimes.registry import machine_architecture

ARCHITECTURE = machine_architecture()
LIMITS = ImageLimits(image_bytes=50_000_000, manifest_bytes=25_400)


@pytest.fixture
def image() -> Image:
    return an_image([a_layer({"a": "1" * 300_000}, ""), a_layer({"b": "2"})], Cmd=["/run"])


@pytest.fixture
def registry(image: Image) -> Iterator[ScriptedRegistry]:
    with scripted(image) as registry:
        yield registry


@asynccontextmanager
async def opened(directory: Path, limits: ImageLimits = LIMITS, **options: Any) -> AsyncIterator[Images]:
    async def no_time(_seconds: float) -> None:
        await asyncio.sleep(0)

    images = Images(directory / "images", ImageOptions(**{"retry_seconds": 30.0, **options}), limits, sleep=no_time)
    await images.open()
    try:
        yield images
    finally:
        await images.close()


async def resolved(images: Images, registry: ScriptedRegistry) -> FoundImage:
    return await images.resolve(f"{registry.host}/app:v1", ARCHITECTURE)


def layers_of(image: Image) -> list[str]:
    return [layer["digest"] for layer in json.loads(image.manifest)["layers"]]


def on_disk(directory: Path) -> tuple[int, int, int]:
    """Layers, images, and what is half made."""
    images = directory / "images"
    half = [path for path in images.iterdir() if path.name.startswith(".making")]
    return len(list((images / "layers").iterdir())), len(list((images / "trees").iterdir())), len(half)


async def test_an_image_is_found_by_its_tag_and_pulled_by_its_digest(
    tmp_path: Path, registry: ScriptedRegistry, image: Image
) -> None:
    async with opened(tmp_path) as images:
        found = await resolved(images, registry)
        assert found.resolved_uri == f"{registry.host}/app@{image.digest}"
        stored = await images.ensure(found.digest, found.resolved_uri)
        assert ((stored.root / "b").read_text(), stored.settings.command) == ("2", ("/run",))
        assert on_disk(tmp_path) == (2, 1, 0)


async def test_it_is_pulled_once_however_many_ask_and_known_after_a_restart(
    tmp_path: Path, registry: ScriptedRegistry, image: Image
) -> None:
    async with opened(tmp_path) as images:
        found = await resolved(images, registry)
        await asyncio.gather(*(images.ensure(found.digest, found.resolved_uri) for _ in range(5)))
    assert sum(layers_of(image)[0] in path for path in registry.asked) == 1
    asked = len(registry.asked)
    async with opened(tmp_path) as images:
        assert (await images.ensure(found.digest, found.resolved_uri)).settings.command == ("/run",)
        await images.remove(found.digest)
    assert len(registry.asked) == asked
    assert on_disk(tmp_path) == (0, 0, 0)


async def test_a_token_is_fetched_once_and_sent_to_the_registry_alone(
    tmp_path: Path, registry: ScriptedRegistry, image: Image
) -> None:
    registry.wants = "t0ken"
    digest = layers_of(image)[0]
    registry.redirects[digest] = f"http://localhost:{registry.host.rpartition(':')[2]}/elsewhere/{digest}"
    async with opened(tmp_path) as images:
        found = await resolved(images, registry)
        await images.ensure(found.digest, found.resolved_uri)
    tokens = [path for path in registry.asked if path.startswith("/token")]
    assert len(tokens) == 1
    assert "scope=repository" in tokens[0]
    assert "service=registry" in tokens[0]
    assert registry.authorizations[f"/elsewhere/{digest}"] == ""


async def test_a_token_wants_the_login_of_the_file_that_the_settings_name(
    tmp_path: Path, registry: ScriptedRegistry
) -> None:
    registry.wants = "t0ken"
    encoded = base64.b64encode(b"me:secret").decode()
    registry.login = f"Basic {encoded}"
    async with opened(tmp_path) as images:
        with pytest.raises(ImageDenied):
            await resolved(images, registry)
    logins = tmp_path / "config.json"
    logins.write_text(json.dumps({"auths": {registry.host: {"auth": encoded}}}))
    async with opened(tmp_path, credentials=str(logins)) as images:
        await resolved(images, registry)


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest/", "ftp://127.0.0.1/x", "http://[", "file:///etc/passwd"]
)
async def test_a_redirect_to_where_nothing_is_said_without_tls_is_not_followed(
    tmp_path: Path, registry: ScriptedRegistry, image: Image, to: str
) -> None:
    registry.redirects[json.loads(image.manifest)["config"]["digest"]] = to
    async with opened(tmp_path) as images:
        with pytest.raises(ImageUnreachable):
            await resolved(images, registry)


async def test_a_connection_that_breaks_is_tried_again_and_the_layers_that_came_stay(
    tmp_path: Path, registry: ScriptedRegistry, image: Image
) -> None:
    registry.cut[layers_of(image)[0]] = 3
    async with opened(tmp_path) as images:
        found = await resolved(images, registry)
        stored = await images.ensure(found.digest, found.resolved_uri, patient=True)
        assert (stored.root / "a").stat().st_size == 300_000
    assert [sum(digest in path for path in registry.asked) for digest in layers_of(image)] == [4, 1]
    assert on_disk(tmp_path) == (2, 1, 0)


async def test_a_registry_that_never_gives_all_of_it_leaves_nothing(
    tmp_path: Path, registry: ScriptedRegistry, image: Image
) -> None:
    registry.cut[layers_of(image)[0]] = 1_000
    async with opened(tmp_path, retry_seconds=0.0) as images:
        found = await resolved(images, registry)
        with pytest.raises(ImageUnreachable):
            await images.ensure(found.digest, found.resolved_uri, patient=True)
        assert images.progress(found.digest) == ""
        assert on_disk(tmp_path) == (0, 0, 0)
        registry.cut.clear()
        await images.ensure(found.digest, found.resolved_uri)


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, ImageDenied), (404, ImageNotFound), (500, ImageUnreachable), (429, ImageUnreachable), (204, ImageInvalid)],
)
async def test_what_a_registry_answers_is_told_apart(
    tmp_path: Path, registry: ScriptedRegistry, image: Image, status: int, error: type[Exception]
) -> None:
    registry.status[layers_of(image)[1]] = status
    async with opened(tmp_path) as images:
        found = await resolved(images, registry)
        with pytest.raises(error):
            await images.ensure(found.digest, found.resolved_uri)


async def test_a_layer_that_is_something_else_is_named(
    tmp_path: Path, registry: ScriptedRegistry, image: Image
) -> None:
    digest = layers_of(image)[1]
    image.blobs[digest] = bytes(len(image.blobs[digest]))
    async with opened(tmp_path) as images:
        found = await resolved(images, registry)
        with pytest.raises(BadLayer) as raised:
            await images.ensure(found.digest, found.resolved_uri)
    assert raised.value.digest == digest
    assert on_disk(tmp_path) == (0, 0, 0)


async def test_a_layer_whose_content_is_not_what_the_configuration_says_is_refused(tmp_path: Path) -> None:
    layer = a_layer({"a": "1"})
    lying = an_image([layer])
    other = an_image([a_layer({"a": "2"})])
    config = json.loads(lying.manifest)["config"]["digest"]
    manifest = json.loads(lying.manifest) | {"config": json.loads(other.manifest)["config"]}
    del lying.blobs[config]
    with scripted(Image(json.dumps(manifest).encode(), lying.media_type, {**other.blobs, **lying.blobs})) as registry:
        async with opened(tmp_path) as images:
            found = await resolved(images, registry)
            with pytest.raises(BadLayer, match="unpacks to"):
                await images.ensure(found.digest, found.resolved_uri)


async def test_an_image_that_is_too_large_is_refused_before_and_while_it_is_unpacked(
    tmp_path: Path, registry: ScriptedRegistry
) -> None:
    async with opened(tmp_path, ImageLimits(200_000, 25_400)) as images:
        with pytest.raises(ImageInvalid, match="more than 200000 bytes"):
            await resolved(images, registry)
    packed = an_image([a_layer({"a": bytes(300_000)})])
    with scripted(packed) as small:
        async with opened(tmp_path, ImageLimits(200_000, 25_400)) as images:
            found = await resolved(images, small)
            with pytest.raises(BadLayer, match="more than 200000 bytes"):
                await images.ensure(found.digest, found.resolved_uri)


async def test_a_manifest_over_the_limit_is_refused(tmp_path: Path, registry: ScriptedRegistry) -> None:
    async with opened(tmp_path, ImageLimits(50_000_000, 100)) as images:
        with pytest.raises(ImageInvalid, match="its manifest has 100 bytes or more"):
            await resolved(images, registry)


async def test_a_pull_that_is_cancelled_leaves_nothing_half_made(
    tmp_path: Path, registry: ScriptedRegistry, image: Image
) -> None:
    async with opened(tmp_path) as images:
        found = await resolved(images, registry)
        pull = asyncio.create_task(images.ensure(found.digest, found.resolved_uri))
        while not any(layers_of(image)[0] in path for path in registry.asked):  # noqa: ASYNC110 - a thread of the registry sets it
            await asyncio.sleep(0)
        pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull
    async with opened(tmp_path):
        assert on_disk(tmp_path) == (0, 0, 0)


async def test_an_image_in_a_tar_on_disk_is_read(tmp_path: Path, image: Image) -> None:
    write_layout(image, tmp_path / "layout")
    with tarfile.open(tmp_path / "app.tar", "w") as archive:
        for name in ("index.json", "oci-layout", "blobs"):
            archive.add(tmp_path / "layout" / name, name)
    async with opened(tmp_path, directories=(str(tmp_path),)) as images:
        found = await images.resolve(f"oci-archive:{tmp_path}/app.tar", ARCHITECTURE)
        stored = await images.ensure(found.digest, found.resolved_uri)
        assert (stored.root / "b").read_text() == "2"


async def test_a_link_does_not_lead_out_of_the_directories_that_are_allowed(tmp_path: Path, image: Image) -> None:
    write_layout(image, tmp_path / "outside")
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed/link").symlink_to(tmp_path / "outside")
    async with opened(tmp_path, directories=(str(tmp_path / "allowed"),)) as images:
        with pytest.raises(ImageDenied):
            await images.resolve(f"oci:{tmp_path}/allowed/link", ARCHITECTURE)
        with pytest.raises(ImageNotFound):
            await images.resolve(f"oci:{tmp_path}/allowed/nothing", ARCHITECTURE)
