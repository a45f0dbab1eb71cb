"""Servers that are published for Java only: their packages, fetched once by Maven into the user's cache."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pasture.settings import default_runtimes_dir

FETCH_SECONDS = 100
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>server</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{dependencies}</dependencies></project>"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version><scope>runtime</scope></dependency>"


def java(packages: tuple[str, ...], heap_mb: int) -> list[str]:
    """The words that begin a command with these packages (`group:name:version`) in it; skips where that cannot be."""
    found = shutil.which("java")
    if found is None:
        pytest.skip("there is no java on this machine")
    # One thread collects garbage and the first compiler compiles: a test's server is small and starts soon.
    options = [f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
    return [found, *options, "-cp", f"{_jars(packages)}/*"]


def _jars(packages: tuple[str, ...]) -> Path:
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:16]
    final = default_runtimes_dir().parent / "test-servers" / f"{packages[0].split(':')[1]}-{digest}"
    if final.is_dir():
        return final
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("there is no mvn on this machine (Debian: maven)")
    work = final.with_name(f"{final.name}-{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    dependencies = "".join(_DEPENDENCY.format(*package.split(":")) for package in packages)
    (work / "pom.xml").write_text(_POM.format(dependencies=dependencies))
    words = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={work}"]
    try:
        done = subprocess.run(words, cwd=work, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{packages[0]} could not be fetched in {FETCH_SECONDS} s")
    if done.returncode != 0:
        pytest.skip(f"{packages[0]} cannot be fetched: {done.stdout.strip()[-300:]}")
    try:
        work.rename(final)
    except OSError:  # another run was first
        shutil.rmtree(work)
    return final
