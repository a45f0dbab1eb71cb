"""What images can be made from again without their registry: each layer as it came, and each image's settings.

A registry may be gone, or what it had, when an image's tree that was evicted is wanted again; so this stays as long as
something refers to the image, as the zip of a package does.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pasture.images.manifest import Blob, ImageSettings, LayerBlob
from pasture.kit import making

_NEW = ".new"


class KeptBlobs:
    """`blobs/<diff ID>.<compression>` and `kept/<digest>`. Mutable state: which images are kept, how many of them have
    each layer, and the compression of each layer that is here. All but what answers from memory is for threads.
    """

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs"
        self._notes = directory / "kept"
        self._images: dict[str, ImageSettings] = {}
        self._users: Counter[str] = Counter()
        self._layers: dict[str, str] = {}

    def open(self) -> None:
        for folder in (self._blobs, self._notes):
            folder.mkdir(exist_ok=True)
        for blob in self._blobs.iterdir():
            digest, _, compression = blob.name.partition(".")
            self._layers[f"sha256:{digest}"] = compression
        for note in self._notes.iterdir():
            if note.name.endswith(_NEW):
                note.unlink()
            else:
                self._know(note.name, settings_of(note))

    # From memory...

    def images(self) -> Collection[str]:
        return self._images.keys()

    def layers(self) -> Collection[str]:
        return self._layers.keys()

    def settings(self, digest: str) -> ImageSettings | None:
        """Of an image that can be made again: all its layers are here."""
        settings = self._images.get(digest)
        return settings if settings and all(layer in self._layers for layer in settings.diff_ids) else None

    def is_used(self, diff_id: str) -> bool:
        return self._users[diff_id] > 0

    # On disk...

    def layer(self, diff_id: str) -> tuple[Path, LayerBlob]:
        """The digest in it is that of the diff ID: what it unpacks to is checked, and that it can be."""
        compression = self._layers[diff_id]
        path = self._path(diff_id, compression)
        return path, LayerBlob(Blob(diff_id, path.stat().st_size), compression)

    def keep_layer(self, blob: Path, diff_id: str, compression: str) -> None:
        """The file moves here."""
        with blob.open("rb") as file:
            os.fsync(file.fileno())
        blob.replace(self._path(diff_id, compression))
        self._layers[diff_id] = compression

    def keep_image(self, digest: str, settings: ImageSettings) -> None:
        """On disk when this returns, and its layers' blobs with it."""
        temporary = self._notes / f"{digest}{_NEW}"
        with temporary.open("w") as file:
            json.dump(asdict(settings), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._notes / digest)
        making.sync(self._notes)
        self._know(digest, settings)

    def drop_image(self, digest: str) -> Collection[str]:
        """The diff IDs of its layers: those that no other has are for the caller to drop."""
        settings = self._images.pop(digest, None)
        (self._notes / digest).unlink(missing_ok=True)
        if settings is None:
            return ()
        self._users.subtract(set(settings.diff_ids))
        self._users += Counter()
        return settings.diff_ids

    def drop_layer(self, diff_id: str) -> None:
        compression = self._layers.pop(diff_id, None)
        if compression is not None:
            self._path(diff_id, compression).unlink(missing_ok=True)

    def _path(self, diff_id: str, compression: str) -> Path:
        return self._blobs / (f"{hex_of(diff_id)}.{compression}" if compression else hex_of(diff_id))

    def _know(self, digest: str, settings: ImageSettings) -> None:
        if digest not in self._images:
            self._users.update(set(settings.diff_ids))
        self._images[digest] = settings


def settings_of(path: Path) -> ImageSettings:
    """As they were written down."""
    note: Mapping[str, Any] = json.loads(path.read_text())
    return ImageSettings(
        tuple(note["entry_point"]),
        tuple(note["command"]),
        note["directory"],
        tuple((name, value) for name, value in note["environment"]),
        tuple(note["diff_ids"]),
    )


def hex_of(digest: str) -> str:
    return digest.rpartition(":")[2]
