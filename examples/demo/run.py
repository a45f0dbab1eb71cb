"""The main job, end to end: start a server, deploy three functions with boto3, invoke them, show what came of it."""

import base64
import contextlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
OUT = Path.cwd() / "demo-output"
RUNTIME = f"python3.{sys.version_info.minor}"
ROLE = "arn:aws:iam::000000000000:role/demo"
console = Console(highlight=False, soft_wrap=True)


@contextlib.contextmanager
def server(data: Path):
    """`pasture serve` on a free port, until the block ends."""
    command = [sys.executable, "-m", "pasture", "serve", "--port", "0", "--data-dir", str(data)]
    log = (OUT / "server.log").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        ready = process.stdout.readline()
        if "ready at" not in ready:
            sys.exit(f"The server did not start; {OUT / 'server.log'} says why:\n{(OUT / 'server.log').read_text()}")
        console.print(f"[green]{ready.strip()}[/]")
        yield ready.split()[-1]
    finally:
        process.terminate()
        process.wait()


def package(source: Path, work: Path) -> bytes:
    """The function's folder with what its requirements.txt names, as a zip."""
    build = work / source.name
    shutil.copytree(source, build)
    requirements = source / "requirements.txt"
    if requirements.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(build), "--requirement", str(requirements)], check=True)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(p for p in build.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            zipped.write(path, path.relative_to(build))
    return out.getvalue()


def deploy(client, name: str, work: Path) -> None:
    with console.status(f"packaging {name}"):
        code = package(HERE / name, work)
    client.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": code},
        Timeout=30,
        MemorySize=512,
    )
    with console.status(f"{name} becomes active (the first function of a runtime also installs its client)"):
        client.get_waiter("function_active_v2").wait(FunctionName=name)
    console.print(f"  deployed [bold]{name}[/] ({len(code) / 1e6:.1f} MB, {RUNTIME})")


def invoke(client, name: str, event: dict) -> tuple[dict, object, float]:
    began = time.perf_counter()
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    took = (time.perf_counter() - began) * 1000
    return answer, json.loads(answer["Payload"].read()), took


def log_tail(answer: dict) -> str:
    return base64.b64decode(answer["LogResult"]).decode().rstrip()


def show_thumbnail(client) -> float:
    console.rule("a thumbnail, by Pillow")
    picture = (HERE / "hopper.jpg").read_bytes()
    answer, result, took = invoke(
        client, "thumbnail", {"image": base64.b64encode(picture).decode(), "width": 160, "height": 160}
    )
    small = base64.b64decode(result["image"])
    (OUT / "thumbnail.jpg").write_bytes(small)
    console.print(f"{len(picture)} bytes, {result['before']} in; {len(small)} bytes, {result['after']} out")
    console.print(f"written to [bold]{OUT / 'thumbnail.jpg'}[/]")
    console.print(log_tail(answer), style="dim")
    return took


def show_orders(client) -> tuple[float, list[float]]:
    console.rule("an order, by Powertools for AWS Lambda")
    order = {"id": "A-17", "items": [{"price": 2.5, "count": 4}, {"price": 10, "count": 1}]}
    event = {"version": "2.0", "rawPath": "/orders", "headers": {}, "body": json.dumps(order), "isBase64Encoded": False}
    answer, result, cold = invoke(client, "orders", event)
    console.print(result)
    console.print(log_tail(answer), style="dim")
    warm = [invoke(client, "orders", event)[2] for _ in range(50)]
    return cold, warm


def show_broken(client) -> float:
    console.rule("an error, and its log")
    answer, error, took = invoke(client, "broken", {"fruit": "pears"})
    console.print(f"FunctionError: [red]{answer['FunctionError']}[/]  {error['errorType']}: {error['errorMessage']}")
    console.print("".join(error["stackTrace"]).rstrip())
    console.print(log_tail(answer), style="dim")
    return took


def main() -> None:
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pasture-demo-") as directory, server(Path(directory, "data")) as url:
        shell = dict(
            line.removeprefix("export ").split("=", 1)
            for line in subprocess.run(
                [sys.executable, "-m", "pasture", "env", "--data-dir", f"{directory}/data"],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout.splitlines()
            if line.startswith("export ")
        )
        os.environ |= {name: value.strip("'\"") for name, value in shell.items()}
        client = boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}, read_timeout=120))
        work = Path(directory, "work")
        for name in ("thumbnail", "orders", "broken"):
            deploy(client, name, work)
        thumbnail = show_thumbnail(client)
        orders, warm = show_orders(client)
        broken = show_broken(client)
        console.rule("latency, as the client saw it")
        table = Table("", "ms", box=None)
        table.add_row("cold start, plain handler", f"{broken:.1f}")
        table.add_row("cold start, importing Powertools", f"{orders:.1f}")
        table.add_row("cold start, importing Pillow", f"{thumbnail:.1f}")
        table.add_row("warm, median of 50", f"{statistics.median(warm):.2f}")
        console.print(table)
        console.rule("what next")
        console.print(
            "  .venv/bin/pasture serve                  # in one terminal\n"
            '  eval "$(.venv/bin/pasture env)"          # in another: then any AWS client works\n'
            "  .venv/bin/aws lambda list-functions\n"
            f"  .venv/bin/pasture functions create hello --runtime {RUNTIME} --handler app.handler --code DIR\n"
            "  .venv/bin/pasture invoke hello --tail",
            markup=False,
        )


if __name__ == "__main__":
    main()
