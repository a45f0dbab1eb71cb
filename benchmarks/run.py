"""Every row, each beside a floor measured in the same run; printed as the table of docs/specification.md.

By hand: `make bench ROWS=cold,warm`, `make bench ARGS='--quick --json figures.json'`.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import cold_start
import concurrency
import events
import many_environments
import many_functions
import runtimes
import warm_invoke
from harness import HEADER, Row, Run
from running import machine, running
from stalls import Stalls, watching

ROWS: dict[str, Callable[[Run], list[Row]]] = {
    "cold": cold_start.trivial,
    "snapstart": cold_start.with_snapstart,
    "exec": cold_start.without_zygote,
    "runtimes": runtimes.cold,
    "warm": warm_invoke.latency,
    "load": warm_invoke.throughput,
    "payload": warm_invoke.payload,
    "burst": many_environments.burst,
    "scale": concurrency.scale,
    "admission": concurrency.admission,
    "fairness": concurrency.fairness,
    "accepted": events.accepted,
    "latency": events.latency,
    "drained": events.drained,
    "queue": events.memory,
    "idle": many_environments.idle_environment,
    "server": many_environments.idle_server,
    "ready": many_functions.ready,
    "functions": many_functions.operations,
}


def main() -> None:
    options = _options()
    stalls = Stalls()
    rows: list[Row] = []
    failed = []
    began = time.monotonic()
    try:
        with running(quick=options.quick) as run, watching(stalls):
            for name in options.rows:
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                try:
                    rows += ROWS[name](run)
                except Exception:  # noqa: BLE001 (the others are not to be lost)
                    traceback.print_exc()
                    failed.append(name)
    except KeyboardInterrupt:
        failed.append("what was stopped")
    seconds = time.monotonic() - began
    text = _markdown(rows, stalls, seconds)
    print(text)
    print(_verdict(rows))
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(_json(rows, stalls, seconds))
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=_rows, default=list(ROWS), help=f"some of {','.join(ROWS)}; all when left away")
    parser.add_argument("--quick", action="store_true", help="whether everything runs; its figures say little")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args()


def _rows(text: str) -> list[str]:
    names = [name for name in text.split(",") if name] or list(ROWS)
    if unknown := set(names) - set(ROWS):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return names


def _markdown(rows: list[Row], stalls: Stalls, seconds: float) -> str:
    title = f"{machine()}; {seconds:.0f} s, {stalls}:\n\n{HEADER}\n"
    return title + "".join(f"{row}\n" for row in rows)


def _verdict(rows: list[Row]) -> str:
    told = [row for row in rows if row.is_met is not None]
    missed = [row.what for row in told if not row.is_met]
    return f"\n{len(told) - len(missed)} of {len(told)} goals met" + "".join(f"\n  missed: {what}" for what in missed)


def _json(rows: list[Row], stalls: Stalls, seconds: float) -> str:
    content = {
        "machine": machine(),
        "seconds": seconds,
        "stalled": stalls.share,
        "rows": [row.to_json() for row in rows],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
