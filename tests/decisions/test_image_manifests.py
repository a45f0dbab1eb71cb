"""What the documents of an image say, and which are refused."""

import json
from typing import Any

import pytest

from fakes.container_images import a_layer, an_image, an_index
from pasture.images import manifest as manifests
from pasture.images.errors import ImageInvalid, ImageUnsupported
from pasture.images.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, ImageSettings

LAYERS = [a_layer({"a": "1"}), a_layer({"b": "2"}, "zstd"), a_layer({"c": "3"}, "")]


def test_a_manifest_leads_to_its_configuration_and_its_layers() -> None:
    image = an_image(LAYERS)
    manifest = manifests.parse(image.manifest)
    assert [layer.compression for layer in manifest.layers] == ["gzip", "zstd", ""]
    assert {manifest.config.digest, *(layer.blob.digest for layer in manifest.layers)} == set(image.blobs)
    assert manifest.size == sum(len(layer.blob) for layer in LAYERS)


def test_dockers_manifest_says_the_same() -> None:
    image = an_image(LAYERS[:1], docker=True)
    assert manifests.kind(image.manifest, "") == DOCKER_MANIFEST
    assert len(manifests.parse(image.manifest).layers) == 1


def test_a_configuration_says_what_is_started() -> None:
    image = an_image(
        LAYERS[:1], Entrypoint=["/run"], Cmd=["a", "b"], Env=["A=1", "B=x=y", "C"], WorkingDir="/w", User="nobody"
    )
    manifest = manifests.parse(image.manifest)
    settings = manifests.settings(image.blobs[manifest.config.digest], manifest)
    assert settings == ImageSettings(
        ("/run",), ("a", "b"), "/w", (("A", "1"), ("B", "x=y"), ("C", "")), settings.diff_ids
    )


def test_a_configuration_may_say_nothing() -> None:
    image = an_image([])
    manifest = manifests.parse(image.manifest)
    settings = manifests.settings(image.blobs[manifest.config.digest], manifest)
    assert settings == ImageSettings((), (), "", (), ())


@pytest.mark.parametrize("docker", [False, True])
def test_of_an_index_the_platform_counts_and_attestations_do_not(docker: bool) -> None:
    amd, arm = an_image(LAYERS[:1], docker=docker), an_image(LAYERS[:1], docker=docker, Cmd=["arm"])
    index = an_index({"amd64": amd, "arm64": arm}, docker=docker)
    assert manifests.kind(index.manifest, "") == (DOCKER_LIST if docker else OCI_INDEX)
    assert manifests.choose(index.manifest, "x86_64").digest == amd.digest
    assert manifests.choose(index.manifest, "arm64").digest == arm.digest


def test_an_index_without_the_platform_is_not_supported() -> None:
    with pytest.raises(ImageUnsupported, match="nothing for linux/arm64"):
        manifests.choose(an_index({"amd64": an_image([])}).manifest, "arm64")


@pytest.mark.parametrize(
    ("document", "came_as", "kind"),
    [
        ({"mediaType": OCI_INDEX}, DOCKER_MANIFEST, OCI_INDEX),
        ({}, f"{DOCKER_MANIFEST}; charset=utf-8", DOCKER_MANIFEST),
        ({"manifests": []}, "", OCI_INDEX),
        ({"config": {}}, "application/json", OCI_MANIFEST),
    ],
)
def test_the_kind_is_what_the_document_says_or_how_it_came(document: Any, came_as: str, kind: str) -> None:
    assert manifests.kind(json.dumps(document).encode(), came_as) == kind


def test_the_first_schema_is_not_supported() -> None:
    with pytest.raises(ImageUnsupported):
        manifests.kind(b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws")


def changed(**members: Any) -> bytes:
    return json.dumps({**json.loads(an_image(LAYERS[:1]).manifest), **members}).encode()


BLOB = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{'a' * 64}", "size": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"[" * 100_000, b'{"a": 1', changed(config=None), changed(layers={}),
        changed(layers=[{**BLOB, "mediaType": "application/x-lzma"}]), changed(layers=[{**BLOB, "digest": "sha256:../../etc"}]),
        changed(layers=[{**BLOB, "digest": "sha512:" + "a" * 128}]), changed(layers=[{**BLOB, "size": -1}]),
        changed(layers=[{**BLOB, "size": True}]), changed(layers=[5]), changed(layers=[BLOB] * 1_000),
        changed(config={"mediaType": "application/vnd.cncf.helm.config.v1+json"}),
    ],
)  # fmt: skip
def test_what_is_no_manifest_of_an_image_is_refused(content: bytes) -> None:
    with pytest.raises((ImageInvalid, ImageUnsupported)):
        manifests.parse(content)


@pytest.mark.parametrize(
    "config",
    [
        {}, {"rootfs": 5}, {"rootfs": {"diff_ids": []}}, {"rootfs": {"diff_ids": ["md5:1"]}},
        {"rootfs": {"diff_ids": [BLOB["digest"]]}, "config": {"Entrypoint": "sh"}},
        {"rootfs": {"diff_ids": [BLOB["digest"]]}, "config": {"Cmd": ["a\0b"]}},
        {"rootfs": {"diff_ids": [BLOB["digest"]]}, "config": {"Env": [1]}},
        {"rootfs": {"diff_ids": [BLOB["digest"]]}, "config": 7},
    ],
)  # fmt: skip
def test_what_is_no_configuration_of_the_manifest_is_refused(config: Any) -> None:
    with pytest.raises((ImageInvalid, ImageUnsupported)):
        manifests.settings(json.dumps(config).encode(), manifests.parse(changed(layers=[BLOB])))
