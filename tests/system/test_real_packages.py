"""Functions whose packages carry real wheels, unchanged, as a user would zip them."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pasture.runtimes.registry import Runtimes, families
from pasture.runtimes.spec import RuntimeUnavailable
from pasture.settings import default_runtimes_dir
from system.node import Server

Zipped = Callable[..., bytes]


@pytest.fixture(scope="session")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Zipped:
    """Makes a package of requirements and an app.py, as `pip install --target` and `zip` do."""
    cache = tmp_path_factory.mktemp("wheels")

    def make(code: str, *requirements: str) -> bytes:
        target = cache / "-".join(requirement.replace("=", "") for requirement in requirements)
        if not target.exists():
            _install(target, *requirements)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
            for path in sorted(target.rglob("*")):
                if "__pycache__" not in path.parts:
                    package.write(path, path.relative_to(target))
            package.writestr("app.py", code)
        return out.getvalue()

    return make


def _install(target: Path, *requirements: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--only-binary",
        ":all:",
        "--target",
        str(target),
        *requirements,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    if done.returncode != 0 and any(
        word in done.stderr for word in ("Temporary failure", "Max retries", "Could not find a version", "timed out")
    ):
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def deployed(server: Server, name: str, package: bytes, **more: Any) -> str:
    from system.node import ROLE, RUNTIME

    options: dict[str, Any] = {
        "Runtime": RUNTIME,
        "Handler": "app.handler",
        "Role": ROLE,
        "Timeout": 30,
        "MemorySize": 512,
        **more,
    }
    server.functions.create_function(FunctionName=name, Code={"ZipFile": package}, **options)
    server.functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return name


def test_powertools_logs_and_routes(server: Server, zipped: Zipped) -> None:
    code = """
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
logger, app = Logger(service="cows"), APIGatewayRestResolver()

@app.get("/cows/<name>")
def cow(name):
    logger.info("asked", cow=name)
    return {"cow": name}

@logger.inject_lambda_context
def handler(event, context):
    return app.resolve(event, context)
"""
    name = deployed(server, "powertools", zipped(code, "aws-lambda-powertools"))
    event = {
        "httpMethod": "GET",
        "path": "/cows/berta",
        "headers": {},
        "requestContext": {"stage": "x", "path": "/cows/berta"},
    }
    answer = server.invoke(name, event)
    assert answer.error is None, answer.body
    assert (answer.payload["statusCode"], answer.payload["body"]) == (200, '{"cow":"berta"}')
    asked = next(line for line in server.log_lines(f"/aws/lambda/{name}") if '"asked"' in line)
    assert '"function_name":"powertools"' in asked
    assert f'"function_request_id":"{answer.request_id}"' in asked


def test_pillow_draws_with_its_native_libraries(server: Server, zipped: Zipped) -> None:
    code = """
import io
from PIL import Image
def handler(event, context):
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "green").resize((32, 24)).save(out, "JPEG")
    return [Image.open(io.BytesIO(out.getvalue())).size, out.getvalue()[:3].hex()]
"""
    name = deployed(server, "pillow", zipped(code, "pillow"))
    assert server.invoke(name).payload == [[32, 24], "ffd8ff"]


@pytest.mark.timeout(300)
def test_numpy_and_pandas_calculate_with_their_native_libraries(server: Server, zipped: Zipped) -> None:
    code = """
import numpy, pandas
def handler(event, context):
    table = pandas.DataFrame({"cow": ["berta", "alma", "berta"], "litres": [20.0, 31.5, 22.0]})
    solved = numpy.linalg.solve(numpy.array([[2.0, 0.0], [0.0, 4.0]]), numpy.array(event))
    return [table.groupby("cow")["litres"].sum().to_dict(), solved.tolist()]
"""
    name = deployed(server, "pandas", zipped(code, "numpy", "pandas"), MemorySize=1024)
    assert server.invoke(name, [2, 2]).payload == [{"alma": 31.5, "berta": 42.0}, [1.0, 0.5]]


def test_a_fastapi_app_answers_through_mangum(server: Server, zipped: Zipped) -> None:
    code = """
from fastapi import FastAPI, HTTPException
from mangum import Mangum
app = FastAPI()

@app.get("/cows/{name}")
async def cow(name: str, litres: int = 0):
    if name == "unknown":
        raise HTTPException(404, "no such cow")
    return {"cow": name, "litres": litres}

handler = Mangum(app, lifespan="off")
"""
    name = deployed(server, "fastapi", zipped(code, "fastapi", "mangum"))

    def asked(path: str, query: str = "") -> tuple[int, str]:
        http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "a test"}
        event = {
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": "cows.example"}, "requestContext": {"http": http, "stage": "$default"},
            "isBase64Encoded": False,
        }  # fmt: skip
        answer = server.invoke(name, event)
        assert answer.error is None, answer.body
        return answer.payload["statusCode"], answer.payload["body"]

    assert asked("/cows/berta", "litres=20") == (200, '{"cow":"berta","litres":20}')
    assert asked("/cows/unknown") == (404, '{"detail":"no such cow"}')
    assert asked("/cows/berta", "litres=many")[0] == 422


def test_requests_speaks_to_what_listens_in_the_sandbox(server: Server, zipped: Zipped) -> None:
    code = """
import http.server, threading, requests
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *arguments): ...
def handler(event, context):
    with http.server.HTTPServer(("127.0.0.1", 0), Hello) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        text = requests.get(f"http://127.0.0.1:{served.server_port}/", timeout=5).text
        served.shutdown()
    return [text, requests.__file__]
"""
    name = deployed(server, "requests", zipped(code, "requests"))
    assert server.invoke(name).payload == ["hello", "/var/task/requests/__init__.py"]


def test_a_functions_own_boto3_wins_over_the_runtimes(server: Server, zipped: Zipped) -> None:
    code = "import boto3, botocore\ndef handler(event, context):\n    return [boto3.__version__, boto3.__file__, botocore.__file__]\n"
    own = deployed(server, "own-boto3", zipped(code, "boto3==1.34.0"))
    assert server.invoke(own).payload == ["1.34.0", "/var/task/boto3/__init__.py", "/var/task/botocore/__init__.py"]
    runtimes = server.deploy("the-runtimes-boto3", code)
    assert server.invoke(runtimes).payload[1] == "/var/runtime/boto3/__init__.py"


def _families() -> Runtimes:
    return Runtimes(families(default_runtimes_dir()))


@pytest.mark.parametrize("runtime", ["python3.10", "python3.11", "python3.12", "python3.13", "python3.14"])
def test_a_runtime_of_this_machine_runs_with_its_own_interpreter(server: Server, runtime: str) -> None:
    runtimes = _families()
    if runtime not in runtimes.available():
        pytest.skip(f"there is no interpreter for {runtime} on this machine")
    try:
        runtimes.install(runtime)
    except RuntimeUnavailable as unavailable:
        pytest.skip(f"{runtime} cannot be made ready: {unavailable}")
    code = "import os, sys\ndef handler(event, context):\n    return [list(sys.version_info[:2]), os.environ['AWS_EXECUTION_ENV']]\n"
    name = server.deploy(f"runs-{runtime.replace('.', '-')}", code, Runtime=runtime)
    assert server.invoke(name).payload == [[3, int(runtime.partition(".")[2])], f"AWS_Lambda_{runtime}"]
