"""What `docker save` wrote before it wrote OCI layouts: `manifest.json`, and tars of layers, under names of its own.

It is read as the OCI layout that it could be: layers are not compressed, so the configuration has their digests
already, and nothing large has to be hashed.
"""

import hashlib
import json
import posixpath
import tarfile
from collections.abc import Mapping
from typing import Any

from pasture.images.errors import ImageInvalid
from pasture.images.manifest import OCI_MANIFEST

INDEX = "manifest.json"

_NAME = "org.opencontainers.image.ref.name"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LINKS = 8


def content(archive: tarfile.TarFile, name: str, most: int) -> bytes | tarfile.TarInfo:
    """What the OCI layout would have under this name: made here, or a file of the archive. Raises KeyError when it has
    nothing; ImageInvalid when the archive is not what docker writes, or has more than `most` bytes in a document.
    """
    index: list[dict[str, Any]] = []
    blobs: dict[str, bytes | tarfile.TarInfo] = {}
    for image in _images(archive, most):
        config = _read(archive, _text(image.get("Config")), most)
        told = _object(config)
        files = [_file(archive, name) for name in _texts(image.get("Layers"))]
        diff_ids = _texts(told["rootfs"].get("diff_ids"))
        if len(diff_ids) != len(files):
            raise ImageInvalid("its configuration and its manifest.json have different numbers of layers")
        layers = dict(zip(diff_ids, files, strict=True))
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": _descriptor(_CONFIG, config),
                "layers": [
                    {"mediaType": _LAYER, "digest": digest, "size": file.size}
                    for digest, file in zip(diff_ids, files, strict=True)
                ],
            }
        ).encode()
        blobs |= {_path(_digest(config)): config, _path(_digest(manifest)): manifest}
        blobs |= {_path(digest): file for digest, file in layers.items()}
        platform = {"os": told.get("os"), "architecture": told.get("architecture")}
        entry = {**_descriptor(OCI_MANIFEST, manifest), "platform": platform}
        tags = [tag.rpartition(":")[2] for tag in _texts(image.get("RepoTags"))]
        index += [{**entry, "annotations": {_NAME: tag}} for tag in tags] or [entry]
    if name == "index.json":
        return json.dumps({"schemaVersion": 2, "manifests": index}).encode()
    return blobs[name]


def _images(archive: tarfile.TarFile, most: int) -> list[dict[str, Any]]:
    try:
        images = json.loads(_read(archive, INDEX, most))
    except (ValueError, RecursionError) as error:
        raise ImageInvalid(f"its {INDEX} is not JSON") from error
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise ImageInvalid(f"its {INDEX} is no list of images")
    return images


def _file(archive: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """A layer that an archive has twice is a link the second time. Raises KeyError when it is not there."""
    for _ in range(_LINKS):
        member = archive.getmember(name)
        if member.isreg():
            return member
        if not member.issym():
            break
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
    raise ImageInvalid(f"{name} is no file")


def _read(archive: tarfile.TarFile, name: str, most: int) -> bytes:
    file = archive.extractfile(_file(archive, name))
    found = file.read(most + 1) if file is not None else b""
    if len(found) > most:
        raise ImageInvalid(f"{name} has more than {most} bytes")
    return found


def _object(document: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ImageInvalid("its configuration is not JSON") from error
    if not isinstance(told, dict) or not isinstance(told.get("rootfs"), dict):
        raise ImageInvalid("its configuration does not say what its layers are")
    return told


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list | None):
        raise ImageInvalid(f"its {INDEX} or its configuration has {str(value)[:80]!r} where a list should be")
    return [_text(entry) for entry in value or ()]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ImageInvalid(f"its {INDEX} has {str(value)[:80]!r} where a name should be")
    return value


def _descriptor(media_type: str, document: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(document), "size": len(document)}


def _digest(document: bytes) -> str:
    return f"sha256:{hashlib.sha256(document).hexdigest()}"


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"
