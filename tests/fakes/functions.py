"""Functions, plans and invocations to test with."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

from pasture.domain.function import Code, FunctionVersion, LoggingConfig, State
from pasture.domain.invocation import Invocation
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.environments.plan import Plan, make_plan
from pasture.isolation.spec import Mount
from pasture.runtimes.spec import InstalledRuntime

_ids = itertools.count(1)


def a_version(**changes: Any) -> FunctionVersion:
    version = FunctionVersion(
        scope=Scope(),
        name="f",
        role="arn:aws:iam::000000000000:role/r",
        runtime="python3.12",
        handler="app.handler",
        code=Code("0" * 64, 100),
        revision_id="r1",
        generation="g1",
        last_modified=1_700_000_000.0,
        logging=LoggingConfig("/aws/lambda/f"),
        state=State.ACTIVE,
    )
    return replace(version, **changes)


def a_runtime(**changes: Any) -> InstalledRuntime:
    runtime = InstalledRuntime(
        identifier="python3.12",
        version="3.12.1",
        location=Path("/usr/bin/python3.12"),
        mounts=(Mount(Path("/opt/runtimes/python3.12"), "/var/runtime"),),
        command=("/var/lang/bin/python3.12", "/var/runtime/bootstrap.py"),
        environment={"PYTHONPATH": "/var/runtime"},
    )
    return replace(runtime, **changes)


def a_plan(version: FunctionVersion | None = None, environment: str = "e1", limits: Limits | None = None) -> Plan:
    return make_plan(
        environment, version or a_version(), a_runtime(), Path("/code/f"), "2026/11/23/[$LATEST]abc", limits or Limits()
    )


def an_invocation(payload: bytes = b"{}", **changes: Any) -> Invocation:
    number = next(_ids)
    invocation = Invocation(
        request_id=f"request-{number}",
        function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        payload=payload,
        invocation_id=f"attempt-{number}",
    )
    return replace(invocation, **changes)
