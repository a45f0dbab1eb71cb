"""A cold start of a trivial function, HTTP request in to response out, beside the least the kernel allows."""

import subprocess
import sys
from pathlib import Path

from harness import Bench, Row, Samples
from packages import HANDLER, zipped

ROUNDS = 40


def measure(bench: Bench, directory: Path) -> Row:
    names = [f"cold-{number}" for number in range(ROUNDS)]
    for name in names:
        bench.deploy(name, zipped(HANDLER), MemorySize=128)
    for name in names:
        bench.wait(name)
    connection = bench.connect()
    cold = Samples()
    floor = Samples()
    # In turns, so that a slow moment of the machine falls on both.
    for start in range(0, ROUNDS, 10):
        for name in names[start : start + 10]:
            request = bench.request(name)
            cold.take(lambda request=request: request.send(connection))
        floor.values += _floor(directory, 10)
    connection.close()
    ratio = cold.median / floor.median
    return Row("cold start, trivial Python handler", cold.median, cold.spread, floor.median, ratio, "≤ 4 with zygotes")


def _floor(directory: Path, rounds: int) -> list[float]:
    root, code = directory / "root", directory / "code"
    root.mkdir(exist_ok=True)
    code.mkdir(exist_ok=True)
    program = Path(__file__).parent / "namespaces_floor.py"
    command = [sys.executable, str(program), str(rounds), str(root), str(code), sys.base_prefix, str(code), "/usr"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]
