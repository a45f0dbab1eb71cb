"""How Kafka is spoken with for a mapping: its servers, TLS, and who Pasture is."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.brokers import access
from pasture.sources.brokers.endpoints import Endpoints
from pasture.sources.source import Secret

_SASL = {
    "BASIC_AUTH": "PLAIN",
    "SASL_SCRAM_256_AUTH": "SCRAM-SHA-256",
    "SASL_SCRAM_512_AUTH": "SCRAM-SHA-512",
}
_CLIENT_CERTIFICATE, _ROOT_CA = "CLIENT_CERTIFICATE_TLS_AUTH", "SERVER_ROOT_CA_CERTIFICATE"
_NOT_SERVED = ("OAUTHBEARER", "IAM_")
INVALID_CERTIFICATE = "Provided certificate or private key is invalid"


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    servers: tuple[str, ...]
    """`host:port`"""
    protocol: str
    context: ssl.SSLContext | None = None
    mechanism: str = "PLAIN"
    user: str | None = None
    password: str | None = None

    def options(self) -> dict[str, Any]:
        """As aiokafka's clients take them."""
        return {
            "bootstrap_servers": list(self.servers),
            "security_protocol": self.protocol,
            "ssl_context": self.context,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }


async def kafka_access(mapping: EventSourceMapping, endpoints: Endpoints, secret: Secret) -> KafkaAccess:
    """Raises ValueError for what cannot be, and what a `Secret` raises."""
    types = access.named(mapping)
    for name in types:
        if name.startswith(_NOT_SERVED):
            raise ValueError(f"The source access type {name} is not served")
    servers, protocol = endpoints.servers(mapping.source, mapping.servers)
    if not servers:
        raise ValueError(
            f"{mapping.source} cannot be read: its bootstrap servers are not set. "
            "Name them in [event_sources] of the configuration"
        )
    sasl = next((name for name in types if name in _SASL), "")
    protocol = protocol or _protocol(types, sasl)
    user, password = await access.user_and_password(mapping, secret, sasl) if sasl else (None, None)
    return KafkaAccess(
        servers, protocol, await _context(mapping, types, secret) if protocol.endswith("SSL") else None,
        _SASL.get(sasl, "PLAIN"), user, password,
    )  # fmt: skip


def _protocol(types: Mapping[str, str], sasl: str) -> str:
    """AWS encrypts whatever has credentials; what has none is reached as it is."""
    if sasl:
        return "SASL_SSL"
    return "SSL" if types.keys() & {_CLIENT_CERTIFICATE, _ROOT_CA} else "PLAINTEXT"


async def _context(mapping: EventSourceMapping, types: Mapping[str, str], secret: Secret) -> ssl.SSLContext:
    authority = await _members(mapping, types, _ROOT_CA, secret)
    client = await _members(mapping, types, _CLIENT_CERTIFICATE, secret)
    try:
        return await asyncio.to_thread(_make, authority, client)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ValueError(f"{INVALID_CERTIFICATE}: {error}") from error


async def _members(
    mapping: EventSourceMapping, types: Mapping[str, str], name: str, secret: Secret
) -> Mapping[str, str] | None:
    return await secret(mapping.scope, types[name]) if name in types else None


def _make(authority: Mapping[str, str] | None, client: Mapping[str, str] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority["certificate"] if authority else None)
    if client:
        pem = f"{client['certificate']}\n{client['privateKey']}\n".encode()
        # OpenSSL reads keys from files only; this one is in memory.
        file = os.memfd_create("client-certificate")
        try:
            os.write(file, pem)
            # Without a password an encrypted key is an error, and no question at a terminal.
            context.load_cert_chain(f"/proc/self/fd/{file}", password=client.get("privateKeyPassword", ""))
        finally:
            os.close(file)
    return context
