"""Images on disk: `layers/<diff ID>/` with each layer's tree, `trees/<digest>/` with each image's root.

A layer is there once however many images have it: the trees of images are hard links to it. Both appear under their
final names only when they are whole and on disk. A layer goes when the last image that has it goes.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pasture.images.assembling import assemble
from pasture.images.errors import ImageInvalid
from pasture.images.manifest import ImageSettings, LayerBlob
from pasture.images.unpacking import Allowance, LayerTree, unpack
from pasture.kit import making

_ROOT = "root"
_NOTE = "image.json"


@dataclass(frozen=True, slots=True)
class StoredImage:
    root: Path
    """The tree that is the root of environments."""
    settings: ImageSettings


class ImageStore:
    """Mutable state: which layers every image has that is there, and how many images have each. Of its methods those
    that touch the disk block, and are for threads.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._layers = directory / "layers"
        self._trees = directory / "trees"
        self._known: dict[str, StoredImage] = {}
        self._users: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<ImageStore of {len(self._known)} images, {len(self._users)} layers>"

    def open(self) -> None:
        """Clear what a killed process left half made, and every layer that no image has."""
        making.clear_leftovers(self.directory)
        for folder in (self._layers, self._trees):
            folder.mkdir(exist_ok=True)
        for tree in self._trees.iterdir():
            self._add(tree.name, self._read(tree.name))

    # From memory...

    def images(self) -> Collection[str]:
        """Digests, in hexadecimal."""
        return tuple(self._known)

    def find(self, digest: str) -> StoredImage | None:
        return self._known.get(digest)

    # On disk...

    def layers(self) -> Sequence[str]:
        """The diff IDs of all that are there."""
        return [f"sha256:{path.name}" for path in self._layers.iterdir()]

    def layer_bytes(self, diff_id: str) -> int | None:
        """How large a layer is, unpacked; None when it is not there."""
        try:
            return self._layer(diff_id)[1].size
        except FileNotFoundError:
            return None

    def add_layer(self, blob: Path, layer: LayerBlob, diff_id: str, allowance: Allowance) -> None:
        """`blob` is checked to be what the manifest says. Raises ImageInvalid when its content is not."""
        with making.making(self.directory) as fresh:
            tree = fresh / _ROOT
            tree.mkdir()
            found, told = unpack(blob, layer.compression, tree, allowance)
            if found != diff_id:
                raise ImageInvalid(f"{layer.blob.digest} unpacks to {found}, and should to {diff_id}")
            (fresh / _NOTE).write_text(json.dumps(asdict(told)))
            making.finish(fresh, self._layers / _hex(diff_id))

    def add_image(self, digest: str, settings: ImageSettings) -> StoredImage:
        """All its layers are there, and stay meanwhile."""
        with making.making(self.directory) as fresh:
            root = fresh / _ROOT
            root.mkdir()
            assemble([self._layer(diff_id) for diff_id in settings.diff_ids], root)
            (fresh / _NOTE).write_text(json.dumps(asdict(settings)))
            making.finish(fresh, self._trees / digest)
        return self._add(digest, settings)

    def remove_image(self, digest: str) -> Sequence[str]:
        """The diff IDs of those of its layers that no other image has: they are for the caller to remove."""
        found = self._known.pop(digest, None)
        making.remove(self._trees / digest, self.directory)
        if found is None:
            return ()
        layers = set(found.settings.diff_ids)
        self._users.subtract(layers)
        self._users += Counter()
        return [layer for layer in sorted(layers) if not self.is_used(layer)]

    def is_used(self, diff_id: str) -> bool:
        return self._users[diff_id] > 0

    def remove_layer(self, diff_id: str) -> None:
        making.remove(self._layers / _hex(diff_id), self.directory)

    def _layer(self, diff_id: str) -> tuple[Path, LayerTree]:
        folder = self._layers / _hex(diff_id)
        return folder / _ROOT, LayerTree(**json.loads((folder / _NOTE).read_text()))

    def _read(self, digest: str) -> ImageSettings:
        return _settings(json.loads((self._trees / digest / _NOTE).read_text()))

    def _add(self, digest: str, settings: ImageSettings) -> StoredImage:
        stored = StoredImage(self._trees / digest / _ROOT, settings)
        if digest not in self._known:
            self._users.update(set(settings.diff_ids))
        self._known[digest] = stored
        return stored


def _settings(note: Mapping[str, Any]) -> ImageSettings:
    return ImageSettings(
        tuple(note["entry_point"]),
        tuple(note["command"]),
        note["directory"],
        tuple((name, value) for name, value in note["environment"]),
        tuple(note["diff_ids"]),
    )


def _hex(digest: str) -> str:
    return digest.rpartition(":")[2]
