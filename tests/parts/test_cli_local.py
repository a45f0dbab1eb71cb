"""The commands that need no server: keys, env, runtimes, what serve refuses, help."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pasture import __version__
from pasture.api.auth.keys import KeyRing
from pasture.cli.endpoint import first_key
from pasture.cli.env import script
from pasture.cli.main import main
from pasture.cli.serve import set_up_logging


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PASTURE_DATA_DIR", str(tmp_path))


@pytest.fixture
def listening() -> Iterator[str]:
    """The URL of something that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


def announce(directory: Path, url: str, *, auth: bool = True, region: str = "us-east-1") -> None:
    (directory / "endpoint.json").write_text(json.dumps({"url": url, "auth": auth, "pid": 1, "region": region}))


def every_command(group: click.Group) -> Iterator[list[str]]:
    for name, command in group.commands.items():
        yield [name]
        if isinstance(command, click.Group):
            yield from ([name, *path] for path in every_command(command))


# Keys...


def test_a_made_key_is_shown_with_its_secret_and_kept(tmp_path: Path) -> None:
    result = run("keys", "create", "--account", "111122223333", "--description", "ci", "--output", "json")
    [key] = KeyRing(tmp_path / "keys.json").list()
    made = json.loads(result.stdout)
    assert (made["AccessKeyId"], made["SecretAccessKey"], made["Account"], made["Description"]) == (
        key.id, key.secret, "111122223333", "ci",
    )  # fmt: skip


def test_the_list_of_keys_shows_no_secret(tmp_path: Path) -> None:
    key = KeyRing(tmp_path / "keys.json").create(description="[bold]laptop")
    result = run("keys", "list")
    row = result.stdout.splitlines()[1].split()
    assert (row[0], row[1], row[3], key.secret in result.stdout) == (key.id, "000000000000", "[bold]laptop", False)


def test_a_deleted_key_is_gone(tmp_path: Path) -> None:
    key = KeyRing(tmp_path / "keys.json").create()
    result = run("keys", "delete", key.id)
    assert (result.exit_code, KeyRing(tmp_path / "keys.json").list()) == (0, [])


def test_deleting_a_key_that_is_not_there_says_so() -> None:
    result = run("keys", "delete", "AKIANONE")
    assert (result.exit_code, result.stderr) == (
        1,
        "There is no key AKIANONE. `pasture keys list` shows those there are.\n",
    )


def test_an_account_that_is_none_is_refused_in_one_sentence() -> None:
    result = run("keys", "create", "--account", "me")
    assert (result.exit_code, result.stderr) == (1, "'me' is not an account. An account is 12 digits.\n")


# Env...


def test_env_points_a_shell_at_the_running_server(tmp_path: Path, listening: str) -> None:
    announce(tmp_path, listening, region="eu-west-1")
    key = KeyRing(tmp_path / "keys.json").create()
    result = run("env")
    assert (result.stdout.splitlines(), result.stderr) == (
        [
            f"export AWS_ENDPOINT_URL={listening}",
            f"export AWS_ACCESS_KEY_ID={key.id}",
            f"export AWS_SECRET_ACCESS_KEY={key.secret}",
            "export AWS_REGION=eu-west-1",
            "export AWS_DEFAULT_REGION=eu-west-1",
        ],
        "",
    )


def test_env_is_what_a_shell_understands(tmp_path: Path, listening: str) -> None:
    announce(tmp_path, listening)
    printed = run("env").stdout
    key = KeyRing(tmp_path / "keys.json").list()[0]
    shell = ["sh", "-c", f'{printed}\nprintf %s "$AWS_SECRET_ACCESS_KEY"']
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == key.secret


def test_env_makes_a_key_when_there_is_none_and_the_same_is_used_again(tmp_path: Path, listening: str) -> None:
    announce(tmp_path, listening)
    assert run("env").stdout == run("env").stdout


def test_env_says_so_on_standard_error_when_no_server_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    announce(tmp_path, url)
    result = run("env")
    assert (result.exit_code, result.stderr) == (
        0,
        f"# No Pasture answers at {url}. Start one with `pasture serve`.\n",
    )


def test_env_says_that_an_open_server_takes_any_key(tmp_path: Path, listening: str) -> None:
    announce(tmp_path, listening, auth=False)
    assert run("env").stderr == "# This server runs with --no-auth: any key works.\n"


def test_env_forgets_the_session_token_of_other_credentials(tmp_path: Path, listening: str) -> None:
    announce(tmp_path, listening)
    assert run("env", env={"AWS_SESSION_TOKEN": "x"}).stdout.splitlines()[0] == "unset AWS_SESSION_TOKEN"


def test_env_for_another_server_uses_the_keys_that_the_shell_has_for_it(listening: str) -> None:
    shell = {"AWS_ENDPOINT_URL": listening, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r"}
    result = run("env", "--endpoint-url", listening, "--output", "json", env=shell)
    assert json.loads(result.stdout) == {**shell, "AWS_DEFAULT_REGION": "r"}


def test_without_any_key_for_another_server_the_person_is_told_how_to_give_one(listening: str) -> None:
    result = run("env", "--endpoint-url", listening)
    assert (result.exit_code, result.stdout, result.stderr.split(".")[0]) == (
        1,
        "",
        "There is no access key for http://127",
    )


def test_only_env_makes_a_key_for_a_server_that_does_not_run(tmp_path: Path) -> None:
    assert run(
        "functions", "list", "--data-dir", str(tmp_path / "new"), "--endpoint-url", "http://127.0.0.1:1"
    ).stderr == ("No Pasture answers at http://127.0.0.1:1. Start one with `pasture serve`.\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("shell", "lines"),
    [
        ("sh", ["unset T", "export K='it'\"'\"'s'"]),
        ("fish", ["set -e T;", "set -gx K 'it\\'s';"]),
        ("powershell", ["Remove-Item Env:T", "$env:K = 'it''s'"]),
    ],
)
def test_each_shell_gets_its_own_words_and_quotes(shell: str, lines: list[str]) -> None:
    assert script(shell, {"K": "it's"}, ["T"]) == lines


def test_an_endpoint_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "endpoint.json").write_text("{")
    result = run("env")
    assert (result.exit_code, str(tmp_path / "endpoint.json") in result.stderr) == (1, True)


# Serve...


def test_serve_refuses_an_open_door_to_the_network() -> None:
    result = run("serve", "--host", "0.0.0.0", "--no-auth")
    assert (result.exit_code, result.stderr.split(":")[0]) == (1, "--no-auth is refused on 0.0.0.0")


def test_serve_reads_its_options_from_the_environment() -> None:
    result = run("serve", env={"PASTURE_PORT": "70000"})
    assert (result.exit_code, result.stderr) == (1, "70000 is no port: it must be between 0 and 65535.\n")


def test_serve_names_the_setting_of_a_configuration_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "pasture.toml").write_text("prot = 1")
    result = run("serve", "--config", str(tmp_path / "pasture.toml"))
    assert (result.exit_code, "sets prot, which is no setting." in result.stderr) == (1, True)


def test_the_log_is_lines_of_time_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        set_up_logging("info")
        logging.getLogger("pasture.there").warning("look %s", "out")
        line = capsys.readouterr().err
    finally:
        logging.basicConfig(handlers=before, level=level, force=True)
    assert line.endswith("Z WARNING pasture.there: look out\n")


# Runtimes and the rest...


def test_runtimes_list_says_how_each_stands(tmp_path: Path) -> None:
    result = run("runtimes", "list", "--runtimes-dir", str(tmp_path), "--output", "json")
    mine = f"python3.{sys.version_info.minor}"
    [status] = [status for status in json.loads(result.stdout) if status["identifier"] == mine]
    assert (status["state"], status["location"].endswith(mine)) == ("can be installed", True)


def test_a_runtime_that_cannot_be_run_here_is_refused(tmp_path: Path) -> None:
    result = run("runtimes", "install", "cobol85", "--runtimes-dir", str(tmp_path))
    assert (result.exit_code, "cobol85 cannot be run here" in result.stderr) == (1, True)


def test_the_version_is_shown() -> None:
    assert run("--version").stdout == f"pasture {__version__}\n"


def test_every_command_has_help_with_an_example() -> None:
    lacking = [" ".join(path) for path in every_command(main) if "Example:" not in run(*path, "-h").stdout]
    assert lacking == []


def test_an_address_that_is_none_is_a_usage_error() -> None:
    assert run("env", "--endpoint-url", "localhost:9600").exit_code == 2


def test_help_needs_neither_boto3_nor_the_server() -> None:
    question = (
        "import sys; from click.testing import CliRunner; from pasture.cli.main import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        "print(sorted({'boto3', 'botocore', 'rich', 'uvloop', 'pasture.app.serve'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_the_command_line_takes_a_key_that_may_do_everything(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    limited = ring.create(policy={"Version": "2012-10-17", "Statement": []})
    unlimited = first_key(ring)
    assert unlimited.id != limited.id
    assert first_key(ring) == unlimited
