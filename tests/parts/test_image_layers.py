"""From layers to the root of an environment; and what layers that mean ill come to."""

import gzip
import hashlib
import json
import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes.container_images import Entry, Files, Layer, a_layer, a_tar, digest_of
from pasture.images.assembling import assemble
from pasture.images.errors import ImageInvalid
from pasture.images.unpacking import Allowance, unpack

OWN = {"dev", "etc", "proc", "tmp"}


def unpacked(into: Path, *layers: Layer, bytes_max: int = 1 << 24) -> Path:
    """The root that these layers make."""
    trees = []
    allowance = Allowance(bytes_max)
    for number, layer in enumerate(layers):
        blob, tree = into / f"{number}.blob", into / str(number)
        blob.write_bytes(layer.blob)
        tree.mkdir()
        digest, told = unpack(blob, layer.compression, tree, allowance)
        assert digest == digest_of(layer.tar)
        trees.append((tree, told))
    root = into / "root"
    root.mkdir()
    assemble(trees, root)
    return root


def content(root: Path) -> dict[str, str]:
    """Files and links by path, without what every root has."""
    found = {}
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        if path.is_symlink():
            found[str(relative)] = f"-> {path.readlink()}"
        elif path.is_file() and relative.parts[0] not in OWN:
            found[str(relative)] = path.read_text()
    return found


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_a_layer_is_unpacked_however_it_is_compressed(tmp_path: Path, compression: str) -> None:
    root = unpacked(tmp_path, a_layer({"a/": b"", "a/b": "1", "c": "2"}, compression))
    assert content(root) == {"a/b": "1", "c": "2"}


def test_later_layers_replace_and_take_away(tmp_path: Path) -> None:
    below = a_layer({"d/": b"", "d/a": "1", "d/b": "2", "e/": b"", "e/a": "1", "file": "x", "dir/": b"", "dir/in": "y"})
    above = a_layer(
        {"d/.wh.a": b"", "d/c": "3", "e/.wh..wh..opq": b"", "e/b": "2", ".wh.dir": b"", "file/": b"", "file/in": "z"}
    )
    assert content(unpacked(tmp_path, below, above)) == {"d/b": "2", "d/c": "3", "e/b": "2", "file/in": "z"}


def test_a_whiteout_takes_away_what_is_below_and_not_what_is_beside_it(tmp_path: Path) -> None:
    below = a_layer({"a": "old", "b/": b"", "b/x": "1"})
    above = a_layer({"a": "new", ".wh.a": b"", "b/": b"", "b/y": "2", "b/.wh..wh..opq": b""})
    assert content(unpacked(tmp_path, below, above)) == {"a": "new", "b/y": "2"}


def test_what_is_put_behind_a_link_of_a_layer_below_lands_where_that_leads(tmp_path: Path) -> None:
    below = a_layer({"usr/": b"", "usr/lib/": b"", "usr/lib/a": "1", "lib": Entry(tarfile.SYMTYPE, link="usr/lib")})
    above = a_layer({"lib/b": "2"})
    assert content(unpacked(tmp_path, below, above)) == {"lib": "-> usr/lib", "usr/lib/a": "1", "usr/lib/b": "2"}


def test_a_directory_that_is_said_takes_the_place_of_a_link(tmp_path: Path) -> None:
    below = a_layer({"usr/": b"", "lib": Entry(tarfile.SYMTYPE, link="usr")})
    assert content(unpacked(tmp_path, below, a_layer({"lib/": b"", "lib/b": "2"}))) == {"lib/b": "2"}


def test_hard_links_are_one_file_and_symbolic_ones_are_kept_as_they_are(tmp_path: Path) -> None:
    layer = a_layer(
        {
            "a": "1",
            "hard": Entry(tarfile.LNKTYPE, link="a"),
            "soft": Entry(tarfile.SYMTYPE, link="/etc/shadow"),
            "up": Entry(tarfile.SYMTYPE, link="../../../../etc"),
        }
    )
    root = unpacked(tmp_path, layer)
    assert (root / "a").stat().st_ino == (root / "hard").stat().st_ino
    assert content(root)["soft"] == "-> /etc/shadow"


def test_permissions_are_kept_and_rights_of_others_are_not(tmp_path: Path) -> None:
    layer = a_layer(
        {
            "setuid": Entry(content=b"x", mode=0o6755, uid=1234),
            "private": Entry(content=b"x", mode=0o000),
            "shut/": Entry(mode=0o000),
            "shut/in": Entry(content=b"x", mode=0o640),
        }
    )
    root = unpacked(tmp_path, layer)
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in ("setuid", "private", "shut", "shut/in")}
    assert modes == {"setuid": 0o755, "private": 0o400, "shut": 0o700, "shut/in": 0o640}
    assert (root / "setuid").stat().st_uid == os.geteuid()


def test_devices_and_pipes_are_left_out(tmp_path: Path) -> None:
    layer = a_layer(
        {"null": Entry(tarfile.CHRTYPE), "disk": Entry(tarfile.BLKTYPE), "pipe": Entry(tarfile.FIFOTYPE), "a": "1"}
    )
    assert content(unpacked(tmp_path, layer)) == {"a": "1"}


def test_mount_points_are_there_whatever_the_image_had_in_their_place(tmp_path: Path) -> None:
    layer = a_layer(
        {
            "etc": Entry(tarfile.SYMTYPE, link="/somewhere"),
            "tmp": "a file",
            "proc": Entry(tarfile.SYMTYPE, link="/"),
            "dev/": b"",
            "dev/sda": "x",
        }
    )
    root = unpacked(tmp_path, layer)
    assert all(stat.S_ISDIR((root / name).lstat().st_mode) for name in OWN)
    assert all(stat.S_ISREG((root / "etc" / name).lstat().st_mode) for name in ("hosts", "resolv.conf", "passwd"))


def test_a_resolv_conf_that_is_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    layer = a_layer({"etc/": b"", "etc/resolv.conf": Entry(tarfile.SYMTYPE, link=str(outside))})
    root = unpacked(tmp_path, layer)
    assert stat.S_ISREG((root / "etc/resolv.conf").lstat().st_mode)
    assert outside.read_text() == "mine"


def test_the_layers_own_trees_are_as_they_came(tmp_path: Path) -> None:
    unpacked(tmp_path, a_layer({"etc/": b"", "etc/hosts": "theirs"}), a_layer({".wh.etc": b""}))
    assert (tmp_path / "0/etc/hosts").read_text() == "theirs"


HOSTILE: Sequence[tuple[str, Files]] = [
    ("climbs", {"../evil": "x"}),
    ("climbs within", {"a/../../evil": "x"}),
    ("is absolute", {"/evil": "x"}),
    ("links hard to outside", {"x": Entry(tarfile.LNKTYPE, link="../../../etc/passwd")}),
    ("links hard absolutely", {"x": Entry(tarfile.LNKTYPE, link="/etc/passwd")}),
    ("links hard to nothing", {"x": Entry(tarfile.LNKTYPE, link="nothing")}),
    ("links hard to a directory", {"d/": b"", "x": Entry(tarfile.LNKTYPE, link="d")}),
    ("has a name too long", {"/".join(["a" * 200] * 20): "x"}),
    ("has a part too long", {"a" * 300: "x"}),
    ("is too deep", {"/".join(["a"] * 600): "x"}),
    ("puts a file into a file", {"a": "1", "a/b": "2"}),
    ("has a kind of its own", {"x": Entry(b"Z")}),
    ("whites out itself", {"d/.wh...": b""}),
    ("links in a circle", {"a": Entry(tarfile.SYMTYPE, link="b"), "b": Entry(tarfile.SYMTYPE, link="a"), "a/c": "x"}),
]


@pytest.mark.parametrize(("_what", "files"), HOSTILE, ids=[what for what, _ in HOSTILE])
def test_a_layer_that_leads_outside_or_nowhere_is_refused(tmp_path: Path, _what: str, files: Files) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ImageInvalid):
        unpacked(tmp_path / "in", a_layer(files))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("target", ["/", "..", "../..", "/etc", "../../../../../../../tmp"])
def test_nothing_is_written_through_a_link_that_leads_outside(tmp_path: Path, target: str) -> None:
    layer = a_layer({"out": Entry(tarfile.SYMTYPE, link=target), "out/evil-of-a-layer": "x", ".wh.gone": b""})
    root = unpacked(tmp_path, layer)
    assert not Path("/etc/evil-of-a-layer").exists()
    assert not (tmp_path / "evil-of-a-layer").exists()
    assert not Path("/evil-of-a-layer").exists()
    assert [path for path in root.rglob("evil-of-a-layer") if not path.is_symlink()]


def test_a_whiteout_behind_a_link_takes_nothing_away_outside(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("here")
    below = a_layer({"out": Entry(tarfile.SYMTYPE, link=str(victim))})
    unpacked(tmp_path, below, a_layer({"out/.wh.file": b"", "out/.wh..wh..opq": b""}))
    assert (victim / "file").read_text() == "here"


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ImageInvalid, match="more than 1000000 bytes"):
        unpacked(tmp_path, Layer(a_tar({"zeros": bytes(50_000_000)})), bytes_max=1_000_000)
    assert sum(path.stat().st_size for path in tmp_path.rglob("zeros")) < 3_000_000


def test_the_limit_is_of_all_layers_together(tmp_path: Path) -> None:
    layers = [a_layer({f"f{n}": bytes(400_000)}) for n in range(3)]
    with pytest.raises(ImageInvalid, match="more than 1000000 bytes"):
        unpacked(tmp_path, *layers, bytes_max=1_000_000)


def test_a_header_that_claims_gigabytes_is_refused_and_not_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 4 << 30
    blob = tmp_path / "blob"
    blob.write_bytes(gzip.compress(member.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)))
    with pytest.raises(ImageInvalid, match="headers is too large"):
        unpack(blob, "gzip", tmp_path, Allowance(1 << 40))


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_what_is_no_tar_is_refused(tmp_path: Path, compression: str) -> None:
    blob, tree = tmp_path / "blob", tmp_path / "tree"
    tree.mkdir()
    blob.write_bytes(hashlib.sha256(b"noise").digest() * 100)
    with pytest.raises(ImageInvalid):
        unpack(blob, compression, tree, Allowance(1 << 20))


def test_what_a_layer_takes_away_is_json(tmp_path: Path) -> None:
    """Also names that are no Unicode survive."""
    blob, tree = tmp_path / "blob", tmp_path / "tree"
    tree.mkdir()
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    blob.write_bytes(a_tar({f".wh.{name}": b"", name: "1"}))
    _, told = unpack(blob, "", tree, Allowance(1 << 20))
    assert json.loads(json.dumps(told.removed)) == [name]
    assert [os.fsencode(path.name) for path in tree.iterdir()] == [b"\xff\xfe"]
