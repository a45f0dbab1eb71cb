"""The functions that are measured, and what they bring."""

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pasture.runtimes.spec import InstalledRuntime

# With {"sleep": seconds} it keeps its environment busy, so that others are made.
ECHO = """\
import time
def handler(event, context):
    if isinstance(event, dict) and "sleep" in event:
        time.sleep(event["sleep"])
    return event
"""
# Says when it was called and which environment it is, and keeps that busy.
SLEEPER = """\
import os, time
MADE = time.monotonic()
ME = os.urandom(8).hex()
def handler(event, context):
    called = time.monotonic()
    time.sleep(event)
    return [ME, MADE, called]
"""
HEAVY = """\
import boto3, numpy, pandas
def handler(event, context):
    return int(pandas.Series(numpy.arange(10)).sum())
"""
HEAVY_REQUIREMENTS = ("numpy==2.2.6", "pandas==2.3.1")
_INSTALL_SECONDS = 300
# Tests and stubs, which no function needs, would take the package over the limit of a direct upload.
_LEFT_OUT = {"__pycache__", "tests", "bin", "include"}


class NoPackage(Exception):
    """What the package needs could not be had; the message says why."""


def zipped(code: str) -> bytes:
    return _zip({}, code)


def heavy(runtime: str) -> bytes:
    """HEAVY with NumPy and pandas from the package index; kept for the next run. Raises NoPackage."""
    name = "-".join(HEAVY_REQUIREMENTS).replace("==", "_")
    kept = _cache() / f"{name}-{runtime}-{os.uname().machine}.zip"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as directory:
            target = Path(directory) / "packages"
            version = runtime.removeprefix("python")
            pip_install("--target", str(target), "--python-version", version, *HEAVY_REQUIREMENTS)
            fresh = Path(directory) / "heavy.zip"
            fresh.write_bytes(_zip(_files(target), HEAVY))
            fresh.replace(kept)
    return kept.read_bytes()


def pip_install(*arguments: str, python: str = sys.executable) -> None:
    """Wheels only. Raises NoPackage."""
    pip("install", "--only-binary", ":all:", *arguments, python=python)


def pip(*arguments: str, python: str = sys.executable) -> None:
    """Raises NoPackage."""
    command = [
        python,
        "-m",
        "pip",
        *arguments,
        "--quiet",
        "--no-input",
        "--retries",
        "1",
        "--disable-pip-version-check",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoPackage(f"pip took longer than {error.timeout:g} s") from error
    if done.returncode != 0:
        raise NoPackage((done.stderr.strip().splitlines() or ["pip failed without a word"])[-1])


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pasture" / "benchmarks"


def _files(directory: Path) -> dict[str, Path]:
    paths = (path for path in sorted(directory.rglob("*")) if path.is_file())
    files = {path.relative_to(directory): path for path in paths if path.suffix != ".pyi"}
    return {str(name): path for name, path in files.items() if not _LEFT_OUT & set(name.parts)}


def _zip(files: dict[str, Path], code: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            archive.write(path, name)
        archive.writestr("app.py", code)
    return out.getvalue()


JAVA = """\
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;
public class App implements RequestHandler<Map<String, Object>, Object> {
    public Object handleRequest(Map<String, Object> event, Context context) { return event; }
}
"""


def java_classes(runtime: InstalledRuntime) -> dict[str, bytes]:
    """JAVA, compiled against the runtime's own client. Raises NoPackage."""
    client = runtime.mounts[-1].source / "lib"
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "App.java")
        source.write_text(JAVA)
        command = ["javac", "--release", "11", "-cp", f"{client}/*", str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
        except FileNotFoundError as error:
            raise NoPackage("there is no javac on this machine") from error
        if done.returncode != 0:
            raise NoPackage(f"javac failed: {done.stderr.strip()[-200:]}")
        return {"App.class": source.with_suffix(".class").read_bytes()}
