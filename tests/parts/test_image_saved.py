"""Archives as `docker save` wrote them before version 25: no OCI layout, but all that is needed for one."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.container_images import a_layer, a_tar, an_image, digest_of
from pasture.images.errors import ImageInvalid, ImageNotFound
from pasture.images.images import ImageLimits, Images
from pasture.images.options import ImageOptions
from pasture.images.store import StoredImage
from pasture.runtimes.registry import machine_architecture

LAYERS = [a_layer({"a": "1", "d/": b""}, ""), a_layer({"d/b": "2"}, ""), a_layer({"a": "1", "d/": b""}, "")]


def config() -> bytes:
    image = an_image(LAYERS, Cmd=["/run"])
    return image.blobs[json.loads(image.manifest)["config"]["digest"]]


def saved(path: Path, manifest: Any = None, **more: bytes) -> Path:
    """The third layer is the first once more: a link."""
    default = [
        {
            "Config": "c.json",
            "RepoTags": ["app:v1", "app:latest"],
            "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"],
        }
    ]
    files: Mapping[str, bytes] = {
        "c.json": config(),
        "1/layer.tar": LAYERS[0].tar,
        "2/layer.tar": LAYERS[1].tar,
        "manifest.json": json.dumps(default if manifest is None else manifest).encode(),
        **more,
    }
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("3/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
        archive.addfile(link)
    return path


async def pulled(directory: Path, uri: str) -> StoredImage:
    options = ImageOptions(directories=(str(directory),), retry_seconds=0)
    images = Images(directory / "images", options, ImageLimits(1_000_000, 25_400))
    await images.open()
    try:
        found = await images.resolve(uri, machine_architecture())
        return await images.ensure(found.digest, found.resolved_uri)
    finally:
        await images.close()


@pytest.mark.parametrize("tag", ["", ":v1", ":latest"])
async def test_an_archive_is_read_by_its_tags_or_without(tmp_path: Path, tag: str) -> None:
    stored = await pulled(tmp_path, f"oci-archive:{saved(tmp_path / 'app.tar')}{tag}")
    assert ((stored.root / "a").read_text(), (stored.root / "d/b").read_text()) == ("1", "2")
    assert stored.settings.command == ("/run",)
    assert stored.settings.diff_ids[0] == digest_of(LAYERS[0].tar)


async def test_a_tag_that_is_not_in_it_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound):
        await pulled(tmp_path, f"oci-archive:{saved(tmp_path / 'app.tar')}:v2")


async def test_a_layer_that_is_something_else_is_refused(tmp_path: Path) -> None:
    archive = saved(tmp_path / "app.tar", **{"2/layer.tar": a_tar({"d/b": "x"})})
    with pytest.raises(ImageInvalid):
        await pulled(tmp_path, f"oci-archive:{archive}")


@pytest.mark.parametrize(
    "manifest",
    [
        {}, [1], [{"Config": 1}], [{"Config": "c.json", "Layers": ["1/layer.tar"]}],
        [{"Config": "c.json", "Layers": [1, 2, 3]}], [{"Config": "1/layer.tar", "Layers": []}],
        [{"Config": "c.json", "Layers": 5}], [{"Config": "c.json", "RepoTags": {}}],
    ],
)  # fmt: skip
async def test_what_docker_does_not_write_is_refused(tmp_path: Path, manifest: Any) -> None:
    with pytest.raises(ImageInvalid):
        await pulled(tmp_path, f"oci-archive:{saved(tmp_path / 'app.tar', manifest)}")


async def test_what_is_not_in_it_is_told(tmp_path: Path) -> None:
    archive = saved(tmp_path / "app.tar", [{"Config": "nowhere.json", "Layers": []}])
    with pytest.raises(ImageNotFound):
        await pulled(tmp_path, f"oci-archive:{archive}")
