"""Functions that take all they can get: processes, memory, disk, descriptors, log. They end; nobody else notices."""

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from security.prison import PRISONER, Prison, status_of
from system.node import Answer, Server, until


@pytest.fixture
def bomb(server: Server, neighbour: str) -> Iterator[Prison]:
    """A prisoner of its own: what it leaves behind goes with it."""
    name = server.deploy(f"bomb-{uuid.uuid4().hex[:8]}", PRISONER, Timeout=3, MemorySize=256)
    yield Prison(server, name)
    assert server.invoke(neighbour, "still").payload == ["neighbour", "still"]
    server.functions.delete_function(FunctionName=name)
    assert "Traceback" not in server.log.read_text()


def _meanwhile(attempt: Callable[[], Answer], server: Server, neighbour: str) -> tuple[Answer, list[float]]:
    """The answer of the bomb, and how long each invocation of the neighbour took while it went off."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(attempt()))
    thread.start()
    took = []
    while thread.is_alive():
        began = time.monotonic()
        assert server.invoke(neighbour, 1).payload == ["neighbour", 1]
        took.append(time.monotonic() - began)
    thread.join()
    return answers[0], took


def descendants(pid: int) -> list[int]:
    """Of a process; those that end meanwhile are left out."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found[1:]


def _report(server: Server, answer: Answer, name: str) -> str:
    def lines() -> list[str]:
        return [
            line
            for line in server.log_lines(f"/aws/lambda/{name}")
            if line.startswith(f"REPORT RequestId: {answer.request_id}")
        ]

    return until(lines)[0]


FORKS = """
import time
while True:
    try:
        pid = os.fork()
    except OSError:
        time.sleep(0.01)
        continue
    if pid == 0:
        os.setsid()
"""


def test_a_fork_bomb_times_out_while_a_neighbour_is_served_and_leaves_no_process(
    bomb: Prison, server: Server, neighbour: str
) -> None:
    bomb.result("result = 1")
    server.invoke(neighbour)
    before = len(descendants(server.process.pid))
    answer, took = _meanwhile(lambda: bomb.attempt(FORKS), server, neighbour)
    assert answer.payload["errorType"] in {"Sandbox.Timedout", "Runtime.ExitError"}
    assert max(took) < 3
    # Hundreds were there; environments of the neighbour's come and go meanwhile.
    until(lambda: len(descendants(server.process.pid)) < before + 15, seconds=10)
    assert bomb.result("result = 'again'") == "again"


def test_processes_that_outlive_the_answer_are_gone_with_the_environment(bomb: Prison, server: Server) -> None:
    before = len(descendants(server.process.pid))
    code = """
import subprocess
for _ in range(50):
    subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
result = 50
"""
    assert bomb.result(code) == 50
    assert len(descendants(server.process.pid)) >= before + 50
    server.functions.update_function_configuration(FunctionName=bomb.name, Description="another")
    server.functions.get_waiter("function_updated_v2").wait(
        FunctionName=bomb.name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    until(lambda: len(descendants(server.process.pid)) < before + 15)


def test_a_memory_bomb_is_killed_and_reported(bomb: Prison, server: Server, neighbour: str) -> None:
    code = "kept = []\nwhile True:\n    kept.append(bytearray(b'x') * (8 << 20))\n"
    answer, took = _meanwhile(lambda: bomb.attempt(code), server, neighbour)
    assert (answer.error, answer.payload) == (
        "Unhandled",
        {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {answer.request_id} Error: Runtime exited with error: signal: killed",
        },
    )
    report = _report(server, answer, bomb.name)
    assert "Memory Size: 256 MB\tMax Memory Used: 256 MB\t" in report
    assert "Status: error\tError Type: Runtime.ExitError" in report
    assert max(took) < 3
    assert bomb.result("result = 'again'") == "again"


def test_memory_that_children_take_counts_too(bomb: Prison) -> None:
    code = """
import subprocess, sys
eats = "kept = []\\nwhile True: kept.append(bytearray(b'x') * (8 << 20))"
result = subprocess.run([sys.executable, "-c", eats]).returncode
"""
    answer = bomb.attempt(code)
    # The kernel ends the child alone, or the whole box with it.
    assert answer.payload == -9 or answer.payload["errorType"] == "Runtime.ExitError"
    assert bomb.result("result = 'again'") == "again"


def test_tmp_ends_with_no_space_left_and_the_hosts_disk_does_not_notice(bomb: Prison, server: Server) -> None:
    before = shutil.disk_usage(server.data).free
    code = """
import glob
def fill():
    piece = bytes(4 << 20)
    for number in range(1_000):
        with open(f"/tmp/{number}", "wb") as file:
            for _ in range(16):
                file.write(piece)
result = tried(fill), sum(os.path.getsize(name) for name in glob.glob("/tmp/*"))
for name in glob.glob("/tmp/*"):
    os.unlink(name)
"""
    big = server.deploy("fills-tmp", PRISONER, Timeout=30, MemorySize=1024, EphemeralStorage={"Size": 512})
    why, size = Prison(server, big).result(code)
    assert (why, 480 << 20 < size <= 512 << 20) == ("ENOSPC", True)
    assert abs(shutil.disk_usage(server.data).free - before) < 64 << 20


def test_a_million_empty_files_end_somewhere(bomb: Prison) -> None:
    code = """
def fill():
    for number in range(10_000_000):
        os.mkdir(f"/tmp/{number}")
result = tried(fill)
"""
    answer = bomb.attempt(code)
    ended = answer.payload if answer.error is None else answer.payload["errorType"]
    assert ended in {"ENOSPC", "ENOMEM", "Sandbox.Timedout", "Runtime.ExitError"}


def test_descriptors_end_at_the_limit_and_the_answer_still_goes_out(bomb: Prison) -> None:
    code = """
kept = []
def take():
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
why = tried(take)
for descriptor in kept:
    os.close(descriptor)
result = [why, 900 < len(kept) <= 1024]
"""
    assert bomb.result(code) == ["EMFILE", True]


def test_a_runtime_without_a_descriptor_left_ends_its_invocation_and_the_next_one_works(bomb: Prison) -> None:
    code = "kept = []\nimport builtins\nbuiltins.kept = kept\nwhile True:\n    kept.append(os.open('/dev/null', os.O_RDONLY))\n"
    answer = bomb.attempt(code)
    assert answer.error == "Unhandled"
    until(lambda: bomb.attempt("result = 'again'").error is None)


def test_a_flood_of_output_does_not_fill_the_server_and_a_neighbour_is_served(
    server: Server, neighbour: str, prison: Prison
) -> None:
    name = server.deploy("floods", PRISONER, Timeout=60, MemorySize=256)
    before = status_of(server, "VmHWM")
    code = "line = 'x' * 1023\nfor _ in range(50 * 1024):\n    print(line)\nresult = 'done'"
    answer, took = _meanwhile(lambda: Prison(server, name).attempt(code), server, neighbour)
    assert answer.payload == "done"
    assert max(took) < 5
    assert status_of(server, "VmHWM") - before < 150 * 1024


def test_a_line_without_an_end_does_not_fill_the_server(bomb: Prison, server: Server) -> None:
    before = status_of(server, "VmHWM")
    code = "piece = b'y' * (1 << 20)\nfor _ in range(50):\n    os.write(1, piece)\nresult = 'done'"
    answer = bomb.attempt(code)
    assert answer.error is None or answer.payload["errorType"] == "Sandbox.Timedout"
    assert status_of(server, "VmHWM") - before < 100 * 1024


def test_garbage_on_the_telemetry_descriptor_costs_only_itself(bomb: Prison) -> None:
    code = """
import random
chance = random.Random(7)
for _ in range(200):
    os.write(3, chance.randbytes(chance.randrange(1, 4096)))
os.write(3, bytes.fromhex("a55a0003") + (0xFFFFFFFF).to_bytes(4, "big") + bytes(8) + b"a frame that lies about its length")
os.close(3)
result = "done"
"""
    assert bomb.result(code) == "done"
    assert bomb.result("result = 'again'") == "again"


def test_closing_every_descriptor_hurts_nobody_else(bomb: Prison) -> None:
    bomb.attempt("os.closerange(0, 1024)\nresult = 1")
    until(lambda: bomb.attempt("result = 'again'").error is None)


def test_many_invocations_at_once_of_a_function_that_hangs_leave_room_for_others(
    bomb: Prison, server: Server, neighbour: str
) -> None:
    threads = [threading.Thread(target=bomb.attempt, args=("import time\nwhile True: pass",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    took = []
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        assert server.invoke(neighbour, 2).payload == ["neighbour", 2]
        took.append(time.monotonic() - began)
    assert max(took) < 10
