"""The Ruby runtime as functions meet it: the machine's Ruby, whatever its version, and a small Runtime API."""

import json
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parts.small_runtime_api import RESPONSE, RuntimeApi, runtime_api
from pasture.runtimes.kinds.ruby import VERSIONS, RubyFamily
from pasture.runtimes.spec import InstalledRuntime

ERROR = RESPONSE.replace("/response", "/error")
# AWS has no runtime for the first; the client is the same for all.
RUN_HERE = ("3.1", *VERSIONS)
FRAME = struct.Struct(">IIQ")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> InstalledRuntime:
    family = RubyFamily(tmp_path_factory.mktemp("runtimes"), versions=RUN_HERE)
    found = next(iter(family.interpreters()), None)
    if found is None:
        pytest.skip("there is no Ruby of a version that the client is for on this machine")
    return family.install(found)


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    with runtime_api() as api:
        yield api


def run(
    runtime: InstalledRuntime, api: RuntimeApi, task: Path, code: str, handler: str = "app.handler", **more: str
) -> tuple[dict[str, Any], list[str]]:
    """What the runtime posted, by path, and what it logged, frame by frame."""
    (task / "app.rb").write_text(code)
    reading, writing = os.pipe()
    environment = {
        "AWS_LAMBDA_RUNTIME_API": api.address, "LAMBDA_TASK_ROOT": str(task), "_HANDLER": handler, "PATH": os.environ["PATH"],
        "_LAMBDA_TELEMETRY_LOG_FD": str(writing), "AWS_LAMBDA_FUNCTION_NAME": "f", **more,
    }  # fmt: skip
    bootstrap = runtime.mounts[-1].source / "bootstrap.rb"
    process = subprocess.Popen([runtime.location, bootstrap], env=environment, cwd=task, pass_fds=(writing,))
    os.close(writing)
    try:
        assert api.done.wait(30)
    finally:
        process.kill()
        process.wait()
    with os.fdopen(reading, "rb") as frames:
        return api.received, list(_messages(frames.read()))


def _messages(frames: bytes) -> Iterator[str]:
    while frames:
        kind, size, _ = FRAME.unpack(frames[: FRAME.size])
        assert kind & 0xFFFFFFE0 == 0xA55A0000
        yield frames[FRAME.size : FRAME.size + size].decode()
        frames = frames[FRAME.size + size :]


def test_a_handler_gets_its_event_and_its_context(runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path) -> None:
    code = "def handler(event:, context:) = [event, context.function_name, context.get_remaining_time_in_millis > 0]"
    api.event = {"é": "€"}
    received, _ = run(runtime, api, tmp_path, code)
    assert received == {RESPONSE: [{"é": "€"}, "f", True]}


def test_a_handler_may_be_a_method_of_a_class_in_a_module(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    code = "module Farm; class Cow; def self.moo(event:, context:) = 'moo'; end; end"
    assert run(runtime, api, tmp_path, code, "app.Farm::Cow.moo")[0] == {RESPONSE: "moo"}


def test_an_error_has_aws_shape_and_leaves_the_clients_own_lines_out(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    code = "def handler(event:, context:)\n  raise KeyError, 'boom'\nend"
    received, logged = run(runtime, api, tmp_path, code)
    assert received == {
        ERROR: {
            "errorMessage": "boom",
            "errorType": "Function<KeyError>",
            "stackTrace": [f"{tmp_path}/app.rb:2:in `handler'"],
        }
    } or received[ERROR]["stackTrace"] == [f"{tmp_path}/app.rb:2:in 'Object#handler'"]  # as Ruby 3.4 says it
    assert logged[0].startswith('Error raised from handler method\n{\n  "errorMessage": "boom"')


@pytest.mark.parametrize(
    ("code", "handler", "error_type", "words"),
    [
        ("raise TypeError, 'no init'", "app.handler", "Init<TypeError>", "no init"),
        ("def broken(", "app.handler", "Init<SyntaxError>", "app.rb"),
        ("require 'nowhere'", "app.handler", "Init<LoadError>", "cannot load such file -- nowhere"),
        ("", "app.handler", "Init<NameError>", "undefined method 'handler'"),
        ("", "app.Nobody.handler", "Init<NameError>", "uninitialized constant Nobody"),
        ("", "app", "Init<ArgumentError>", "Invalid handler app, must be of form FILENAME.METHOD"),
    ],
)
def test_what_cannot_be_loaded_is_an_init_error(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path, code: str, handler: str, error_type: str, words: str
) -> None:
    received, _ = run(runtime, api, tmp_path, code, handler)
    assert list(received) == ["/init/error"]
    assert (received["/init/error"]["errorType"], words in received["/init/error"]["errorMessage"]) == (
        error_type,
        True,
    )


LOGGING = """
require 'logger'
LOGGER = Logger.new($stdout)
def handler(event:, context:)
  puts "one\\ntwo"
  LOGGER.warn("three\\nfour")
  Logger.new('/dev/null').warn('elsewhere')
  nil
end
"""


def test_messages_of_several_lines_stay_together(runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path) -> None:
    printed, logged = run(runtime, api, tmp_path, LOGGING)[1]
    assert printed == "one\ntwo\n"
    assert logged.startswith("W, [")
    assert logged.endswith("  WARN 8476a536-e9f4-11e8-9739-2dfe598c3fcd -- : three\nfour\n")


def test_in_json_a_logger_writes_objects_of_the_level_that_is_asked_for(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    code = LOGGING.replace("  puts", "  LOGGER.info('too little')\n  puts")
    messages = run(runtime, api, tmp_path, code, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="WARN")[1]
    said = json.loads(messages[1])
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "level": "WARN", "message": "three\nfour", "requestId": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
    }  # fmt: skip
    assert len(messages) == 2


def test_what_is_read_like_a_file_is_the_answer_as_it_is(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    code = "require 'stringio'\ndef handler(event:, context:) = StringIO.new('[1, 2]')"
    assert run(runtime, api, tmp_path, code)[0] == {RESPONSE: [1, 2]}
