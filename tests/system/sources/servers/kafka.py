"""A Kafka broker: one node that is its own controller, with every way in that mappings can use."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from system.sources.servers.certificates import Authority, Identity
from system.sources.servers.maven import java
from system.sources.servers.process import ServerProcess, free_port, listens

PACKAGES = ("org.apache.kafka:kafka_2.13:3.9.1",)
USER, PASSWORD = "pasture", "grass & clover"

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}
listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
log.dirs={directory}/logs
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=1
num.io.threads=2
background.threads=1
log.cleaner.enable=false
auto.create.topics.enable=false
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.mutual.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.certificate.chain={certificate}
ssl.keystore.key={key}
ssl.truststore.type=PEM
ssl.truststore.certificates={authority}
"""


@dataclass
class Kafka:
    process: ServerProcess
    plain: str
    """A bootstrap server, like the others."""
    sasl: str
    """With TLS; for USER with PASSWORD, by PLAIN and both kinds of SCRAM."""
    mutual: str
    """For whoever has a certificate of the authority."""
    authority: Authority
    client: Identity


def start(directory: Path) -> Kafka:
    words = java(PACKAGES, heap_mb=384)
    authority = Authority()
    identity = authority.identity("broker")
    ports = {name: free_port() for name in ("plain", "sasl", "mutual", "controller")}
    properties = directory / "server.properties"
    properties.write_text(
        _PROPERTIES.format(
            **ports,
            directory=directory,
            user=USER,
            password=PASSWORD,
            authority=_one_line(authority.certificate),
            certificate=_one_line(identity.certificate),
            key=_one_line(identity.key),
        )
    )
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    scram = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
    adding = [word for one in scram for word in ("--add-scram", one)]
    done = subprocess.run(
        [*words, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), *adding],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    process = ServerProcess([*words, "kafka.Kafka", str(properties)], directory, lambda: listens(ports["plain"]))
    process.start()
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return Kafka(process, at["plain"], at["sasl"], at["mutual"], authority, authority.identity("client"))


def _one_line(pem: str) -> str:
    """As properties have texts of several lines."""
    return pem.strip().replace("\n", "\\n")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    broker = start(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.process.stop()
