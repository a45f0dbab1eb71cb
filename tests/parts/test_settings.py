"""Settings from their defaults, a file and the command line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pasture.domain.limits import Limits
from pasture.kit.errors import OperatorError
from pasture.settings import Settings, default_data_dir, default_runtimes_dir, load


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "pasture.toml"


def refusal(config: Path | None, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(OperatorError) as caught:
        load(config, overrides or {})
    return str(caught.value)


def test_without_a_file_and_arguments_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


def test_the_file_changes_what_it_names_and_nothing_else(config: Path) -> None:
    config.write_text(
        'port = 9000\ndata_dir = "~/pasture"\nidle_seconds = 5\nauth = false\n[limits]\ninit_seconds = 2\n'
    )
    assert load(config, {}) == replace(
        Settings(),
        port=9000,
        data_dir=Path.home() / "pasture",
        idle_seconds=5.0,
        auth=False,
        limits=replace(Limits(), init_seconds=2.0),
    )


def test_the_command_line_is_over_the_file(config: Path) -> None:
    config.write_text("port = 9000\nmemory_mb = 512\n")
    settings = load(config, {"port": 9001, "memory_mb": None})
    assert (settings.port, settings.memory_mb) == (9001, 512)


def test_limits_may_be_given_as_such() -> None:
    assert load(None, {"limits": Limits(payload_bytes=10)}).limits == Limits(payload_bytes=10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "colour = 1",
            "sets colour, which is no setting. Known are: age_seconds, auth, aws_endpoint, data_dir,",
        ),
        ("[limits]\nspeed = 1", "sets limits.speed, which is no setting. Known are: async_payload_bytes,"),
        ('port = "x"', "sets port to 'x', which is not a whole number."),
        ("port = true", "sets port to True, which is not a whole number."),
        ("port = 1.5", "sets port to 1.5, which is not a whole number."),
        ("idle_seconds = true", "sets idle_seconds to True, which is not a number."),
        ("auth = 1", "sets auth to 1, which is not true or false."),
        ("host = 1", "sets host to 1, which is not a text."),
        ("data_dir = 1", "sets data_dir to 1, which is not a path."),
        ("limits = 1", "sets limits to 1, which is not a table of limits."),
        ("[limits]\ninit_seconds = []", "sets limits.init_seconds to [], which is not a number."),
        ("port = ", "is not TOML: "),
        ("port = 70000", "70000 is no port: it must be between 0 and 65535."),
        ("port = -1", "-1 is no port"),
        ("memory_mb = -1", "memory_mb cannot be negative or without end."),
        ("idle_seconds = nan", "idle_seconds cannot be negative or without end."),
        ("grace_seconds = inf", "grace_seconds cannot be negative or without end."),
        ("[limits]\ninit_seconds = -1", "limits.init_seconds cannot be negative or without end."),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(config: Path, text: str, words: str) -> None:
    config.write_text(text)
    assert words in refusal(config)


def test_a_file_that_cannot_be_read_is_named_with_the_reason(config: Path) -> None:
    assert refusal(config) == f"cannot read the configuration file {config}: No such file or directory."


def test_a_file_that_is_no_text_is_named_with_the_reason(config: Path) -> None:
    config.write_bytes(b"\xff\xfe")
    assert refusal(config).startswith(f"the configuration file {config} is not TOML: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_an_open_door_is_allowed_where_only_this_machine_comes(host: str) -> None:
    assert load(None, {"host": host, "auth": False}).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", "127.0.0.1.example.org", ""])
def test_an_open_door_is_refused_where_others_come(host: str) -> None:
    assert refusal(None, {"host": host, "auth": False}) == (
        f"--no-auth is refused on {host}: anyone who reaches this address could run code here. "
        "Listen on 127.0.0.1, or leave --no-auth away and use the keys of `pasture keys`."
    )


def test_with_keys_any_address_will_do() -> None:
    assert load(None, {"host": "0.0.0.0"}).host == "0.0.0.0"


def test_the_directories_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PASTURE_DATA_DIR", "PASTURE_RUNTIMES_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = Path.home()
    assert (default_data_dir(), default_runtimes_dir()) == (
        home / ".local/share/pasture",
        home / ".cache/pasture/runtimes",
    )
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert (default_data_dir(), default_runtimes_dir()) == (Path("/data/pasture"), Path("/cache/pasture/runtimes"))
    monkeypatch.setenv("PASTURE_DATA_DIR", "/d")
    monkeypatch.setenv("PASTURE_RUNTIMES_DIR", "/r")
    assert (default_data_dir(), default_runtimes_dir()) == (Path("/d"), Path("/r"))
