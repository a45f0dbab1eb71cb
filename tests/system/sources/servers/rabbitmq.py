"""A RabbitMQ broker of Debian's package, beside the one that the package may run."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from system.sources.servers.process import ServerProcess, free_port, listens

USER, PASSWORD = "guest", "guest"
"""The broker's own, for clients on its machine."""

_HOME = Path("/usr/lib/rabbitmq/bin")
_SETTINGS = """
listeners.tcp.local = 127.0.0.1:{port}
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 10MB
"""


@dataclass
class RabbitMQ:
    process: ServerProcess
    names: ServerProcess
    endpoint: str
    port: int
    environment: Mapping[str, str]

    def control(self, *words: str) -> None:
        """As an operator does."""
        subprocess.run([_HOME / "rabbitmqctl", *words], env={**os.environ, **self.environment}, check=True, timeout=60)


def start(directory: Path) -> RabbitMQ:
    server = _HOME / "rabbitmq-server"
    if not server.exists() or shutil.which("erl") is None:
        pytest.skip("there is no RabbitMQ on this machine (Debian: rabbitmq-server)")
    port, mapper, distribution = free_port(), free_port(), free_port()
    settings = directory / "rabbitmq.conf"
    settings.write_text(_SETTINGS.format(port=port))
    (directory / "plugins").write_text("[].")
    environment = {
        "HOME": str(directory),
        "RABBITMQ_NODENAME": f"tests{os.getpid()}@localhost",
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    # The broker would start its port mapper as a daemon, which would outlive it.
    words = ["epmd", "-address", "127.0.0.1", "-port", str(mapper)]
    names = ServerProcess(words, directory, lambda: listens(mapper)).start()
    process = ServerProcess([str(server)], directory, lambda: listens(port), environment=environment)
    return RabbitMQ(process.start(), names, f"amqp://127.0.0.1:{port}", port, environment)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    broker = start(tmp_path_factory.mktemp("rabbitmq"))
    yield broker
    broker.process.stop()
    broker.names.stop()
