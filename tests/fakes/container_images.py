"""Container images made here: layers from dictionaries and directories, an OCI layout of them, and a push to a registry.

And Debian's `docker-registry`, in a process of its own.
"""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

from pasture.images.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from pasture.runtimes.registry import machine_architecture

MACHINE = {"x86_64": "amd64"}.get(machine_architecture(), machine_architecture())
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Entry:
    """A member of a tar that is more than a file with content."""

    kind: bytes = tarfile.REGTYPE
    content: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0


Files = Mapping[str, str | bytes | Entry]


def a_tar(files: Files) -> bytes:
    """Exactly these members, in this order: parents are not made. A name with a slash at its end is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, what in files.items():
            entry = what if isinstance(what, Entry) else Entry(content=what.encode() if isinstance(what, str) else what)
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else entry.kind
            member.mode = 0o755 if name.endswith("/") and not isinstance(what, Entry) else entry.mode
            member.linkname, member.uid, member.mtime = entry.link, entry.uid, 1_700_000_000
            member.size = len(entry.content) if member.type == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(entry.content))
    return out.getvalue()


@dataclass(frozen=True)
class Layer:
    tar: bytes
    compression: str = "gzip"

    @property
    def blob(self) -> bytes:
        if self.compression == "gzip":
            return gzip.compress(self.tar, compresslevel=1, mtime=0)
        return zstandard.compress(self.tar) if self.compression == "zstd" else self.tar

    @property
    def media_type(self) -> str:
        return _LAYER + (f"+{self.compression}" if self.compression else "")


def a_layer(files: Files, compression: str = "gzip") -> Layer:
    return Layer(a_tar(files), compression)


@dataclass
class Image:
    """Blobs by digest, and the manifest that leads to them."""

    manifest: bytes
    media_type: str = OCI_MANIFEST
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def an_image(layers: Sequence[Layer], *, docker: bool = False, **config: Any) -> Image:
    """`config`: Entrypoint, Cmd, Env, WorkingDir, User."""
    settings = json.dumps(
        {
            "architecture": MACHINE,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer.tar) for layer in layers]},
        }
    ).encode()
    blobs = [(layer.media_type, layer.blob) for layer in layers]
    if docker:
        blobs = [("application/vnd.docker.image.rootfs.diff.tar.gzip", blob) for _, blob in blobs]
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    config_type = "application/vnd.docker.container.image.v1+json" if docker else _CONFIG
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config_type, settings),
        "layers": [descriptor(kind, blob) for kind, blob in blobs],
    }
    everything = {digest_of(content): content for content in (settings, *(blob for _, blob in blobs))}
    return Image(json.dumps(manifest).encode(), media_type, everything)


def an_index(images: Mapping[str, Image], *, docker: bool = False) -> Image:
    """By machine (`amd64`), with the attestation that docker's buildx adds."""
    entries = [
        descriptor(image.media_type, image.manifest) | {"platform": {"os": "linux", "architecture": machine}}
        for machine, image in images.items()
    ]
    first = next(iter(images.values()))
    entries.insert(
        0, descriptor(first.media_type, first.manifest) | {"platform": {"os": "unknown", "architecture": "unknown"}}
    )
    media_type = DOCKER_LIST if docker else OCI_INDEX
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
    blobs = {digest: blob for image in images.values() for digest, blob in image.blobs.items()}
    return Image(content, media_type, blobs | {image.digest: image.manifest for image in images.values()})


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def write_layout(image: Image, directory: Path, tag: str = "") -> Path:
    """An OCI image layout."""
    folder = directory / "blobs" / "sha256"
    folder.mkdir(parents=True)
    for digest, content in {**image.blobs, image.digest: image.manifest}.items():
        (folder / digest.partition(":")[2]).write_bytes(content)
    entry = descriptor(image.media_type, image.manifest)
    if tag:
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


def push(url: str, repository: str, tag: str, image: Image, login: str = "") -> None:
    """By the distribution protocol, as docker does it. `login`: `user:password`."""
    for digest, content in image.blobs.items():
        if digest in (image.manifest.decode()) or image.media_type not in {OCI_INDEX, DOCKER_LIST}:
            place = _ask("POST", f"{url}/v2/{repository}/blobs/uploads/", b"", login).headers["Location"]
            _ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content, login)
    _ask("PUT", f"{url}/v2/{repository}/manifests/{tag}", image.manifest, login, image.media_type)


def _ask(method: str, url: str, content: bytes, login: str, kind: str = "application/octet-stream") -> Any:
    request = urllib.request.Request(url, data=content, method=method, headers={"Content-Type": kind})
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
        return answer


# A registry...


class DockerRegistry:
    """Debian's docker-registry on a free port of loopback; with `login` (`user:password`), it wants that."""

    def __init__(self, directory: Path, login: str = "") -> None:
        if shutil.which("docker-registry") is None:
            pytest.skip("there is no docker-registry here: apt-get install docker-registry")
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self.login = login
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{sock.getsockname()[1]}"
        self.url = f"http://{self.host}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "DockerRegistry":
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self._directory / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
        }
        if self.login:
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(self._passwords())}}
        file = self._directory / "config.yml"
        file.write_text(json.dumps(config))  # JSON is YAML
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", str(file)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, (self._directory / "log").read_text()
            assert self._process.poll() is None, (self._directory / "log").read_text()
            time.sleep(0.05)
        return self

    def push(self, repository: str, tag: str, image: Image) -> str:
        """How a function names it."""
        push(self.url, repository, tag, image, self.login)
        return f"{self.host}/{repository}:{tag}"

    def blob(self, digest: str) -> Path:
        """Where the registry keeps it."""
        value = digest.partition(":")[2]
        return self._directory / "data/docker/registry/v2/blobs/sha256" / value[:2] / value / "data"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _passwords(self) -> Path:
        if shutil.which("htpasswd") is None:
            pytest.skip("there is no htpasswd here: apt-get install apache2-utils")
        user, _, password = self.login.partition(":")
        done = subprocess.run(["htpasswd", "-nbB", user, password], capture_output=True, check=True)
        file = self._directory / "htpasswd"
        file.write_bytes(done.stdout)
        return file

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v2/", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


@contextlib.contextmanager
def a_registry(directory: Path, login: str = "") -> Iterator[DockerRegistry]:
    registry = DockerRegistry(directory, login).start()
    try:
        yield registry
    finally:
        registry.stop()


# What images of tests are made of...

_LEFT_OUT = {"test", "tests", "site-packages", "dist-packages", "idlelib", "ensurepip", "tkinter"}


def python_layer(client: Path) -> Layer:
    """This interpreter with its standard library and the libraries that it needs, and the runtime interface client
    that is in the directory `client`, at /client.
    """
    executable = Path(sys.executable).resolve()
    library = Path(sysconfig.get_paths()["stdlib"])
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        name = f"usr/lib/{library.name}"
        for folder in ("usr/", "usr/bin/", "usr/lib/"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.add(executable.parent, folder, recursive=False)
        archive.add(executable, "usr/bin/python3")
        archive.add(library, name, filter=lambda m: None if _LEFT_OUT & set(m.name.split("/")) else m)
        archive.add(client, "client")
        for needed in _libraries([executable, *library.glob("lib-dynload/*.so"), *client.glob("*.so")]):
            archive.add(needed.resolve(), str(needed).lstrip("/"))
    return Layer(out.getvalue(), "")


def _libraries(programs: Sequence[Path]) -> list[Path]:
    found: set[Path] = set()
    for program in programs:
        told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
        words = [word for line in told.splitlines() for word in line.split()]
        found.update(Path(word) for word in words if word.startswith("/"))
    return sorted(found)
