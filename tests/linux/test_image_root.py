"""A box whose root is a tree of its own, as container images have it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from linux.box_fixtures import opened, skip_without_namespaces
from pasture.images.assembling import assemble
from pasture.images.unpacking import LayerTree
from pasture.isolation.spec import Program, SandboxError, SandboxSpec

# Says what it sees, in C: the tree has neither an interpreter nor a library.
LOOK = r"""
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void list(const char *path) {
    DIR *dir = opendir(path); struct dirent *e;
    printf("\"%s\": [", path);
    for (int n = 0; dir && (e = readdir(dir));) if (e->d_name[0] != '.' && !(e->d_name[0] >= '0' && e->d_name[0] <= '9'))
        printf("%s\"%s\"", n++ ? ", " : "", e->d_name);
    printf("], ");
}
static int writes(const char *path) { int f = open(path, O_WRONLY | O_CREAT, 0600); if (f >= 0) close(f); return f >= 0; }
static int content(const char *path) { char c; int f = open(path, O_RDONLY); return f >= 0 && read(f, &c, 1) > 0; }
int main(void) {
    char hosts[4096] = {0}; int f = open("/etc/hosts", O_RDONLY); read(f, hosts, 4000);
    printf("{"); list("/"); list("/dev"); list("/etc");
    printf("\"hosts\": %d, ", strstr(hosts, "localhost") != 0);
    printf("\"writes\": [%d, %d, %d, %d], ", writes("/x"), writes("/etc/hosts"), writes("/tmp/x"), writes("/dev/x"));
    printf("\"chmods\": %d, ", chmod("/look", 0777) == 0);
    printf("\"null\": %d, \"pid\": %d, \"keys\": %d}\n", writes("/dev/null"), getpid() > 1, content("/proc/keys"));
    return 0;
}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    layer, root = tmp_path / "layer", tmp_path / "root"
    layer.mkdir()
    root.mkdir()
    (tmp_path / "look.c").write_text(LOOK)
    command = ["cc", "-static", "-o", str(layer / "look"), str(tmp_path / "look.c")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no static C programs can be made here: {error}")
    (layer / "etc").mkdir()
    (layer / "etc/resolv.conf").symlink_to("/nowhere")
    assemble([(layer, LayerTree())], root)
    return root


async def test_a_box_has_the_tree_for_its_root_and_what_every_box_has(tmp_path: Path, tree: Path) -> None:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as isolation:
        spec = SandboxSpec("image", (), memory_bytes=64 << 20, tmp_bytes=16 << 20, cpus=1.0, root=tree)
        sandbox = await isolation.create(spec)
        out, into = os.pipe()
        process = await sandbox.start(Program("look", ("/look",), {}, "/", into, into))
        os.close(into)
        assert (await process.wait()).code == 0
        with os.fdopen(out) as pipe:
            seen = json.load(pipe)
        assert sorted(seen["/"]) == ["dev", "etc", "look", "proc", "tmp"]
        assert {"null", "zero", "full", "random", "urandom"} <= set(seen["/dev"])
        assert "sda" not in seen["/dev"]
        assert sorted(seen["/etc"]) == ["group", "hostname", "hosts", "passwd", "resolv.conf"]
        assert (seen["hosts"], seen["writes"], seen["chmods"]) == (1, [0, 0, 1, 0], 0)
        assert (seen["null"], seen["pid"], seen["keys"]) == (1, 1, 0)
        await sandbox.destroy()
        # The next one, of the same launcher, is of the host's system again.
        plain = await isolation.create(SandboxSpec("plain", (), memory_bytes=64 << 20, tmp_bytes=16 << 20, cpus=1.0))
        with pytest.raises(SandboxError, match="cannot execute /look"):
            await plain.start(Program("look", ("/look",), {}, "/", 2, 2))


async def test_a_tree_that_is_not_there_is_named(tmp_path: Path) -> None:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as isolation:
        spec = SandboxSpec("image", (), memory_bytes=64 << 20, tmp_bytes=16 << 20, cpus=1.0, root=tmp_path / "nothing")
        with pytest.raises(SandboxError, match="nothing as the root of the box"):
            await isolation.create(spec)
