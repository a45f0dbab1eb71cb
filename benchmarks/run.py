"""Every row, each beside a floor measured in the same run; printed as the table of docs/specification.md."""

import os
import platform
import sys
import tempfile
from pathlib import Path

import cold_start
import warm_invoke
from harness import HEADER, Bench


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("The floor of a cold start makes namespaces and mounts: run `make bench` as root.")
    with tempfile.TemporaryDirectory(prefix="pasture-bench-") as name:
        directory = Path(name)
        bench = Bench(directory)
        try:
            rows = [*warm_invoke.measure(bench, directory), cold_start.measure(bench, directory)]
        finally:
            bench.stop()
    machine = f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}"
    print(f"{machine}; isolation: namespaces\n")
    print(HEADER)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
