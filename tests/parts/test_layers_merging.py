"""The tree at /opt: layers laid over each other, held while in use, gone when nothing needs it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.management import HERE, Management, management
from pasture.domain.function import opt_digest
from pasture.domain.layer import LayerRef
from pasture.functions.collection import Collection
from pasture.functions.merging import merge

Tree = dict[str, "str | Tree | Path"]
"""Names to contents, directories or (as a Path) where a link leads."""


def write(tree: Tree, into: Path) -> Path:
    into.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            write(content, into / name)
        elif isinstance(content, Path):
            (into / name).symlink_to(content)
        else:
            (into / name).write_text(content)
    return into


def read(tree: Path) -> Tree:
    found: Tree = {}
    for path in sorted(tree.iterdir()):
        if path.is_symlink():
            found[path.name] = path.readlink()
        else:
            found[path.name] = read(path) if path.is_dir() else path.read_text()
    return found


def merged(directory: Path, *trees: Tree) -> Tree:
    sources = [write(tree, directory / f"layer-{number}") for number, tree in enumerate(trees)]
    target = directory / "merged"
    target.mkdir()
    merge(sources, target)
    assert [read(source) for source in sources] == [dict(sorted(tree.items())) for tree in trees]
    return read(target)


def test_what_is_in_any_layer_is_there_and_the_later_one_wins(tmp_path: Path) -> None:
    assert merged(
        tmp_path, {"bin": {"a": "1", "b": "1"}, "x": "1"}, {"bin": {"b": "2"}, "lib": {}}, {"bin": {"c": "3"}}
    ) == {"bin": {"a": "1", "b": "2", "c": "3"}, "lib": {}, "x": "1"}


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ({"a": "file"}, {"a": {"b": "in a directory"}}),
        ({"a": {"b": "in a directory"}}, {"a": "file"}),
        ({"a": "file"}, {"a": Path("elsewhere")}),
        ({"a": Path("elsewhere")}, {"a": "file"}),
        ({"a": {"b": ""}}, {"a": Path("elsewhere")}),
        ({"a": Path("elsewhere")}, {"a": {"b": ""}}),
    ],
)
def test_where_kinds_differ_the_later_takes_the_place(tmp_path: Path, lower: Tree, upper: Tree) -> None:
    assert merged(tmp_path, lower, upper) == upper


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = write({"f": "untouched"}, tmp_path / "outside")
    merged(tmp_path, {"d": outside, "f": outside / "f"}, {"d": {"f": "in"}, "f": "in"})
    assert read(outside) == {"f": "untouched"}


def test_files_take_no_room_of_their_own(tmp_path: Path) -> None:
    merged(tmp_path, {"a": "1"}, {"b": "2"})
    assert (tmp_path / "merged" / "a").samefile(tmp_path / "layer-0" / "a")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_where_files_cannot_be_linked_they_are_copied(tmp_path: Path) -> None:
    source = write({"a": "1", "l": Path("a")}, tmp_path / "source")
    target = Path("/dev/shm") / f"merging-{os.getpid()}"
    target.mkdir()
    try:
        if target.stat().st_dev == source.stat().st_dev:
            pytest.skip("/dev/shm is on the same file system")
        merge([source, source], target)
        assert read(target) == {"a": "1", "l": Path("a")}
    finally:
        for path in target.iterdir():
            path.unlink()
        target.rmdir()


names = st.sampled_from("abc")
trees: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(names, st.text("xy", max_size=2), max_size=3),
    lambda inner: st.dictionaries(names, st.one_of(st.text("xy", max_size=2), inner), max_size=3),
    max_leaves=6,
)


def overlay(lower: Tree, upper: Tree) -> Tree:
    over = dict(lower)
    for name, content in upper.items():
        below = lower.get(name)
        both = isinstance(content, dict) and isinstance(below, dict)
        over[name] = overlay(below, content) if both else content  # type: ignore[arg-type]  # `both` says so
    return dict(sorted(over.items()))


@given(st.lists(trees, min_size=2, max_size=4))
def test_merging_is_overlaying(tmp_path_factory: pytest.TempPathFactory, layers: list[Tree]) -> None:
    whole: Tree = {}
    for layer in layers:
        whole = overlay(whole, layer)
    assert sort(merged(tmp_path_factory.mktemp("merge"), *(sort(layer) for layer in layers))) == sort(whole)


def sort(tree: Tree) -> Tree:
    return {name: sort(content) if isinstance(content, dict) else content for name, content in sorted(tree.items())}


# Kept and let go...


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        yield running


async def digests(node: Management, *names: str) -> tuple[str, ...]:
    versions = [await node.catalog.layers.find(LayerRef(HERE, name, 1)) for name in names]
    return tuple(version.code.sha256 for version in versions if version is not None)


async def test_one_layer_is_shown_as_it_is_and_none_not_at_all(node: Management) -> None:
    await node.layer("a", {"f": "1"})
    layers = await digests(node, "a")
    assert (await node.packages.opt(layers), await node.packages.opt(())) == (
        await node.packages.tree(layers[0]),
        None,
    )


async def test_layers_are_merged_once_per_list(node: Management) -> None:
    await node.layer("a", {"f": "a"})
    await node.layer("b", {"f": "b"})
    layers = await digests(node, "a", "b")
    one, again, other = [await node.packages.opt(list_) for list_ in (layers, layers, layers[::-1])]
    assert one is not None
    assert other is not None
    assert (one, read(one), read(other)) == (again, {"f": "b"}, {"f": "a"})


async def test_the_merged_tree_stays_while_a_function_or_an_environment_needs_it(node: Management) -> None:
    arns = [await node.layer("a", {"f": "a"}), await node.layer("b", {"f": "b"})]
    await node.created(Layers=arns)
    layers = await digests(node, "a", "b")
    digest = opt_digest(layers)
    assert digest is not None
    collection = Collection(node.catalog, node.packages)
    await collection.sweep()
    assert digest in await node.packages.stored()

    node.packages.hold(digest)
    await node.call("DeleteFunction", FunctionName="f")
    await collection.sweep()
    assert await node.packages.stored() == {*layers, digest}

    node.packages.release(digest)
    await collection.sweep()
    assert await node.packages.stored() == {*layers}


async def test_a_tree_that_was_lost_is_merged_again(node: Management, tmp_path: Path) -> None:
    await node.layer("a", {"f": "a"})
    await node.layer("b", {"g": "b"})
    layers = await digests(node, "a", "b")
    await node.packages.opt(layers)
    (tmp_path / "packages" / "merged").rename(tmp_path / "lost")
    tree = await node.packages.opt(layers)
    assert tree is not None
    assert read(tree) == {"f": "a", "g": "b"}


async def test_without_one_of_the_layers_there_is_no_tree(node: Management) -> None:
    with pytest.raises(FileNotFoundError):
        await node.packages.opt(("0" * 64, "1" * 64))
