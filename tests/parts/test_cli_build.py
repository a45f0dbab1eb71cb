"""`pasture build`: packages for the platform that is meant, and the same bytes each time."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

NPM = pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm on this machine")


def wheel(directory: Path, name: str, tag: str, files: dict[str, str], needs: str = "") -> None:
    """A wheel as small as wheels can be."""
    about = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (f"Requires-Dist: {needs}\n" if needs else "")
    content = {
        **files,
        f"{about}/METADATA": metadata,
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name}=one:main\n",
    }
    record = "".join(f"{path},,\n" for path in content) + f"{about}/RECORD,,\n"
    with zipfile.ZipFile(directory / f"{name}-1.0-{tag}.whl", "w") as archive:
        for path, text in {**content, f"{about}/RECORD": record}.items():
            archive.writestr(path, text)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "one", "py3-none-any", {"one.py": "def main(): pass\n"}, needs="two")
    for machine in ("x86_64", "aarch64"):
        tag = f"cp312-cp312-manylinux_2_17_{machine}.manylinux2014_{machine}"
        wheel(wheels, "two", tag, {"two.py": f"MACHINE = {machine!r}\n"})
    folder = tmp_path / "thumbs"
    folder.mkdir()
    (folder / "app.py").write_text("import one\n")
    (folder / "requirements.txt").write_text(f"--no-index\n--find-links {wheels}\none==1.0\n")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "junk").write_text("x")
    return folder


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pasture", "build", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    return result


def contents(package: Path) -> dict[str, bytes]:
    archive = zipfile.ZipFile(package)
    return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", "x86_64"), ("arm64", "aarch64")])
def test_wheels_are_those_of_the_platform_that_is_meant(
    source: Path, tmp_path: Path, architecture: str, machine: str
) -> None:
    package = tmp_path / "out.zip"
    run(source, "--runtime", "python3.12", "--architecture", architecture, "--file", package)
    found = contents(package)
    assert found["two.py"] == f"MACHINE = '{machine}'\n".encode()
    assert {"app.py", "one.py", "requirements.txt"} <= found.keys()
    assert not [name for name in found if "__pycache__" in name or ".venv" in name]


def test_the_same_source_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    said = json.loads(run(source, "--runtime", "python3.12", "--file", one, "--output", "json").stdout)
    os.utime(source / "app.py", (1, 1))
    (source / "app.py").chmod(0o600)
    run(source, "--runtime", "python3.12", "--file", other)
    assert one.read_bytes() == other.read_bytes()
    digest = base64.b64encode(hashlib.sha256(one.read_bytes()).digest()).decode()
    assert said == {"File": str(one), "CodeSize": one.stat().st_size, "CodeSha256": digest}


def test_nothing_in_a_package_names_the_machine_that_made_it(source: Path, tmp_path: Path) -> None:
    package = tmp_path / "out.zip"
    run(source, "--runtime", "python3.12", "--file", package)
    places = [str(Path(sys.prefix)).encode(), b"pasture-build-"]
    for name, content in contents(package).items():
        assert not any(place in content for place in places), name


def test_what_is_excluded_stays_out(source: Path, tmp_path: Path) -> None:
    (source / "tests").mkdir()
    (source / "tests" / "test_app.py").write_text("")
    (source / "notes.md").write_text("")
    package = tmp_path / "out.zip"
    run(source, "--runtime", "python3.12", "--file", package, "--exclude", "tests", "--exclude", "*.md")
    assert not [name for name in contents(package) if "test_app" in name or name.endswith(".md")]


def test_a_package_that_has_no_wheel_is_refused_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    with (source / "requirements.txt").open("a") as requirements:
        requirements.write("three\n")
    package = tmp_path / "out.zip"
    result = run(source, "--runtime", "python3.12", "--file", package, code=1)
    assert "could not install" in result.stderr
    assert not package.exists()


def test_a_folder_without_requirements_is_just_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "bootstrap").write_text("#!/bin/sh\n")
    (folder / "bootstrap").chmod(0o700)
    monkeypatch.chdir(tmp_path)
    run("plain", "--runtime", "provided.al2023")
    [info] = zipfile.ZipFile(tmp_path / "plain.zip").infolist()
    assert info.external_attr >> 16 & 0o777 == 0o755


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    assert "There is no directory" in run(tmp_path / "gone", "--runtime", "python3.12", code=1).stderr


@NPM
def test_node_packages_are_installed_as_they_are_locked(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    archive = folder / "dep.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        for name, text in {"package/package.json": '{"name":"dep","version":"1.0.0"}', "package/index.js": "1"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            packed.addfile(info, io.BytesIO(text.encode()))
    about = {"name": "app", "version": "1.0.0", "dependencies": {"dep": "file:dep.tgz"}}
    (folder / "package.json").write_text(json.dumps(about))
    subprocess.run(["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"], cwd=folder, check=True)
    (folder / "index.mjs").write_text("export const handler = async () => 1\n")
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    run(folder, "--runtime", "nodejs22.x", "--file", one)
    run(folder, "--runtime", "nodejs22.x", "--file", other)
    assert contents(one)["node_modules/dep/index.js"] == b"1"
    assert one.read_bytes() == other.read_bytes()
