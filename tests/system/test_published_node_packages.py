"""Functions for Node.js whose packages carry published software, unchanged, as `npm install` and `zip` make them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from system.node import ROLE, Server, until
from system.runtime_kinds import NODE, zipped

Packaged = Callable[..., bytes]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    """A package with these files and what npm installs."""

    def make(files: dict[str, bytes], *requirements: str) -> bytes:
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("there is no npm on this machine")
        target = tmp_path_factory.mktemp("npm")
        command = [
            npm,
            "install",
            "--prefix",
            str(target),
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            *requirements,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install {' and '.join(requirements)}: {done.stderr.strip()[-200:]}")
        modules = target / "node_modules"
        found = [path for path in modules.rglob("*") if path.is_file() and not path.is_symlink()]
        return zipped({**files, **{str(path.relative_to(target)): path.read_bytes() for path in found}})

    return make


def deployed(server: Server, name: str, package: bytes) -> str:
    runtime: Any = NODE.runtime().identifier
    server.functions.create_function(
        FunctionName=name, Runtime=runtime, Handler="app.handler", Role=ROLE, MemorySize=512,
        Timeout=20, Code={"ZipFile": package},
    )  # fmt: skip
    waiter = server.functions.get_waiter("function_active_v2")
    waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    return name


LOGGED = b"""
import { Logger } from "@aws-lambda-powertools/logger";
const logger = new Logger({ serviceName: "cows" });
export const handler = async (event, context) => {
  logger.addContext(context);
  logger.info("asked", { cow: event.name });
  return event.name;
};
"""

ROUTED = b"""
const serverlessExpress = require("@codegenie/serverless-express");
const express = require("express");
const app = express();
app.use(express.json());
app.get("/cows/:name", (request, response) => response.set("x-farm", "pasture").json({ cow: request.params.name, loud: request.query.loud }));
app.post("/cows", (request, response) => response.status(201).send(`born: ${request.body.name}`));
exports.handler = serverlessExpress({ app });
"""


def event_of(method: str, path: str, query: str = "", body: object = None) -> dict[str, object]:
    """As a function URL or an HTTP API sends it, in version 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", "host": "farm.example"},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "stage": "$default",
        },
        "body": json.dumps(body) if body is not None else None,
        "isBase64Encoded": False,
    }


def test_powertools_logs_with_the_context_of_the_invocation(server: Server, packaged: Packaged) -> None:
    name = deployed(server, "node-powertools", packaged({"app.mjs": LOGGED}, "@aws-lambda-powertools/logger@2"))
    answer = server.invoke(name, {"name": "berta"})
    assert (answer.error, answer.payload) == (None, "berta")
    lines = until(lambda: [line for line in server.log_lines(f"/aws/lambda/{name}") if '"asked"' in line])
    said = json.loads(lines[0])
    assert (said["cow"], said["service"], said["function_name"], said["function_request_id"], said["cold_start"]) == (
        "berta", "cows", name, answer.request_id, True,
    )  # fmt: skip


def test_an_express_app_answers_through_serverless_express(server: Server, packaged: Packaged) -> None:
    package = packaged({"app.js": ROUTED}, "@codegenie/serverless-express@4", "express@4")
    name = deployed(server, "node-express", package)
    asked = server.invoke(name, event_of("GET", "/cows/berta", "loud=yes")).payload
    assert (asked["statusCode"], json.loads(asked["body"]), asked["headers"]["x-farm"]) == (
        200, {"cow": "berta", "loud": "yes"}, "pasture",
    )  # fmt: skip
    born = server.invoke(name, event_of("POST", "/cows", body={"name": "calf"})).payload
    assert (born["statusCode"], born["body"]) == (201, "born: calf")
