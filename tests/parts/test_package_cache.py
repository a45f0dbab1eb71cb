"""What is unpacked of packages is a cache: what goes for want of room, in which order, and what is never touched."""

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pasture.domain.function import opt_digest
from pasture.domain.limits import Limits
from pasture.functions.package import Packages
from pasture.store.blobs import Blobs

KIB = 1_024
TREE = 100 * KIB


@asynccontextmanager
async def opened(directory: Path, cache_bytes: float = 10**9, *, orderly: bool = True) -> AsyncIterator[Packages]:
    """`orderly`: whether it is closed at the end, or left as a kill leaves it."""
    packages = Packages(directory / "packages", Blobs(directory / "blobs"), Limits(), cache_bytes=cache_bytes)
    await packages.open()
    yield packages
    if orderly:
        await packages.close()


def package(name: str) -> bytes:
    """About `TREE` bytes when it is unpacked, and hardly any before."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("name", name)
        archive.writestr("data", bytes(TREE - 3 * 4_096))
    return content.getvalue()


async def add(packages: Packages, name: str) -> str:
    async with packages.adding(package(name)) as code:
        return code.sha256


def unpacked(directory: Path) -> set[str]:
    return {path.name for path in (directory / "packages").iterdir()}


async def read(packages: Packages, digest: str) -> str:
    with packages.holding(digest):
        return ((await packages.tree(digest)) / "name").read_text()


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


# What goes...


async def test_the_longest_unused_goes_first_and_only_until_the_others_fit(tmp_path: Path) -> None:
    async with opened(tmp_path, 2.5 * TREE) as packages:
        one, _, three = [await add(packages, name) for name in ("one", "two", "three")]
        await read(packages, one)
        assert await packages.fit() == 1
        assert unpacked(tmp_path) == {one, three}
        assert packages.unpacked_bytes <= 2.5 * TREE
        assert await packages.fit() == 0


async def test_what_has_gone_is_unpacked_again_when_it_is_wanted(tmp_path: Path) -> None:
    async with opened(tmp_path, 0) as packages:
        one = await add(packages, "one")
        assert await packages.fit() == 1
        assert unpacked(tmp_path) == set()
        assert await read(packages, one) == "one"


async def test_what_is_held_stays_whatever_it_takes(tmp_path: Path) -> None:
    async with opened(tmp_path, 0) as packages:
        one, _ = await add(packages, "one"), await add(packages, "two")
        packages.hold(one)
        assert await packages.fit() == 1
        assert unpacked(tmp_path) == {one}
        packages.release(one)
        assert await packages.fit() == 1
        assert unpacked(tmp_path) == set()


async def test_a_tree_without_a_blob_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, 0) as packages:
        one = await add(packages, "one")
        await Blobs(tmp_path / "blobs").delete(one)
        assert await packages.fit() == 0
        assert await read(packages, one) == "one"


async def test_what_layers_make_together_goes_and_is_merged_again(tmp_path: Path) -> None:
    async with opened(tmp_path, 0) as packages:
        layers = [await add(packages, name) for name in ("one", "two")]
        merged = opt_digest(layers) or ""
        with packages.holding(merged):
            await packages.opt(layers)
        assert await packages.fit() == 3
        assert unpacked(tmp_path) == {"merged"}
        with packages.holding(merged):
            opt = await packages.opt(layers)
            assert opt is not None
            assert (opt / "name").read_text() == "two"


async def test_use_wakes_who_makes_room_also_when_nothing_is_let_go(tmp_path: Path) -> None:
    async with opened(tmp_path, TREE) as packages:
        one = await add(packages, "one")
        await packages.fit()
        await packages.suspects()
        packages.hold(one)
        (tmp_path / "packages" / one).rename(tmp_path / "elsewhere")
        waiting = asyncio.create_task(packages.suspects())
        await packages.tree(one)
        assert await asyncio.wait_for(waiting, 10) == set()


async def test_many_use_what_others_evict_and_nobody_notices(tmp_path: Path) -> None:
    async with opened(tmp_path, 1.5 * TREE) as packages:
        names = ("one", "two", "three", "four")
        digests = {name: await add(packages, name) for name in names}

        async def use(name: str) -> None:
            for _ in range(15):
                assert await read(packages, digests[name]) == name

        async def evict() -> int:
            count = 0
            while not users.done():
                count += await packages.fit()
                await asyncio.sleep(0)
            return count

        users = asyncio.gather(*(use(name) for name in names))
        assert await evict() > 0
        await users


# What the next start knows...


@pytest.mark.parametrize("orderly", [True, False])
async def test_the_next_start_knows_what_was_used_last(tmp_path: Path, *, orderly: bool) -> None:
    async with opened(tmp_path, orderly=orderly) as packages:
        one, two = await add(packages, "one"), await add(packages, "two")
        await read(packages, one)
        await packages.fit()  # writes down what was used
    async with opened(tmp_path, 1.5 * TREE) as packages:
        assert await packages.fit() == 1
        assert unpacked(tmp_path) == {one}
        assert await read(packages, two) == "two"


async def test_a_tree_that_a_kill_left_without_a_listing_is_made_again(tmp_path: Path) -> None:
    async with opened(tmp_path, orderly=False) as packages:
        one = await add(packages, "one")
    (tmp_path / "packages-listings" / one).unlink()
    (tmp_path / "packages" / one / "name").write_text("half")
    async with opened(tmp_path) as packages:
        assert await read(packages, one) == "one"


@pytest.mark.parametrize("damage", ["truncated", "missing", "more", "listing"])
async def test_after_an_unclean_end_a_damaged_tree_is_made_again_before_it_is_used(tmp_path: Path, damage: str) -> None:
    async with opened(tmp_path, orderly=False) as packages:
        one = await add(packages, "one")
    name = tmp_path / "packages" / one / "name"
    match damage:
        case "truncated":
            os.truncate(name, 0)
        case "missing":
            name.unlink()
        case "more":
            name.with_name("more").touch()
        case "listing":
            listing = tmp_path / "packages-listings" / one
            listing.write_bytes(listing.read_bytes()[:-3])
    async with opened(tmp_path) as packages:
        with packages.holding(one):
            tree = await packages.tree(one)
            assert sorted(path.name for path in tree.iterdir()) == ["data", "name"]
            assert (tree / "name").read_text() == "one"


async def damaged(directory: Path, *digests: str) -> None:
    """Other contents of the same length, at the same time: only reading all of it shows that."""
    for digest in digests:
        name = directory / "packages" / digest / "name"
        told = name.stat()
        name.write_text("xxx")
        os.utime(name, ns=(told.st_atime_ns, told.st_mtime_ns))


async def test_damaged_contents_are_found_in_time_and_made_again(tmp_path: Path) -> None:
    async with opened(tmp_path, orderly=False) as packages:
        one, two = await add(packages, "one"), await add(packages, "two")
    await damaged(tmp_path, one)
    async with opened(tmp_path, orderly=False) as packages:
        await packages.doubt(no_pause)
        assert unpacked(tmp_path) == {two}
        assert await read(packages, one) == "one"


async def test_an_environment_keeps_the_tree_that_it_has_and_the_next_gets_a_good_one(tmp_path: Path) -> None:
    async with opened(tmp_path, orderly=False) as packages:
        one = await add(packages, "one")
    await damaged(tmp_path, one)
    async with opened(tmp_path) as packages:
        with packages.holding(one):
            held = os.open(await packages.tree(one), os.O_RDONLY)
            try:
                await packages.doubt(no_pause)
                os.stat("name", dir_fd=held)
                assert await read(packages, one) == "one"
            finally:
                os.close(held)
    async with opened(tmp_path):
        assert unpacked(tmp_path) == {one}, "what was set aside goes at the next start"


async def test_layers_are_compared_before_anything_is_made_of_them(tmp_path: Path) -> None:
    async with opened(tmp_path, orderly=False) as packages:
        layers = [await add(packages, name) for name in ("one", "two")]
    await damaged(tmp_path, *layers)
    async with opened(tmp_path) as packages:
        with packages.holding(opt_digest(layers) or ""):
            opt = await packages.opt(layers)
            assert opt is not None
            assert (opt / "name").read_text() == "two"


async def test_after_an_orderly_end_nothing_is_in_doubt(tmp_path: Path) -> None:
    async with opened(tmp_path) as packages:
        one = await add(packages, "one")
    await damaged(tmp_path, one)
    async with opened(tmp_path) as packages:
        await packages.doubt(no_pause)
        assert await read(packages, one) == "xxx"
