"""A warm invocation with full isolation, beside a bare relay to AWS's runtime client without any."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import Bench, Row, Samples, Signed, connect
from packages import HANDLER, zipped

from pasture.runtimes.registry import Runtimes, families
from pasture.settings import default_runtimes_dir

ROUNDS = 10
BATCH = 200


def measure(bench: Bench, directory: Path) -> list[Row]:
    # Of one whole processor, so that its share of it is not what is measured.
    bench.deploy("warm", zipped(HANDLER), MemorySize=1769)
    bench.wait("warm")
    ours, floor = Samples(), Samples()
    with _relay(directory) as url:
        connection, bare = bench.connect(), connect(url)
        request, plain = bench.request("warm"), Signed("/", b"{}", {})
        for _ in range(50):
            request.send(connection)
            plain.send(bare)
        # In turns, so that a slow moment of the machine falls on both.
        for _ in range(ROUNDS):
            for _ in range(BATCH):
                ours.take(lambda: request.send(connection))
            for _ in range(BATCH):
                floor.take(lambda: plain.send(bare))
    return [
        _row("warm invoke, concurrency 1, p50", ours, floor, 0.5, "≤ 1.3"),
        _row("warm invoke, concurrency 1, p99", ours, floor, 0.99, "≤ 2"),
    ]


def _row(what: str, ours: Samples, floor: Samples, share: float, goal: str) -> Row:
    figure, least = ours.quantile(share), floor.quantile(share)
    return Row(what, figure, ours.spread, least, figure / least, goal)


@contextlib.contextmanager
def _relay(directory: Path) -> Iterator[str]:
    code = directory / "relay"
    code.mkdir()
    (code / "app.py").write_text(HANDLER)
    runtime = Runtimes(families(default_runtimes_dir())).install(f"python3.{sys.version_info.minor}")
    packages = next(mount.source for mount in runtime.mounts if mount.target == "/var/runtime")
    program = Path(__file__).parent / "relay.py"
    command = [sys.executable, str(program), str(packages), str(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()
