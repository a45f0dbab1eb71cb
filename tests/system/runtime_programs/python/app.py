import os
import time

if os.environ.get("INIT") == "fail":
    raise TypeError("no init")


def context_of(context):
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


def count():
    with open("/tmp/count", "a+") as file:
        file.write("x")
        return file.tell()


def log(text):
    import logging

    logging.getLogger().warning(text)


def layer():
    import from_a_layer

    return from_a_layer.VALUE


def fail():
    raise LookupError("boom")


def handler(event, context):
    return {
        "echo": lambda: event["value"],
        "environment": lambda: {name: os.environ.get(name) for name in event["names"]},
        "context": lambda: context_of(context),
        "fail": fail,
        "exit": lambda: os._exit(7),
        "sleep": lambda: time.sleep(60),
        "log": lambda: log(event["text"]),
        "count": count,
        "layer": layer,
    }[event["do"]]()
