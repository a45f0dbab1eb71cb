"""Manifests, indexes and configurations of images: Docker's (v2, schema 2) and OCI's. Pure.

Source: the OCI image specification 1.1, Docker's "Image Manifest Version 2, Schema 2".
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pasture.images.errors import ImageInvalid, ImageUnsupported

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
ACCEPTED = (OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST)

_CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})
_LAYERS = {
    "application/vnd.oci.image.layer.v1.tar": "",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LAYERS_MAX = 512
_MACHINES = {"x86_64": "amd64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Blob:
    digest: str
    size: int

    @property
    def hex(self) -> str:
        return self.digest.partition(":")[2]


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """`compression`: `gzip`, `zstd`, or nothing."""

    blob: Blob
    compression: str


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Blob
    layers: tuple[LayerBlob, ...]

    @property
    def size(self) -> int:
        """What is to be fetched, in bytes."""
        return sum(layer.blob.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What a program of the image is started with; `diff_ids` are the digests of its layers, unpacked."""

    entry_point: tuple[str, ...]
    command: tuple[str, ...]
    directory: str
    environment: tuple[tuple[str, str], ...]
    diff_ids: tuple[str, ...]


def kind(content: bytes, media_type: str) -> str:
    """The media type: as the document says itself, else as it came, else by what is in it."""
    document = _object(content)
    told = document.get("mediaType") or media_type.partition(";")[0].strip()
    if told in ACCEPTED:
        return str(told)
    if not told or told in {"application/json", "application/octet-stream"}:
        return OCI_INDEX if "manifests" in document else OCI_MANIFEST
    raise ImageUnsupported(f"its media type is {told}")


def choose(index: bytes, architecture: str) -> Blob:
    """Of an index, the manifest for Linux on this architecture, in AWS's word. Raises ImageUnsupported without one."""
    machine = _MACHINES.get(architecture, architecture)
    entries = _object(index).get("manifests")
    if not isinstance(entries, list):
        raise ImageInvalid("its index has no list of manifests")
    for entry in entries:
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if not isinstance(platform, dict) or entry.get("mediaType", OCI_MANIFEST) not in MANIFESTS:
            continue
        if platform.get("os") == "linux" and platform.get("architecture") == machine:
            return _blob(entry)
    raise ImageUnsupported(f"its index has nothing for linux/{machine}")


def parse(content: bytes) -> Manifest:
    document = _object(content)
    config = document.get("config")
    if not isinstance(config, dict) or not isinstance(document.get("layers"), list):
        raise ImageUnsupported("its manifest has no configuration, or no layers")
    if config.get("mediaType") not in _CONFIGS:
        raise ImageUnsupported(f"its configuration is of the media type {config.get('mediaType')}")
    if len(document["layers"]) > _LAYERS_MAX:
        raise ImageInvalid(f"it has more than {_LAYERS_MAX} layers")
    return Manifest(_blob(config), tuple(_layer(entry) for entry in document["layers"]))


def settings(content: bytes, manifest: Manifest) -> ImageSettings:
    """Of the configuration that belongs to the manifest."""
    document = _object(content)
    rootfs, told = document.get("rootfs"), document.get("config") or {}
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(told, dict) or not isinstance(diff_ids, list):
        raise ImageInvalid("its configuration does not say what its layers are")
    if len(diff_ids) != len(manifest.layers):
        raise ImageInvalid("its configuration and its manifest have different numbers of layers")
    for digest in diff_ids:
        _digest(digest)
    variables = [entry.partition("=") for entry in _strings(told.get("Env"), "ENV")]
    return ImageSettings(
        entry_point=_strings(told.get("Entrypoint"), "ENTRYPOINT"),
        command=_strings(told.get("Cmd"), "CMD"),
        directory=_strings([told.get("WorkingDir") or ""], "WORKDIR")[0],
        environment=tuple((name, value) for name, _, value in variables if name),
        diff_ids=tuple(diff_ids),
    )


def _layer(entry: Any) -> LayerBlob:
    media_type = entry.get("mediaType") if isinstance(entry, dict) else None
    if media_type not in _LAYERS:
        raise ImageUnsupported(f"one of its layers is of the media type {media_type}")
    return LayerBlob(_blob(entry), _LAYERS[media_type])


def _blob(entry: Any) -> Blob:
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageInvalid(f"its manifest gives the size {size!r}")
    return Blob(_digest(entry.get("digest")), size)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ImageUnsupported(f"its manifest or configuration has the digest {str(value)[:80]!r}, which is no SHA-256")
    return value


def _strings(value: Any, what: str) -> tuple[str, ...]:
    entries: Sequence[Any] = value or ()
    if not isinstance(entries, list | tuple) or not all(isinstance(e, str) and "\0" not in e for e in entries):
        raise ImageInvalid(f"its {what} is no list of texts")
    return tuple(entries)


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ImageInvalid("its manifest or configuration is not JSON") from error
    if not isinstance(document, dict):
        raise ImageInvalid("its manifest or configuration is not a JSON object")
    return document
