"""A Mosquitto broker of Debian's package, beside the one that the package may run."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from system.sources.servers.process import ServerProcess, free_port, listens

USER, PASSWORD = "pasture", "p@ss:word"

_SETTINGS = """
listener {port} 127.0.0.1
allow_anonymous false
password_file {directory}/passwords
persistence true
persistence_location {directory}/
user {user}
"""


@dataclass
class Mosquitto:
    process: ServerProcess
    port: int


def start(directory: Path) -> Mosquitto:
    server = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if server is None or shutil.which("mosquitto_passwd") is None:
        pytest.skip("there is no Mosquitto on this machine (Debian: mosquitto)")
    port, passwords = free_port(), directory / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, USER, PASSWORD], check=True, timeout=60)
    settings = directory / "mosquitto.conf"
    settings.write_text(_SETTINGS.format(port=port, directory=directory, user=directory.owner()))
    return Mosquitto(ServerProcess([server, "-c", str(settings)], directory, lambda: listens(port)).start(), port)
