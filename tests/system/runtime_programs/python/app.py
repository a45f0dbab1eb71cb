import importlib
import logging
import os
import time
from pathlib import Path
from typing import Any

if os.environ.get("INIT") == "fail":
    raise TypeError("no init")


def context_of(context: Any) -> dict[str, object]:
    client = context.client_context
    return {
        "request_id": context.aws_request_id,
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "memory": int(context.memory_limit_in_mb),
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "in_time": 0 < context.get_remaining_time_in_millis() <= 10000,
        "client": client and {"custom": client.custom},
    }


def count() -> int:
    with Path("/tmp/count").open("a+") as file:
        file.write("x")
        return file.tell()


def fail() -> None:
    raise LookupError("boom")


def handler(event: dict[str, Any], context: object) -> object:
    return {
        "echo": lambda: event["value"],
        "environment": lambda: {name: os.environ.get(name) for name in event["names"]},
        "context": lambda: context_of(context),
        "fail": fail,
        "exit": lambda: os._exit(7),
        "sleep": lambda: time.sleep(60),
        "log": lambda: logging.getLogger().warning(event["text"]),
        "count": count,
        "layer": lambda: importlib.import_module("from_a_layer").VALUE,
    }[event["do"]]()
