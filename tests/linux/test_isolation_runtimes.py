"""Programs that bring their own way of calling the kernel, under the filter of system calls."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.isolation_programs import MIB, box, run
from linux.box_fixtures import opened, skip_without_namespaces
from pasture.isolation.spec import Exit, Isolation, Mount


@pytest.fixture
async def isolation(tmp_path: Path) -> AsyncIterator[Isolation]:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as kind:
        yield kind


_GO = """
package main
import ("fmt"; "net"; "os"; "os/exec"; "sync")
func main() {
  var w sync.WaitGroup
  for i := 0; i < 64; i++ { w.Add(1); go func() { defer w.Done(); os.WriteFile(fmt.Sprintf("/tmp/%d", i), []byte("x"), 0600) }() }
  w.Wait()
  l, err := net.Listen("tcp", "127.0.0.1:0"); if err != nil { panic(err) }
  l.Close()
  if err := exec.Command("/bin/true").Run(); err != nil { panic(err) }
  fmt.Println("fine")
}
"""


@pytest.fixture
def go_program(tmp_path: Path) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go")
    (tmp_path / "main.go").write_text(_GO)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    program = tmp_path / "task" / "program"
    subprocess.run([go, "build", "-o", str(program), "main.go"], cwd=tmp_path, env=environment, check=True)
    return program


async def test_a_static_go_program_works_as_ever(isolation: Isolation, go_program: Path) -> None:
    sandbox = await isolation.create(box("go", Mount(go_program.parent, "/var/task")))
    assert await run(sandbox, "/var/task/program") == (Exit(0), "fine\n")


@pytest.fixture
def java_home(tmp_path: Path) -> Path:
    """With what distributions put into /etc, where nothing of a box's can be mounted."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no java")
    home = tmp_path / "java"
    subprocess.run(["cp", "-rL", Path(java).resolve().parent.parent, home], check=False, stderr=subprocess.DEVNULL)
    return home


async def test_java_works_as_ever(isolation: Isolation, java_home: Path) -> None:
    sandbox = await isolation.create(box("java", Mount(java_home, "/var/lang"), memory=1024 * MIB, processes=512))
    how, text = await run(sandbox, "/var/lang/bin/java", "-XX:+UseParallelGC", "-version")
    assert how == Exit(0), text
