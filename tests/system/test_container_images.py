"""Functions that are container images: pulled from a real registry, run in real sandboxes, called by boto3."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fakes.container_images import (
    DockerRegistry,
    Entry,
    Image,
    Layer,
    a_layer,
    a_registry,
    an_image,
    an_index,
    python_layer,
    write_layout,
)
from fakes.scripted_registry import scripted
from pasture.runtimes.registry import families, machine_architecture
from pasture.settings import default_runtimes_dir
from system.node import ROLE, Server, until

HANDLER = """
import json, os, sys
def handler(event, context):
    if event == "fail":
        raise ValueError("on purpose")
    return {
        "event": event, "cwd": os.getcwd(), "arguments": sys.argv[1:], "uid": os.getuid(), "user": user(),
        "environment": {k: v for k, v in os.environ.items()}, "function": context.function_name,
        "sees": sorted(os.listdir("/")), "writes": writes(), "no_new_privs": status("NoNewPrivs"),
    }
def user():
    import pwd
    return pwd.getpwuid(os.getuid()).pw_name
def status(name):
    return [line.split()[1] for line in open("/proc/self/status") if line.startswith(name)][0]
def writes():
    results = {}
    for path in ("/function/x", "/x", "/tmp/x", "/etc/passwd", "/dev/x", "/proc/sys/kernel/hostname"):
        try:
            open(path, "a").write("x")
            results[path] = "yes"
        except OSError as error:
            results[path] = error.strerror
    return results
"""
SETTINGS: dict[str, Any] = {
    "Entrypoint": ["/usr/bin/python3", "-m", "awslambdaric"],
    "Cmd": ["app.handler"],
    "Env": ["PATH=/usr/bin", "PYTHONPATH=/client", "PYTHONHOME=/usr", "COLOUR=red", "AWS_REGION=nowhere"],
    "WorkingDir": "/function",
    "User": "nobody",
}


@pytest.fixture(scope="module")
def base() -> Layer:
    runtime = f"python3.{sys.version_info.minor}"
    for family in families(default_runtimes_dir()):
        if runtime in family.identifiers():
            installed = family.install(runtime)
            return python_layer(next(mount.source for mount in installed.mounts if mount.target == "/var/runtime"))
    raise AssertionError(runtime)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with a_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, registry: DockerRegistry) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    config = directory / "pasture.toml"
    config.write_text(
        f'image_directories = ["{directory / "images"}"]\nimage_retry_seconds = 0.2\n'
        f'[registries]\n"123456789012.dkr.ecr.us-east-1.amazonaws.com" = "{registry.url}"\n'
    )
    server = Server(directory / "data", "--config", str(config)).start()
    yield server
    server.stop()


def a_function(base: Layer, code: str = HANDLER, *more: Layer, **settings: Any) -> Image:
    return an_image([base, a_layer({"function/": b"", "function/app.py": code}), *more], **{**SETTINGS, **settings})


def create(server: Server, name: str, uri: str, **more: Any) -> Any:
    return server.functions.create_function(
        FunctionName=name, PackageType="Image", Code={"ImageUri": uri}, Role=ROLE, Timeout=10, **more
    )


def deploy(server: Server, name: str, uri: str, **more: Any) -> str:
    create(server, name, uri, **more)
    settled(server, name, "Active")
    return name


def settled(server: Server, name: str, state: str) -> Any:
    def shown() -> Any:
        found = server.functions.get_function_configuration(FunctionName=name)
        return found if found["State"] != "Pending" and found.get("LastUpdateStatus") != "InProgress" else None

    found = until(shown)
    assert found["State"] == state, found
    return found


def test_an_image_runs_with_its_own_settings(server: Server, registry: DockerRegistry, base: Layer) -> None:
    name = deploy(server, "own", registry.push("own", "v1", a_function(base)))
    answer = server.invoke(name, {"n": 1}).payload
    assert (answer["event"], answer["cwd"], answer["arguments"]) == ({"n": 1}, "/function", ["app.handler"])
    assert (answer["function"], answer["user"], answer["no_new_privs"]) == ("own", "sbx_user1051", "1")
    assert {"client", "function", "tmp", "proc", "dev", "etc"} <= set(answer["sees"])
    assert not {"home", "srv", "opt", "mnt"} & set(answer["sees"]), "the host's are not there"


def test_the_root_is_read_only_and_tmp_is_not(server: Server, registry: DockerRegistry, base: Layer) -> None:
    name = deploy(server, "writes", registry.push("writes", "v1", a_function(base)))
    writes = server.invoke(name, 1).payload["writes"]
    assert writes.pop("/tmp/x") == "yes"
    assert "yes" not in writes.values(), writes


def test_awss_variables_stand_over_the_images_and_the_functions_between(
    server: Server, registry: DockerRegistry, base: Layer
) -> None:
    uri = registry.push("variables", "v1", a_function(base))
    name = deploy(server, "variables", uri, Environment={"Variables": {"COLOUR": "blue", "SIZE": "1"}})
    environment = server.invoke(name, 1).payload["environment"]
    assert (environment["COLOUR"], environment["SIZE"], environment["PATH"]) == ("blue", "1", "/usr/bin")
    assert (environment["AWS_REGION"], environment["AWS_LAMBDA_FUNCTION_NAME"]) == ("us-east-1", "variables")
    assert not {"LANG", "TZ", "LD_LIBRARY_PATH", "AWS_EXECUTION_ENV"} & set(environment)


def test_an_error_of_the_handler_is_the_callers_answer(server: Server, registry: DockerRegistry, base: Layer) -> None:
    name = deploy(server, "fails", registry.push("fails", "v1", a_function(base)))
    answer = server.invoke(name, "fail")
    assert (answer.error, answer.payload["errorType"]) == ("Unhandled", "ValueError")
    assert server.invoke(name, 1).payload["event"] == 1


def test_image_config_overrides_the_images_settings_one_by_one(
    server: Server, registry: DockerRegistry, base: Layer
) -> None:
    uri = registry.push("override", "v1", a_function(base))
    config = {"Command": ["app.handler", "more"], "WorkingDirectory": "/"}
    name = deploy(
        server, "override", uri, ImageConfig=config, Environment={"Variables": {"PYTHONPATH": "/client:/function"}}
    )
    answer = server.invoke(name, 1).payload
    assert (answer["cwd"], answer["arguments"]) == ("/", ["app.handler", "more"])
    shown = server.functions.get_function(FunctionName=name)["Configuration"]
    assert shown["ImageConfigResponse"] == {"ImageConfig": config}
    entry_point = ["/usr/bin/python3", "-c", "import sys; sys.exit(7)"]
    server.functions.update_function_configuration(FunctionName=name, ImageConfig={"EntryPoint": entry_point})
    settled(server, name, "Active")
    answer = server.invoke(name, 1)
    assert answer.payload["errorType"] == "Runtime.ExitError"


def test_get_function_shows_what_a_tag_was_found_to_mean(server: Server, registry: DockerRegistry, base: Layer) -> None:
    image = a_function(base)
    uri = registry.push("shown", "v1", image)
    created = create(server, "shown", uri)
    assert (created["State"], created["PackageType"], created["CodeSize"]) == ("Pending", "Image", 0)
    assert created["CodeSha256"] == image.digest.partition(":")[2]
    assert not {"Runtime", "Handler", "RuntimeVersionConfig", "ImageConfigResponse"} & set(created)
    found = server.functions.get_function(FunctionName="shown")
    assert found["Code"] == {
        "RepositoryType": "ECR",
        "ImageUri": uri,
        "ResolvedImageUri": f"{registry.host}/shown@{image.digest}",
    }
    settled(server, "shown", "Active")


@pytest.mark.parametrize("docker", [False, True])
def test_of_an_index_the_manifest_for_the_functions_architecture_runs(
    server: Server, registry: DockerRegistry, base: Layer, docker: bool
) -> None:
    machine = {"x86_64": "amd64"}.get(machine_architecture(), "arm64")
    right = an_image([Layer(base.tar), a_layer({"function/app.py": HANDLER})], docker=docker, **SETTINGS)
    repository = f"index{int(docker)}"
    registry.push(repository, "right", right)
    index = an_index({machine: right}, docker=docker)
    uri = registry.push(repository, "v1", Image(index.manifest, index.media_type))
    name = deploy(server, repository, uri)
    assert server.invoke(name, 5).payload["event"] == 5
    code = server.functions.get_function(FunctionName=name)["Code"]
    assert code["ResolvedImageUri"].endswith(right.digest)


def test_layers_lie_over_each_other_and_take_away_what_is_below(
    server: Server, registry: DockerRegistry, base: Layer
) -> None:
    code = """
import os
def handler(event, context):
    tree = {folder: sorted(files + folders) for folder, folders, files in os.walk("/data")}
    return {"tree": tree, "kept": open("/data/kept").read()}
"""
    below = a_layer({"data/": b"", "data/gone": "1", "data/kept": "old", "data/full/": b"", "data/full/a": "1"})
    above = a_layer(
        {"data/.wh.gone": b"", "data/kept": "new", "data/full/.wh..wh..opq": b"", "data/full/b": "2"}, "zstd"
    )
    name = deploy(server, "whiteouts", registry.push("whiteouts", "v1", a_function(base, code, below, above)))
    assert server.invoke(name).payload == {"tree": {"/data": ["full", "kept"], "/data/full": ["b"]}, "kept": "new"}


def test_extensions_in_the_image_are_started(server: Server, registry: DockerRegistry, base: Layer) -> None:
    extension = """#!/usr/bin/python3
import json, os, urllib.request
base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension"
ask = urllib.request.Request(f"{base}/register", json.dumps({"events": ["INVOKE"]}).encode(),
                             {"Lambda-Extension-Name": "watcher"})
me = urllib.request.urlopen(ask).headers["Lambda-Extension-Identifier"]
while True:
    print("extension saw", urllib.request.urlopen(
        urllib.request.Request(f"{base}/event/next", headers={"Lambda-Extension-Identifier": me})).read(), flush=True)
"""
    layer = a_layer(
        {"opt/": b"", "opt/extensions/": b"", "opt/extensions/watcher": Entry(content=extension.encode(), mode=0o755)}
    )
    name = deploy(server, "extended", registry.push("extended", "v1", a_function(base, HANDLER, layer)), MemorySize=256)
    assert server.invoke(name, 1).payload["event"] == 1
    until(lambda: [line for line in server.log_lines("/aws/lambda/extended") if "extension saw" in line])


@pytest.mark.parametrize(
    ("config", "error_type", "words"),
    [
        ({"EntryPoint": ["/nowhere"]}, "Runtime.InvalidEntrypoint", "fork/exec /nowhere: no such file or directory"),
        (
            {"EntryPoint": ["nowhere"]},
            "Runtime.InvalidEntrypoint",
            'exec: "nowhere": executable file not found in $PATH',
        ),
        (
            {"EntryPoint": ["/function/app.py"]},
            "Runtime.InvalidEntrypoint",
            "fork/exec /function/app.py: permission denied",
        ),
        ({"WorkingDirectory": "/no"}, "Runtime.InvalidWorkingDir", "the working directory doesn't exist: /no"),
        (
            {"WorkingDirectory": "function"},
            "Runtime.InvalidWorkingDir",
            "the working directory 'function' is invalid, it needs to be an absolute path",
        ),
    ],
)
def test_a_program_that_cannot_be_started_fails_in_the_words_of_aws(
    server: Server, registry: DockerRegistry, base: Layer, config: Any, error_type: str, words: str
) -> None:
    uri = registry.push("unstartable", "v1", a_function(base))
    name = "unstartable" + str(abs(hash(words)))
    deploy(server, name, uri, ImageConfig=config)
    answer = server.invoke(name, 1)
    assert answer.payload == {"errorType": error_type, "errorMessage": f"RequestId: {answer.request_id} Error: {words}"}
    lines = until(lambda: [line for line in server.log_lines(f"/aws/lambda/{name}") if line.startswith("IMAGE")])
    assert lines[0].startswith(f"IMAGE\tLaunch error: {words}\tEntrypoint: [")
    assert not [line for line in server.log_lines(f"/aws/lambda/{name}") if line.startswith("INIT_START")]


def test_versions_and_aliases_keep_their_images(server: Server, registry: DockerRegistry, base: Layer) -> None:
    answers = "def handler(event, context): return {!r}"
    first = registry.push("versions", "v1", a_function(base, answers.format("one")))
    name = deploy(server, "versions", first, Publish=True)
    until(lambda: server.functions.get_function(FunctionName=name, Qualifier="1")["Configuration"]["State"] == "Active")
    server.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    second = registry.push("versions", "v2", a_function(base, answers.format("two")))
    updated = server.functions.update_function_code(FunctionName=name, ImageUri=second)
    assert updated["LastUpdateStatus"] == "InProgress"
    settled(server, name, "Active")
    assert (server.invoke(name).payload, server.invoke(name, Qualifier="live").payload) == ("two", "one")


def test_an_ecr_uri_leads_to_the_registry_that_the_settings_name(
    server: Server, registry: DockerRegistry, base: Layer
) -> None:
    registry.push("mapped", "v1", a_function(base))
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mapped:v1"
    assert server.invoke(deploy(server, "mapped", uri), 1).payload["event"] == 1


def test_an_image_on_disk_is_read_where_the_settings_allow_it(server: Server, base: Layer) -> None:
    allowed = server.data.parent / "images"
    write_layout(a_function(base), allowed / "app", "v1")
    assert server.invoke(deploy(server, "layout", f"oci:{allowed}/app:v1"), 1).payload["event"] == 1
    write_layout(a_function(base), server.data.parent / "elsewhere")
    with pytest.raises(ClientError, match="Lambda does not have permission to access the ECR image"):
        create(server, "outside", f"oci:{server.data.parent}/elsewhere")


def refused(server: Server, **changes: Any) -> str:
    asked: dict[str, Any] = {"FunctionName": "refused", "PackageType": "Image", "Role": ROLE, **changes}
    with pytest.raises(ClientError) as raised:
        server.functions.create_function(**asked)
    error = raised.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_what_is_no_image_is_refused_in_awss_words(server: Server, registry: DockerRegistry) -> None:
    invalid = "InvalidParameterValueException: "
    missing = f"{registry.host}/missing:v1"
    assert refused(server, Code={"ImageUri": missing}) == (
        f"{invalid}Source image {missing} does not exist. Provide a valid source image."
    )
    assert refused(server, Code={"ImageUri": "missing:v1"}) == (
        f"{invalid}Source image missing:v1 is not valid. Provide a valid source image."
    )
    strange = an_image([a_layer({"a": "1"})])
    strange.manifest = strange.manifest.replace(b"layer.v1.tar+gzip", b"layer.v1.tar+lzma")
    uri = registry.push("strange", "v1", strange)
    assert refused(server, Code={"ImageUri": uri}) == (
        f"{invalid}The image manifest, config or layer media type for the source image {uri} is not supported."
    )
    layers = "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
    assert refused(server, Code={"ImageUri": uri}, Runtime="python3.12") == invalid + layers
    assert refused(server, Code={"ZipFile": b"x"}) == (
        f"{invalid}Please provide ImageUri when creating a function with packageType Image."
    )


def test_the_package_type_cannot_change(server: Server, registry: DockerRegistry, base: Layer) -> None:
    name = deploy(server, "immutable", registry.push("immutable", "v1", a_function(base)))
    with pytest.raises(ClientError, match=r"Please provide ImageUri when updating a function with packageType Image."):
        server.functions.update_function_code(FunctionName=name, ZipFile=b"x")
    server.deploy("zipped", "def handler(event, context): return 1")
    with pytest.raises(
        ClientError, match=r"Please don't provide ImageUri when updating a function with packageType Zip."
    ):
        server.functions.update_function_code(FunctionName="zipped", ImageUri=f"{registry.host}/immutable:v1")


def test_a_layer_that_is_not_what_its_digest_says_fails_the_function_and_an_update_mends_it(
    server: Server, registry: DockerRegistry, base: Layer
) -> None:
    image = an_image([base, a_layer({"function/app.py": HANDLER, "function/corrupted": "x"})], **SETTINGS)
    uri = registry.push("corrupted", "v1", image)
    digest = json.loads(image.manifest)["layers"][1]["digest"]
    blob = registry.blob(digest)
    blob.write_bytes(bytes(reversed(blob.read_bytes())))
    create(server, "corrupted", uri)
    shown = settled(server, "corrupted", "Failed")
    assert shown["StateReasonCode"] == "InvalidImage"
    assert shown["StateReason"].startswith(f"ImageLayerFailure: UnsupportedImageLayerDetected - Layer Digest {digest}")
    assert not [path for path in (server.data / "images").iterdir() if path.name.startswith(".making")]
    server.functions.update_function_code(
        FunctionName="corrupted", ImageUri=registry.push("mended", "v1", a_function(base))
    )
    settled(server, "corrupted", "Active")
    assert server.invoke("corrupted", 2).payload["event"] == 2


def test_layers_that_images_share_are_kept_once_and_go_with_the_last_of_them(
    tmp_path: Path, registry: DockerRegistry, base: Layer
) -> None:
    server = Server(tmp_path / "data").start()
    try:
        layers, trees = server.data / "images/layers", server.data / "images/trees"
        for name in ("one", "two"):
            deploy(server, name, registry.push(f"shared-{name}", "v1", a_function(base, f"{HANDLER}\n# {name}")))
        assert (len(list(layers.iterdir())), len(list(trees.iterdir()))) == (3, 2)
        assert server.invoke("one", 1).payload["event"] == 1
        server.functions.delete_function(FunctionName="one")
        until(lambda: (len(list(layers.iterdir())), len(list(trees.iterdir()))) == (2, 1))
        assert server.invoke("two", 2).payload["event"] == 2
        server.functions.delete_function(FunctionName="two")
        until(lambda: not list(layers.iterdir()) and not list(trees.iterdir()))
    finally:
        server.stop()


def test_a_server_that_is_killed_while_it_pulls_goes_on_at_the_next_start(
    tmp_path: Path, registry: DockerRegistry, base: Layer
) -> None:
    uri = registry.push("killed", "v1", a_function(base))
    server = Server(tmp_path / "data").start()
    create(server, "killed", uri)
    until(lambda: any(path.name.startswith(".making") for path in (server.data / "images").iterdir()))
    server.stop(signal.SIGKILL)
    leftovers = [path.name for path in (server.data / "images").iterdir() if path.name.startswith(".making")]
    server.start()
    try:
        settled(server, "killed", "Active")
        now = {path.name for path in (server.data / "images").iterdir()}
        assert not now & set(leftovers)
        assert server.invoke("killed", 3).payload["event"] == 3
    finally:
        server.stop()


def test_an_image_that_goes_before_it_is_pulled_fails_the_update_and_the_old_one_runs_on(
    tmp_path: Path, base: Layer
) -> None:
    config = tmp_path / "pasture.toml"
    config.write_text("image_retry_seconds = 0.5\n")
    server = Server(tmp_path / "data", "--config", str(config)).start()
    try:
        with a_registry(tmp_path / "registry") as registry:
            deploy(server, "away", registry.push("away", "v1", a_function(base)))
            image = a_function(base, HANDLER, a_layer({"new": "layer"}))
            other = registry.push("away", "v2", image)
            gone = registry.blob(json.loads(image.manifest)["layers"][2]["digest"])
            content = gone.read_bytes()
            gone.unlink()
            server.functions.update_function_code(FunctionName="away", ImageUri=other)
            shown = settled(server, "away", "Active")
            assert (shown["LastUpdateStatus"], shown["LastUpdateStatusReasonCode"]) == ("Failed", "ImageDeleted")
            assert server.invoke("away", 4).payload["event"] == 4
            gone.write_bytes(content)
            server.functions.update_function_code(FunctionName="away", ImageUri=other)
            assert settled(server, "away", "Active")["LastUpdateStatus"] == "Successful"
        assert server.invoke("away", 5).payload["event"] == 5
        with pytest.raises(ClientError, match="does not answer"):
            server.functions.update_function_code(FunctionName="away", ImageUri=other)
    finally:
        server.stop()


def test_a_registry_with_passwords_wants_the_servers_own(tmp_path: Path, base: Layer) -> None:
    with a_registry(tmp_path / "registry", "reader:secret") as registry:
        uri = registry.push("private", "v1", a_function(base))
        logins, config = tmp_path / "logins.json", tmp_path / "pasture.toml"
        logins.write_text("{}")
        config.write_text(f'registry_credentials = "{logins}"\n')
        server = Server(tmp_path / "data", "--config", str(config)).start()
        try:
            with pytest.raises(ClientError, match="does not have permission to access the ECR image") as raised:
                create(server, "private", uri)
            assert raised.value.response["Error"]["Code"] == "AccessDeniedException"
            logins.write_text(json.dumps({"auths": {registry.host: {"auth": "cmVhZGVyOnNlY3JldA=="}}}))
            assert server.invoke(deploy(server, "private", uri), 1).payload["event"] == 1
        finally:
            server.stop()


def test_without_namespaces_images_are_refused(tmp_path: Path, registry: DockerRegistry) -> None:
    server = Server(tmp_path / "data", "--isolation", "process").start()
    try:
        words = refused(server, Code={"ImageUri": f"{registry.host}/any:v1"})
        assert words.endswith("Container images cannot be run with the isolation 'process'.")
    finally:
        server.stop()


def test_provisioned_environments_of_an_image_serve(server: Server, registry: DockerRegistry, base: Layer) -> None:
    name = deploy(server, "provisioned", registry.push("provisioned", "v1", a_function(base)), Publish=True)
    client = server.functions
    client.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    client.put_provisioned_concurrency_config(FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1)

    def status() -> Any:
        return client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")

    until(lambda: status()["Status"] == "READY", 60)
    answer = server.invoke(name, 1, Qualifier="1").payload
    assert answer["environment"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"


def test_an_evicted_image_comes_back_when_its_registry_has_gone(tmp_path: Path, base: Layer) -> None:
    config = tmp_path / "pasture.toml"
    config.write_text("package_cache_mb = 0\n")
    server = Server(tmp_path / "data", "--config", str(config), "--idle-seconds", "0.05").start()
    try:
        with a_registry(tmp_path / "registry") as registry:
            name = deploy(server, "evicted", registry.push("evicted", "v1", a_function(base)))
        trees = server.data / "images" / "trees"
        for _ in range(2):
            until(lambda: not list(trees.iterdir()))
            assert server.invoke(name, 1).payload["event"] == 1
        server.functions.delete_function(FunctionName=name)
        until(
            lambda: (
                not any(
                    path
                    for folder in ("trees", "layers", "blobs", "kept")
                    for path in (trees.parent / folder).iterdir()
                )
            )
        )
    finally:
        server.stop()


def test_a_function_that_is_deleted_while_its_image_comes_leaves_nothing(tmp_path: Path, base: Layer) -> None:
    """The registry answers for the manifest, and never for a layer."""
    image = a_function(base)
    with scripted(image) as registry:
        server = Server(tmp_path / "data").start()
        try:
            registry.status.update(
                dict.fromkeys((layer["digest"] for layer in json.loads(image.manifest)["layers"]), 503)
            )
            create(server, "given-up", f"{registry.host}/app:v1")
            until(
                lambda: any("/blobs/" in path and path.rpartition("/")[2] in registry.status for path in registry.asked)
            )
            server.functions.delete_function(FunctionName="given-up")
            images = server.data / "images"
            until(
                lambda: (
                    not any(
                        path for folder in ("trees", "layers", "blobs", "kept") for path in (images / folder).iterdir()
                    )
                )
            )
            until(lambda: not list(images.glob(".making-*")))
        finally:
            server.stop()
