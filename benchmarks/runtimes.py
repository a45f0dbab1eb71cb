"""Cold starts of the runtimes other than Python, each beside the bare start of its interpreter with nothing to do."""

import io
import os
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from harness import Goal, Row, Run, Samples, at_most, beside, in_turns
from packages import NoPackage, java_classes

from pasture.runtimes.registry import Runtimes, families
from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable
from pasture.settings import default_runtimes_dir

NODE = "exports.handler = async (event) => event\n"
RUBY = "def handler(event:, context:) = event\n"
SHELL = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  id=$(curl -s -o /tmp/event -D - "$api/next" | sed -n 's/^Lambda-Runtime-Aws-Request-Id: *\\([^\\r]*\\).*/\\1/Ip')
  curl -s -o /dev/null "$api/$id/response" --data-binary @/tmp/event
done
"""


@dataclass(frozen=True)
class Measured:
    runtime: str
    handler: str
    files: Callable[[InstalledRuntime], dict[str, bytes]]
    bare: Callable[[InstalledRuntime], Sequence[str]]
    """The least: the interpreter's start and end."""
    goal: Goal
    memory_mb: int = 256


def _node(major: int) -> Measured:
    return Measured(
        f"nodejs{major}.x", "app.handler", lambda _: {"app.js": NODE.encode()},
        lambda runtime: (str(runtime.location), "-e", "0"), at_most(4),
    )  # fmt: skip


def _java(number: int) -> Measured:
    def bare(runtime: InstalledRuntime) -> Sequence[str]:
        return (str(runtime.location), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-version")

    return Measured(f"java{number}", "App", java_classes, bare, at_most(12), 512)


ROWS = (
    *(_node(major) for major in (20, 22, 24)),
    *(_java(number) for number in (17, 21, 25)),
    *(
        Measured(
            f"ruby{version}", "app.handler", lambda _: {"app.rb": RUBY.encode()},
            lambda runtime: (str(runtime.location), "-e", "0"), at_most(4),
        )
        for version in ("3.3", "3.4")
    ),
    Measured(
        "provided.al2023", "any", lambda _: {"bootstrap": SHELL.encode()},
        lambda _: ("/bin/sh", "-c", "curl -V | sed -n 1p; curl -V"), at_most(5),
    ),
)  # fmt: skip


def cold(run: Run) -> list[Row]:
    registry = Runtimes(families(default_runtimes_dir()))
    return [_row(run, measured, registry) for measured in ROWS]


def _row(run: Run, measured: Measured, registry: Runtimes) -> Row:
    what = f"cold start, {measured.runtime}"
    if registry.find(measured.runtime) is None and measured.runtime not in registry.found():
        return Row(what, measured.goal, note="it is not on this machine")
    try:
        runtime = registry.install(measured.runtime)
        package = _zipped(measured.files(runtime))
    except (RuntimeUnavailable, NoPackage) as error:
        return Row(what, measured.goal, note=str(error))
    server = run.server()
    names = [f"{measured.runtime.replace('.', '-')}-{number}" for number in range(run.times(12, 2))]
    more = {"Runtime": measured.runtime, "Handler": measured.handler, "MemorySize": measured.memory_mb}
    for name in names:
        server.deploy(name, package, **more)
    for name in names:
        server.wait(name)
    connection = server.connect()
    ours, bare = Samples(), Samples()
    waiting = iter(names)
    try:
        in_turns(
            len(names),
            lambda: ours.take(partial(connection.send, server.invocation(next(waiting)))),
            lambda: bare.take(partial(_started, measured.bare(runtime))),
        )
    finally:
        connection.close()
    return beside(what, measured.goal, ours, bare, note=runtime.version)


def _started(command: Sequence[str]) -> None:
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def _zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            package.writestr(entry, content)
    return out.getvalue()
