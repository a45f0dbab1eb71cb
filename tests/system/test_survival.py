"""What is kept through stops and crashes, and what is left behind: nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from system.node import Answer, Server, processes_with, until

SLEEPER = "import time\ndef handler(event, context):\n    time.sleep(event or 0)\n    return 'slept'\n"


def cgroups_of(data: Path) -> list[Path]:
    import hashlib

    owner = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
    return [path for path in Path("/sys/fs/cgroup").rglob(f"*{owner}*") if path.is_dir()]


def test_a_restart_finds_functions_logs_and_keys(fresh: Server) -> None:
    name = fresh.start().deploy("kept", "def handler(event, context):\n    print('before')\n    return event\n")
    fresh.invoke(name, 1)
    before = fresh.functions.get_function(FunctionName=name)["Configuration"]
    key = fresh.key()
    assert fresh.stop() == 0
    fresh.start()
    after = fresh.functions.get_function(FunctionName=name)["Configuration"]
    assert (after, fresh.key()) == (before, key)
    assert fresh.invoke(name, 2).payload == 2
    lines = fresh.log_lines("/aws/lambda/kept")
    assert sum("before" in line for line in lines) == 2


def test_a_stop_lets_what_runs_finish(fresh: Server) -> None:
    name = fresh.start().deploy("finishes", SLEEPER)
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(fresh.invoke(name, 1.5)))
    caller.start()
    until(lambda: _runs(fresh, name))
    assert fresh.stop() == 0
    caller.join()
    assert [answer.payload for answer in answers] == ["slept"]


def _runs(server: Server, name: str) -> bool:
    return any("START" in line for line in _lines(server, name))


def _lines(server: Server, name: str) -> list[str]:
    try:
        return server.log_lines(f"/aws/lambda/{name}")
    except ClientError:
        return []


def test_a_stop_cuts_off_what_takes_longer_than_the_grace_period(tmp_path: Path) -> None:
    config = tmp_path / "pasture.toml"
    config.write_text("grace_seconds = 0.5\n")
    server = Server(tmp_path / "data", "--config", str(config)).start()
    name = server.deploy("too-long", SLEEPER, Timeout=60)
    errors: list[str] = []

    def call() -> None:
        try:
            server.invoke(name, 50)
        except ClientError as error:
            errors.append(error.response["Error"]["Code"])

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: _runs(server, name))
    assert server.stop() == 0
    caller.join()
    assert errors == ["ServiceException"]


def test_nothing_is_left_behind_by_a_stop(fresh: Server) -> None:
    name = fresh.start().deploy("tidy", "import os\ndef handler(event, context):\n    return os.getpid()\n")
    fresh.invoke(name)
    launchers = children_of(fresh.process.pid)
    assert launchers
    assert fresh.stop() == 0
    assert [pid for pid in launchers if Path(f"/proc/{pid}").exists()] == []
    assert [path for path in cgroups_of(fresh.data) if (path / "cgroup.procs").read_text()] == []
    assert not (fresh.data / "endpoint.json").exists()


def test_kill_9_takes_the_environments_along_and_the_next_start_clears_up(fresh: Server) -> None:
    name = fresh.start().deploy("killed", SLEEPER, Timeout=60)
    cut_off: list[Exception] = []

    def call() -> None:
        with pytest.raises(BotoCoreError) as caught:
            fresh.invoke(name, 50)
        cut_off.append(caught.value)

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: _runs(fresh, name))
    family = descendants_of(fresh.process.pid)
    assert len(family) >= 3  # the launcher, an init, a runtime
    groups = [box for owner in cgroups_of(fresh.data) for box in owner.iterdir() if box.is_dir()]
    fresh.stop(signal.SIGKILL)
    caller.join()
    assert len(cut_off) == 1
    until(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()])
    fresh.start()
    assert [group for group in groups if group.exists()] == []
    assert fresh.invoke(name, 0).payload == "slept"


def test_kill_9_of_the_launcher_costs_only_what_ran_in_it(fresh: Server) -> None:
    name = fresh.start().deploy("orphaned", SLEEPER, Timeout=60)
    assert fresh.invoke(name, 0).payload == "slept"
    for pid in children_of(fresh.process.pid):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: _payload(fresh, name)) == "slept"


def _payload(server: Server, name: str) -> object:
    answer = server.invoke(name, 0)
    return None if answer.error else answer.payload


def test_a_function_created_just_before_kill_9_is_there_and_becomes_active(fresh: Server) -> None:
    from system.node import ROLE, RUNTIME, package

    fresh.start().functions.create_function(
        FunctionName="just-made", Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code={"ZipFile": package(SLEEPER)}
    )
    fresh.stop(signal.SIGKILL)
    fresh.start()
    fresh.functions.get_waiter("function_active_v2").wait(
        FunctionName="just-made", WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    assert fresh.invoke("just-made", 0).payload == "slept"


def test_a_second_server_on_the_same_data_directory_is_refused(fresh: Server) -> None:
    fresh.start()
    second = subprocess.run(fresh.command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert second.stdout == ""
    assert f"another Pasture (process {fresh.process.pid}) serves the data directory {fresh.data}" in second.stderr


def test_a_port_that_is_taken_is_said_plainly(fresh: Server) -> None:
    fresh.start()
    port = fresh.url.rpartition(":")[2]
    command = [sys.executable, "-m", "pasture", "serve", "--port", port, "--data-dir", str(fresh.data.parent / "other")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use." in second.stderr
    assert "Traceback" not in second.stderr


def test_an_open_door_is_refused_where_others_could_come_in(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pasture", "serve", "--no-auth", "--host", "0.0.0.0", "--data-dir", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "--no-auth is refused on 0.0.0.0" in refused.stderr


def test_idle_environments_are_stopped(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--idle-seconds", "0.3").start()
    name = server.deploy("idles", SLEEPER)
    server.invoke(name)
    try:
        until(lambda: not runtimes_of(server))
        assert server.invoke(name, 0).payload == "slept"
    finally:
        assert server.stop() == 0


def test_new_code_serves_from_the_moment_its_update_is_successful(fresh: Server) -> None:
    from system.node import package

    name = fresh.start().deploy("updated", "def handler(event, context):\n    return 'old'\n")
    assert fresh.invoke(name).payload == "old"
    answer = fresh.functions.update_function_code(
        FunctionName=name, ZipFile=package("def handler(event, context):\n    return 'new'\n")
    )
    assert answer["LastUpdateStatus"] == "InProgress"
    fresh.functions.get_waiter("function_updated_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    assert fresh.invoke(name).payload == "new"
    until(lambda: len(runtimes_of(fresh)) == 1)


def test_a_deleted_function_leaves_no_environment_and_no_package(fresh: Server) -> None:
    name = fresh.start().deploy("deleted", SLEEPER)
    fresh.invoke(name, 0)
    fresh.functions.delete_function(FunctionName=name)
    until(lambda: not runtimes_of(fresh))
    until(lambda: not [path for path in (fresh.data / "blobs").rglob("*") if path.is_file()])


def runtimes_of(server: Server) -> list[int]:
    below = set(descendants_of(server.process.pid))
    return [pid for pid in processes_with("/var/runtime/bootstrap.py") if pid in below]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.glob("*/children") for child in task.read_text().split()]


def descendants_of(pid: int) -> list[int]:
    children = children_of(pid)
    return children + [below for child in children for below in descendants_of(child)]


def test_an_environment_that_is_old_is_replaced_however_busy_it_is(tmp_path: Path) -> None:
    config = tmp_path / "pasture.toml"
    config.write_text("age_seconds = 0.3\n")
    server = Server(tmp_path / "data", "--config", str(config)).start()
    try:
        name = server.deploy(
            "aged", "import uuid\nme = str(uuid.uuid4())\ndef handler(event, context):\n    return me\n"
        )
        first = server.invoke(name).payload
        assert until(lambda: server.invoke(name).payload != first)
    finally:
        assert server.stop() == 0


def test_an_environment_that_has_grown_old_while_idle_is_not_used_again(tmp_path: Path) -> None:
    config = tmp_path / "pasture.toml"
    config.write_text("age_seconds = 0.5\n")
    server = Server(tmp_path / "data", "--config", str(config)).start()
    try:
        name = server.deploy(
            "aged-idle", "import uuid\nme = str(uuid.uuid4())\ndef handler(event, context):\n    return me\n"
        )
        first = server.invoke(name).payload
        time.sleep(0.6)  # what is tested is that it is old by now
        assert server.invoke(name).payload != first
    finally:
        assert server.stop() == 0
