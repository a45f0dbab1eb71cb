"""The settings of MQTT: which broker, and which rules lead to which function. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pasture.domain.errors import ApiError
from pasture.domain.identifiers import locate_function
from pasture.domain.scope import Scope
from pasture.sources.push.rule_sql import Rule, parse

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class MqttRule:
    name: str
    """As in the table: the function's name or ARN."""
    sql: str
    function: str
    """Its ARN."""
    rule: Rule


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    is_tls: bool = False
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def read(cls, url: str) -> "Broker":
        """`mqtt://USER:PASSWORD@HOST:PORT`, or `mqtts://` for TLS. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            raise ValueError("mqtt: it must be mqtt://HOST:PORT or mqtts://HOST:PORT, with USER:PASSWORD@ before HOST")
        port = parts.port or _PORTS[parts.scheme]
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname, port, parts.scheme == "mqtts", user, password)


def read_rules(table: Mapping[str, str]) -> tuple[MqttRule, ...]:
    """Function → SQL. Raises ValueError, whose message says which entry cannot be."""
    return tuple(_rule(name, sql) for name, sql in table.items())


def _rule(name: str, sql: str) -> MqttRule:
    try:
        return MqttRule(name, sql, locate_function(name, Scope()).arn(Scope()), parse(sql))
    except ApiError:
        raise ValueError(f"mqtt_rules: {name} names no function") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"mqtt_rules: the rule of {name} cannot be: {error}") from error
