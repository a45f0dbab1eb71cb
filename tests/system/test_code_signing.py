"""Code signing on a whole server: `pasture signer` signs, boto3 deploys, and what was signed runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fakes import s3
from system.node import ROLE, RUNTIME, Server, package, until

CODE = "def handler(event, context):\n    return 'signed'\n"
ENFORCE: Any = {"UntrustedArtifactOnDeployment": "Enforce"}


class Desk:
    """The command line, at the server's data directory or at another."""

    def __init__(self, server: Server, directory: Path, data: Path | None = None) -> None:
        self._data = data or server.data
        self._directory = directory

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "pasture", "signer", *arguments, "--data-dir", str(self._data)]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=self._directory).stdout.strip()

    def profile(self, name: str) -> str:
        return self.run("create-profile", name)

    def sign(self, code: bytes, profile: str) -> bytes:
        (self._directory / "in.zip").write_bytes(code)
        self.run("sign", "--profile", profile, "in.zip", "out.zip")
        return (self._directory / "out.zip").read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "data").start()
    yield running
    running.stop()


def config(client: Any, *publishers: str, **more: Any) -> str:
    answer = client.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": list(publishers)},
        **{"CodeSigningPolicies": ENFORCE, **more},
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    arn: str = answer["CodeSigningConfig"]["CodeSigningConfigArn"]
    return arn


def create(client: Any, name: str, code: bytes, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.create_function(
        FunctionName=name, Runtime=RUNTIME, Handler="app.handler", Role=ROLE, Code={"ZipFile": code}, **more
    )
    return answer


def refusal(call: Any, **request: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as failure:
        call(**request)
    said = failure.value.response
    return said["ResponseMetadata"]["HTTPStatusCode"], said["Error"]["Code"], said["Error"]["Message"]


def test_what_is_signed_is_deployed_and_runs_and_what_is_not_is_refused(server: Server, tmp_path: Path) -> None:
    desk, client = Desk(server, tmp_path), server.functions
    profile = desk.profile("builds")
    arn = config(client, profile)
    signed = desk.sign(package(CODE), "builds")
    answer = create(client, "f", signed, CodeSigningConfigArn=arn)
    assert answer["SigningProfileVersionArn"] == profile
    client.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    assert server.invoke("f").payload == "signed"

    tampered = signed.replace(b"app.py", b"apq.py")
    update = client.update_function_code
    assert refusal(update, FunctionName="f", ZipFile=tampered)[:2] == (400, "InvalidCodeSignatureException")
    status, code, message = refusal(update, FunctionName="f", ZipFile=package("x = 1\n"), DryRun=True)
    assert (status, code) == (400, "CodeVerificationFailedException")
    assert message.endswith(f"Check the provided signature for {answer['FunctionArn']}.")

    desk.run("revoke-profile", "builds", "--reason", "stolen")
    assert "has been revoked" in refusal(update, FunctionName="f", ZipFile=signed)[2]
    assert server.invoke("f").payload == "signed"


def test_a_profile_of_a_machine_that_only_signs(server: Server, tmp_path: Path) -> None:
    """Its private key has never been on the server."""
    builder, client = Desk(server, tmp_path, tmp_path / "builder"), server.functions
    profile = builder.profile("builds")
    (tmp_path / "builds.json").write_text(builder.run("export-profile", "builds"))
    arn = config(client, profile)
    signed = builder.sign(package(CODE), "builds")
    status, code, _ = refusal(lambda **_: create(client, "f", signed, CodeSigningConfigArn=arn))
    assert (status, code) == (400, "CodeVerificationFailedException")
    Desk(server, tmp_path).run("import-profile", "builds.json")
    assert create(client, "f", signed, CodeSigningConfigArn=arn)["SigningProfileVersionArn"] == profile
    assert not list((server.data / "signer").glob("keys/*"))


def test_a_warning_is_in_the_servers_log_and_layers_are_judged_too(server: Server, tmp_path: Path) -> None:
    desk, client = Desk(server, tmp_path), server.functions
    profile = desk.profile("builds")
    warns = config(client, profile, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"})
    create(client, "w", package(CODE), CodeSigningConfigArn=warns)
    until(lambda: "SignatureValidationErrors: " in server.log.read_text())
    counted = server.client("cloudwatch").list_metrics(
        MetricName="SignatureValidationErrors", Dimensions=[{"Name": "FunctionName", "Value": "w"}]
    )
    assert len(counted["Metrics"]) == 1
    layers = [
        client.publish_layer_version(LayerName=name, Content={"ZipFile": code})
        for name, code in (("good", desk.sign(package("g = 1\n"), "builds")), ("bad", package("b = 1\n")))
    ]
    assert layers[0]["Content"]["SigningProfileVersionArn"] == profile
    good, bad = (layer["LayerVersionArn"] for layer in layers)
    signed, enforces = desk.sign(package(CODE), "builds"), config(client, profile)
    status, code, message = refusal(
        lambda **_: create(client, "f", signed, CodeSigningConfigArn=enforces, Layers=[good, bad])
    )
    assert (status, code) == (400, "CodeVerificationFailedException")
    assert message.endswith("Check the provided signature for f.")
    create(client, "f", signed, CodeSigningConfigArn=enforces, Layers=[good])


def test_every_operation_answers_through_boto3(server: Server) -> None:
    client = server.functions
    publisher = "arn:aws:signer:us-east-1:111122223333:/signing-profiles/theirs/0123456789"
    arn = config(client, publisher, Description="d", Tags={"a": "1"})
    shown = client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
    assert (shown["Description"], shown["CodeSigningPolicies"]) == ("d", ENFORCE)
    shown = client.update_code_signing_config(CodeSigningConfigArn=arn, Description="e")["CodeSigningConfig"]
    assert client.list_code_signing_configs()["CodeSigningConfigs"] == [shown]
    client.tag_resource(Resource=arn, Tags={"b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}

    server.deploy("f", CODE)
    attached = client.put_function_code_signing_config(FunctionName="f", CodeSigningConfigArn=arn)
    assert (attached["FunctionName"], attached["CodeSigningConfigArn"]) == ("f", arn)
    assert client.get_function_code_signing_config(FunctionName="f")["CodeSigningConfigArn"] == arn
    [function] = client.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"]
    assert function == "arn:aws:lambda:us-east-1:000000000000:function:f"
    status, code, _ = refusal(client.delete_code_signing_config, CodeSigningConfigArn=arn)
    assert (status, code) == (409, "ResourceConflictException")
    detached = client.delete_function_code_signing_config(FunctionName="f")
    assert detached["ResponseMetadata"]["HTTPStatusCode"] == 204
    empty: dict[str, Any] = dict(client.get_function_code_signing_config(FunctionName="f"))
    assert empty.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert empty == {}
    assert client.delete_code_signing_config(CodeSigningConfigArn=arn)["ResponseMetadata"]["HTTPStatusCode"] == 204
    status, code, message = refusal(client.get_code_signing_config, CodeSigningConfigArn=arn)
    assert (status, code) == (404, "ResourceNotFoundException")
    assert message == f"The Lambda code signing configuration {arn} can not be found."
    put = client.put_function_code_signing_config
    assert refusal(put, FunctionName="f", CodeSigningConfigArn=arn)[:2] == (404, "CodeSigningConfigNotFoundException")


def test_a_policy_says_who_may_attach_which_configuration_and_accounts_are_apart(
    server: Server, tmp_path: Path
) -> None:
    one, other = (
        config(server.functions, "arn:aws:signer:us-east-1:111122223333:/signing-profiles/x1/0123456789") for _ in "ab"
    )
    server.deploy("f", CODE)
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": ["lambda:CreateFunction", "lambda:PutFunctionCodeSigningConfig"],
                "Resource": "*",
                "Condition": {"StringNotEquals": {"lambda:CodeSigningConfigArn": one}},
            },
        ],
    }
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    limited = server.client("lambda", **key(server, "--policy", str(tmp_path / "policy.json")))
    status, code, _ = refusal(limited.put_function_code_signing_config, FunctionName="f", CodeSigningConfigArn=other)
    assert (status, code) == (403, "AccessDeniedException")
    limited.put_function_code_signing_config(FunctionName="f", CodeSigningConfigArn=one)
    foreign = server.client("lambda", **key(server, "--account", "111122223333"))
    assert refusal(foreign.get_code_signing_config, CodeSigningConfigArn=one)[:2] == (403, "AccessDeniedException")
    assert foreign.list_code_signing_configs()["CodeSigningConfigs"] == []


def key(server: Server, *options: str) -> dict[str, str]:
    command = [sys.executable, "-m", "pasture", "keys", "create", "--output", "json", "--data-dir", str(server.data)]
    made = json.loads(subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout)
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def test_what_was_attached_is_there_after_a_kill(server: Server, tmp_path: Path) -> None:
    desk = Desk(server, tmp_path)
    profile = desk.profile("builds")
    arn = config(server.functions, profile)
    create(server.functions, "f", desk.sign(package(CODE), "builds"), CodeSigningConfigArn=arn)
    server.stop(9)
    server.start()
    client = server.functions
    assert client.get_function_code_signing_config(FunctionName="f")["CodeSigningConfigArn"] == arn
    assert client.get_function_configuration(FunctionName="f")["SigningProfileVersionArn"] == profile
    client.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    status, code, _ = refusal(client.update_function_code, FunctionName="f", ZipFile=package("x = 1\n"))
    assert (status, code) == (400, "CodeVerificationFailedException")


def test_code_from_s3_is_held_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.KEYS.items():
        monkeypatch.setenv(name.upper(), value)
    with s3.serving() as url:
        server = Server(tmp_path / "data", "--s3-endpoint", url).start()
        try:
            desk, client, store = Desk(server, tmp_path), server.functions, s3.client(url)
            profile = desk.profile("builds")
            arn, signed = config(client, profile), desk.sign(package(CODE), "builds")
            store.create_bucket(Bucket="code")
            for name, content in (("good", signed), ("bad", package(CODE)), ("ugly", signed.replace(b"app.", b"aqp."))):
                store.put_object(Bucket="code", Key=name, Body=content)
            code: Any = {"S3Bucket": "code", "S3Key": "good"}
            answer = client.create_function(
                FunctionName="f", Runtime=RUNTIME, Handler="app.handler", Role=ROLE, Code=code, CodeSigningConfigArn=arn
            )
            assert answer["SigningProfileVersionArn"] == profile
            client.get_waiter("function_active_v2").wait(
                FunctionName="f", WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
            )
            for dry_run in (True, False):
                update: dict[str, Any] = {"FunctionName": "f", "S3Bucket": "code", "DryRun": dry_run}
                errors = [refusal(client.update_function_code, S3Key=key, **update)[1] for key in ("bad", "ugly")]
                assert errors == ["CodeVerificationFailedException", "InvalidCodeSignatureException"]
                answer = client.update_function_code(S3Key="good", **update)
                assert answer["SigningProfileVersionArn"] == profile
            layer = client.publish_layer_version(LayerName="l", Content=code)
            assert layer["Content"]["SigningProfileVersionArn"] == profile
        finally:
            server.stop()
