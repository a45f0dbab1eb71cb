"""Images on disk: `layers/<diff ID>/` with each layer's tree, `trees/<digest>/` with each image's root, and what both
can be made from again without a registry: the layers as they came in `blobs/<diff ID>`, their settings in `kept/`.

A layer is there once however many images have it: the trees of images are hard links to it. Everything appears under
its final name only when it is whole and on disk. A layer's tree goes with the last image that has one, and its blob
with the last image that is kept.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pasture.images.assembling import assemble
from pasture.images.errors import ImageInvalid
from pasture.images.kept import KeptBlobs, hex_of, settings_of
from pasture.images.manifest import ImageSettings, LayerBlob
from pasture.images.unpacking import Allowance, LayerTree, unpack
from pasture.kit import listing, making
from pasture.kit.listing import OpenMark

_ROOT = "root"
_NOTE = "image.json"
_LISTING = "listing.json"


@dataclass(frozen=True, slots=True)
class StoredImage:
    root: Path
    """The tree that is the root of environments."""
    settings: ImageSettings


class ImageStore:
    """Mutable state: which layers every image has that is there, how many images have each, how large the layers are,
    and which images can be made again. Of its methods those that touch the disk block, and are for threads.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._layers = directory / "layers"
        self._trees = directory / "trees"
        self._mark = OpenMark(directory / "open")
        self.blobs = KeptBlobs(directory)
        self._known: dict[str, StoredImage] = {}
        self._users: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._in_doubt: set[str] = set()

    def __repr__(self) -> str:
        return f"<ImageStore of {len(self._known)} images, {len(self._users)} layers>"

    def open(self) -> None:
        """Clear what a killed process left half made, and every layer that no image has."""
        making.clear_leftovers(self.directory)
        for folder in (self._layers, self._trees):
            folder.mkdir(exist_ok=True)
        unclean = self._mark.set()
        self.blobs.open()
        for tree in self._trees.iterdir():
            self._add(tree.name, settings_of(tree / _NOTE))
        for layer in self._layers.iterdir():
            self._sizes[f"sha256:{layer.name}"] = self._layer(layer.name)[1].size
        self._in_doubt = set(self._known) if unclean else set()

    def close(self) -> None:
        if not self._in_doubt:
            self._mark.clear()

    # From memory...

    @property
    def unpacked_bytes(self) -> int:
        """Of the layers' trees: those of images are links to them."""
        return sum(self._sizes.values())

    def images(self) -> Collection[str]:
        """Digests, in hexadecimal: of those that are there, and of those that can be made again."""
        return {*self._known, *self.blobs.images()}

    def find(self, digest: str) -> StoredImage | None:
        return self._known.get(digest)

    def is_believed(self, digest: str) -> bool:
        """Whether the tree has been looked at since an end that was no orderly one."""
        return digest not in self._in_doubt

    # On disk...

    def uses(self) -> Mapping[str, float]:
        """When each image that is there was last used."""
        return {digest: (self._trees / digest / _NOTE).stat().st_mtime for digest in self._known}

    def note_uses(self, uses: Mapping[str, float]) -> None:
        for digest, when in uses.items():
            if digest in self._known:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(self._trees / digest / _NOTE, (when, when))

    def is_whole(self, digest: str) -> bool:
        """Whether everything is there that was listed when the image was assembled, with its size and time. Of images
        that were assembled without a listing nothing is known.
        """
        tree = self._trees / digest
        self._in_doubt.discard(digest)
        is_listed = (tree / _LISTING).is_file()
        return not is_listed or listing.is_whole(tree / _ROOT, tree / _LISTING, contents=False)

    def layers(self) -> Sequence[str]:
        """The diff IDs of all that there is a tree or a blob of."""
        return sorted({*(f"sha256:{path.name}" for path in self._layers.iterdir()), *self.blobs.layers()})

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
            making.finish(fresh, self._layers / hex_of(diff_id))
        self._sizes[diff_id] = told.size

    def unpack_kept(self, diff_id: str, allowance: Allowance) -> None:
        """The layer again, from its blob. One that is not what it was goes, so that another is fetched.

        Raises ImageInvalid or FileNotFoundError.
        """
        path, layer = self.blobs.layer(diff_id)
        try:
            self.add_layer(path, layer, diff_id, allowance)
        except ImageInvalid:
            self.blobs.drop_layer(diff_id)
            raise

    def add_image(self, digest: str, settings: ImageSettings) -> StoredImage:
        """All its layers are there, and stay meanwhile."""
        with making.making(self.directory) as fresh:
            root = fresh / _ROOT
            root.mkdir()
            assemble([self._layer(diff_id) for diff_id in settings.diff_ids], root)
            (fresh / _NOTE).write_text(json.dumps(asdict(settings)))
            listing.write(root, fresh / _LISTING, contents=False)
            making.finish(fresh, self._trees / digest)
        return self._add(digest, settings)

    def remove_image(self, digest: str) -> Sequence[str]:
        """The diff IDs of its layers: those that no other image has are for the caller to remove."""
        self._in_doubt.discard(digest)
        found = self._known.pop(digest, None)
        making.remove(self._trees / digest, self.directory)
        if found is None:
            return ()
        layers = set(found.settings.diff_ids)
        self._users.subtract(layers)
        self._users += Counter()
        return sorted(layers)

    def is_used(self, diff_id: str) -> bool:
        return self._users[diff_id] > 0

    def remove_layer(self, diff_id: str) -> None:
        self._sizes.pop(diff_id, None)
        making.remove(self._layers / hex_of(diff_id), self.directory)

    def _layer(self, diff_id: str) -> tuple[Path, LayerTree]:
        folder = self._layers / hex_of(diff_id)
        return folder / _ROOT, LayerTree(**json.loads((folder / _NOTE).read_text()))

    def _add(self, digest: str, settings: ImageSettings) -> StoredImage:
        stored = StoredImage(self._trees / digest / _ROOT, settings)
        if digest not in self._known:
            self._users.update(set(settings.diff_ids))
        self._known[digest] = stored
        return stored
