"""The Python runtime as functions meet it: real interpreters, the real runtime client, a small Runtime API."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pasture.runtimes.kinds.python import PythonFamily
from pasture.runtimes.spec import InstalledRuntime


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtimes") / "python"


@pytest.fixture(scope="module")
def runtime(cache: Path) -> InstalledRuntime:
    family = PythonFamily(cache)
    newest = next(identifier for identifier in family.identifiers() if identifier in family.interpreters())
    return family.install(newest)


@dataclass
class RuntimeApi:
    """Serves one event, keeps what comes back, and then leaves `/next` unanswered by closing."""

    event: object = None
    received: dict[str, Any] = field(default_factory=dict)
    address: str = ""
    done: threading.Event = field(default_factory=threading.Event)
    served: int = 0


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.served += 1
            if api.served > 1:
                api.done.set()
                self.close_connection = True
                return
            body = json.dumps(api.event).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
            self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            api.received[self.path.removeprefix("/2018-06-01/runtime")] = json.loads(body)
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if "/error" in self.path and "invocation" not in self.path:
                api.done.set()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    api = RuntimeApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    api.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield api
    server.shutdown()
    server.server_close()
    thread.join()


def run(runtime: InstalledRuntime, api: RuntimeApi, task: Path, handler: str, event: object = None) -> dict[str, Any]:
    """What the runtime posted, by path, once it asked for a second event or gave up."""
    api.event = event
    packages = runtime.mounts[-1].source
    environment = {
        **runtime.environment,
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": str(packages),
        "LD_LIBRARY_PATH": str(runtime.location.parent.parent / "lib"),
        "PYTHONPATH": str(packages),
        "_HANDLER": handler,
    }
    process = subprocess.Popen(
        [runtime.location, packages / "bootstrap.py", handler], env=environment, cwd=task, stdout=subprocess.DEVNULL
    )
    try:
        assert api.done.wait(30)
    finally:
        process.kill()
        process.wait()
    return api.received


RESPONSE = "/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response"


def test_a_handler_gets_its_event_and_its_answer_goes_back(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("def handler(event, context): return {'got': event, 'by': __name__}")
    assert run(runtime, api, tmp_path, "main.handler", {"a": 1}) == {RESPONSE: {"got": {"a": 1}, "by": "main"}}


def test_code_that_cannot_be_imported_is_reported_as_an_init_error(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("import nowhere_to_be_found")
    received = run(runtime, api, tmp_path, "main.handler")
    assert list(received) == ["/init/error"]
    assert received["/init/error"]["errorType"] == "Runtime.ImportModuleError"
    assert received["/init/error"]["errorMessage"] == (
        "Unable to import module 'main': No module named 'nowhere_to_be_found'"
    )


def test_modules_are_looked_for_in_the_code_then_in_layers_then_in_the_runtime_then_in_python(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("import sys\ndef handler(event, context): return sys.path")
    path = run(runtime, api, tmp_path, "main.handler")[RESPONSE]
    version = runtime.identifier.removeprefix("python")
    assert path[:4] == [
        str(tmp_path),
        f"/opt/python/lib/python{version}/site-packages",
        "/opt/python",
        str(runtime.mounts[-1].source),
    ]
    assert [Path(entry).name for entry in path[4:]] == [
        f"python{version.replace('.', '')}.zip",
        f"python{version}",
        "lib-dynload",
    ]


def test_the_runtime_brings_boto3(runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import boto3\ndef handler(event, context): return boto3.__file__")
    boto3 = run(runtime, api, tmp_path, "main.handler")[RESPONSE]
    assert boto3 == str(runtime.mounts[-1].source / "boto3" / "__init__.py")


def test_a_package_that_the_function_brings_wins_over_the_runtimes(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "boto3.py").write_text("mine = 'my own boto3'")
    (tmp_path / "main.py").write_text("import boto3\ndef handler(event, context): return boto3.mine")
    assert run(runtime, api, tmp_path, "main.handler") == {RESPONSE: "my own boto3"}


def test_what_the_host_has_installed_for_the_interpreter_is_not_there(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(
        "import importlib.util\ndef handler(event, context): return importlib.util.find_spec('pip') is None"
    )
    assert run(runtime, api, tmp_path, "main.handler") == {RESPONSE: True}


def test_the_runtime_is_compiled_when_it_is_installed(runtime: InstalledRuntime) -> None:
    packages = runtime.mounts[-1].source
    tag = "cpython-" + runtime.identifier.removeprefix("python").replace(".", "")
    assert (packages / "awslambdaric" / "__pycache__" / f"bootstrap.{tag}.pyc").is_file()
    assert (packages / "__pycache__" / f"bootstrap.{tag}.pyc").is_file()


def test_everyone_may_read_what_is_installed(runtime: InstalledRuntime) -> None:
    for folder, _, files in os.walk(runtime.mounts[-1].source):
        assert Path(folder).stat().st_mode & 0o777 == 0o755
        for file in files:
            assert Path(folder, file).stat().st_mode & 0o777 in {0o644, 0o755}


def test_an_installation_that_was_killed_leaves_nothing_behind_after_the_next(tmp_path: Path) -> None:
    family = PythonFamily(tmp_path)
    identifier = next(iter(family.interpreters()))
    (tmp_path / identifier / ".making-abandoned" / "half").mkdir(parents=True)
    installed = family.install(identifier)
    assert list((tmp_path / identifier).iterdir()) == [installed.mounts[-1].source]


def test_a_runtime_that_is_installed_is_found_by_the_next_process_without_installing(
    runtime: InstalledRuntime, cache: Path
) -> None:
    no_pip = PythonFamily(cache, pip=Path("/nowhere/python"))
    assert no_pip.find(runtime.identifier) == runtime
