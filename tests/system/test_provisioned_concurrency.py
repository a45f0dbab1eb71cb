"""Provisioned concurrency on a whole server: environments initialised ahead, kept, moved with their alias, given back."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from system.node import Server, package, until

CODE = """
import os, time
BORN, PID = time.time(), os.getpid()
KIND = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return {"kind": KIND, "born": BORN, "version": context.function_version, "stream": context.log_stream_name}
"""
MORTAL = """
import os, signal, threading, time

def handler(event, context):
    if event.get("die"):
        threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return {"kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "stream": context.log_stream_name}
"""
BROKEN = "raise RuntimeError('no')\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("provisioned") / "data").start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def published(server: Server, name: str, code: str = CODE) -> str:
    server.deploy(name, code, Timeout=30)
    return publish(server, name)


def publish(server: Server, name: str) -> str:
    client = server.functions
    number = client.publish_version(FunctionName=name)["Version"]
    client.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier=number, WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    return number


def update(server: Server, name: str, code: str) -> str:
    client = server.functions
    client.update_function_code(FunctionName=name, ZipFile=package(code))
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    return publish(server, name)


def provision(server: Server, name: str, qualifier: str, executions: int) -> None:
    server.functions.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=executions
    )


def config(server: Server, name: str, qualifier: str) -> dict[str, Any]:
    answer = server.functions.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)
    return {member: value for member, value in answer.items() if member not in {"ResponseMetadata", "LastModified"}}


def come_to(server: Server, name: str, qualifier: str, status: str = "READY") -> dict[str, Any]:
    until(lambda: config(server, name, qualifier)["Status"] == status, 90)
    return config(server, name, qualifier)


def told(executions: int, status: str = "READY") -> dict[str, Any]:
    return {
        "RequestedProvisionedConcurrentExecutions": executions,
        "AvailableProvisionedConcurrentExecutions": executions,
        "AllocatedProvisionedConcurrentExecutions": executions,
        "Status": status,
    }


def call(server: Server, name: str, qualifier: str, seconds: float = 0) -> dict[str, Any]:
    answer: dict[str, Any] = server.invoke(name, {"seconds": seconds}, Qualifier=qualifier).payload
    return answer


def burst(server: Server, name: str, qualifier: str, count: int, seconds: float) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda _: call(server, name, qualifier, seconds), range(count)))


def test_ten_provisioned_serve_a_burst_of_ten_that_waits_for_no_init_and_what_is_more_goes_on_demand(
    server: Server,
) -> None:
    published(server, "ten")
    provision(server, "ten", "1", 10)
    assert come_to(server, "ten", "1") == told(10)
    before = time.time()
    answers = burst(server, "ten", "1", 10, 3)
    assert {answer["kind"] for answer in answers} == {"provisioned-concurrency"}
    assert len({answer["stream"] for answer in answers}) == 10
    assert all(answer["born"] < before for answer in answers)
    kinds = [answer["kind"] for answer in burst(server, "ten", "1", 12, 3)]
    assert (kinds.count("provisioned-concurrency"), kinds.count("on-demand")) == (10, 2)
    server.functions.delete_provisioned_concurrency_config(FunctionName="ten", Qualifier="1")
    until(lambda: call(server, "ten", "1")["kind"] == "on-demand")


def metric(server: Server, name: str, statistic: str, **of: str) -> float:
    """Of the last minutes, as one number; 0 without a point."""
    dimensions = [{"Name": key, "Value": value} for key, value in of.items()]
    what = {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": dimensions}
    now = datetime.now(UTC)
    answer = server.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "q", "MetricStat": {"Metric": what, "Period": 3600, "Stat": statistic}}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=2),
    )
    values: list[float] = answer["MetricDataResults"][0]["Values"]
    return sum(values)


def test_cloudwatch_tells_what_ran_on_provisioned_environments_what_spilled_over_and_what_share_was_used(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path / "data").start()  # of its own: what is claimed is told of the account as a whole
    name = "measured"
    published(server, name)
    server.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    provision(server, name, "live", 4)
    come_to(server, name, "live")
    of_alias = {"FunctionName": name, "Resource": f"{name}:live"}

    assert {answer["kind"] for answer in burst(server, name, "live", 2, 3)} == {"provisioned-concurrency"}
    until(lambda: metric(server, "Invocations", "Sum", **of_alias) == 2)
    assert metric(server, "ProvisionedConcurrencyInvocations", "Sum", **of_alias) == 2
    assert metric(server, "ProvisionedConcurrencySpilloverInvocations", "Sum", **of_alias) == 0
    assert metric(server, "ProvisionedConcurrentExecutions", "Maximum", **of_alias) == 2
    assert metric(server, "ProvisionedConcurrencyUtilization", "Maximum", **of_alias) == 0.5
    assert metric(server, "UnreservedConcurrentExecutions", "Maximum") == 0
    assert metric(server, "ClaimedAccountConcurrency", "Maximum") == 4

    kinds = [answer["kind"] for answer in burst(server, name, "live", 6, 3)]
    assert (kinds.count("provisioned-concurrency"), kinds.count("on-demand")) == (4, 2)
    until(lambda: metric(server, "Invocations", "Sum", **of_alias) == 8)
    for of in (of_alias, {"FunctionName": name}):
        assert metric(server, "ProvisionedConcurrencyInvocations", "Sum", **of) == 6
        assert metric(server, "ProvisionedConcurrencySpilloverInvocations", "Sum", **of) == 2
        assert metric(server, "ProvisionedConcurrentExecutions", "Maximum", **of) == 4
        assert metric(server, "ProvisionedConcurrencyUtilization", "Maximum", **of) == 1
    assert metric(server, "ConcurrentExecutions", "Maximum", **of_alias) == 6
    assert metric(server, "UnreservedConcurrentExecutions", "Maximum") == 2
    assert metric(server, "ClaimedAccountConcurrency", "Maximum") == 6
    assert server.stop() == 0


def inits(server: Server, name: str) -> int:
    """Environments of the function that have begun their life."""
    return sum("INIT_START" in line for line in server.log_lines(f"/aws/lambda/{name}"))


def test_one_that_dies_while_it_is_idle_is_replaced(server: Server) -> None:
    published(server, "killed", MORTAL)
    provision(server, "killed", "1", 1)
    come_to(server, "killed", "1")
    first = call(server, "killed", "1")["stream"]

    def dies() -> bool:
        """It may be frozen before it dies; then it dies in the next call, and is tried again."""
        server.invoke("killed", {"die": True}, Qualifier="1")
        try:
            return until(lambda: inits(server, "killed") > 1, 5)
        except AssertionError:
            return False

    until(dies, 60)
    come_to(server, "killed", "1")
    again = call(server, "killed", "1")
    assert (again["kind"], again["stream"] == first) == ("provisioned-concurrency", False)


def test_an_alias_is_moved_without_a_gap(server: Server) -> None:
    published(server, "moved")
    client = server.functions
    client.create_alias(FunctionName="moved", Name="live", FunctionVersion="1")
    provision(server, "moved", "live", 2)
    come_to(server, "moved", "live")
    number = update(server, "moved", CODE.replace("import os, time", "import os, time\ntime.sleep(1)"))
    client.update_alias(FunctionName="moved", Name="live", FunctionVersion=number)
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["version"] != number:
        seen.append(call(server, "moved", "live"))
    assert {answer["kind"] for answer in seen} == {"provisioned-concurrency"}
    assert seen[0]["version"] == "1"
    assert come_to(server, "moved", "live") == told(2)
    until(lambda: call(server, "moved", "1")["kind"] == "on-demand")


def test_an_init_that_fails_is_told_and_mended_by_a_version_that_works(server: Server) -> None:
    published(server, "broken", BROKEN)
    client = server.functions
    client.create_alias(FunctionName="broken", Name="live", FunctionVersion="1")
    provision(server, "broken", "live", 1)
    failed = come_to(server, "broken", "live", "FAILED")
    assert (failed["StatusReason"], failed["AllocatedProvisionedConcurrentExecutions"]) == (
        "FUNCTION_ERROR_INIT_FAILURE",
        0,
    )
    number = update(server, "broken", CODE)
    client.update_alias(FunctionName="broken", Name="live", FunctionVersion=number)
    assert come_to(server, "broken", "live") == told(1)


def test_it_is_allocated_again_when_the_server_starts_after_being_killed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = tmp_path_factory.mktemp("restart") / "data"
    server = Server(data).start()
    published(server, "back")
    provision(server, "back", "1", 2)
    come_to(server, "back", "1")
    server.stop(signal.SIGKILL)
    server = Server(data).start()
    assert come_to(server, "back", "1") == told(2)
    assert call(server, "back", "1")["kind"] == "provisioned-concurrency"
    limit = server.functions.get_account_settings()["AccountLimit"]
    assert limit["UnreservedConcurrentExecutions"] == 998
    assert server.stop() == 0


def test_a_target_that_is_registered_above_what_is_provisioned_is_scaled_to_its_minimum(server: Server) -> None:
    published(server, "scaled")
    provision(server, "scaled", "1", 1)
    scaling = server.client("application-autoscaling")
    what = {
        "ServiceNamespace": "lambda",
        "ResourceId": "function:scaled:1",
        "ScalableDimension": "lambda:function:ProvisionedConcurrency",
    }
    scaling.register_scalable_target(**what, MinCapacity=2, MaxCapacity=4)
    until(lambda: config(server, "scaled", "1")["RequestedProvisionedConcurrentExecutions"] == 2)
    assert come_to(server, "scaled", "1") == told(2)
    scaling.put_scheduled_action(
        **what,
        ScheduledActionName="soon",
        Schedule=f"at({time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time.time() + 2))})",
        ScalableTargetAction={"MinCapacity": 3},
    )
    until(lambda: config(server, "scaled", "1")["RequestedProvisionedConcurrentExecutions"] == 3)
    causes = {
        each["Cause"] for each in scaling.describe_scaling_activities(ServiceNamespace="lambda")["ScalingActivities"]
    }
    assert {"minimum capacity was set to 2", "minimum capacity was set to 3"} < causes
    scaling.deregister_scalable_target(**what)
    assert scaling.describe_scheduled_actions(ServiceNamespace="lambda")["ScheduledActions"] == []
