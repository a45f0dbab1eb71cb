"""Where brokers and clusters are. Pure.

A mapping names a broker as AWS does, by an ARN, which says nothing of where it is on networks other than AWS's. The
table `[event_sources]` says it, by ARN or by the name in the ARN. Servers of Kafka say where they are themselves; there
the table may lead elsewhere, or say what is spoken with them.
"""

import re
from collections.abc import Mapping

_PLACE = r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9_.-]+):\d{1,5}"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_FORM = re.compile(
    rf"(amqps?|stomp(\+ssl)?)://{_PLACE}/?"
    rf"|mongodb(\+srv)?://[^@\s]+"
    rf"|(({'|'.join(PROTOCOLS)})://)?{_PLACE}(,{_PLACE})*",
    re.ASCII,
)
_NAMES = (
    re.compile(r"arn:[^:]+:mq:[^:]+:\d+:broker:([^:]+):[^:]+"),
    re.compile(r"arn:[^:]+:kafka:[^:]+:\d+:(?:cluster|vpc-connection)/([^/]+)/.+"),
    re.compile(r"arn:[^:]+:rds:[^:]+:\d+:cluster:([^:]+)"),
)


class Endpoints:
    def __init__(self, table: Mapping[str, str] = {}) -> None:
        """Raises ValueError, whose message says which entry cannot be."""
        for name, endpoint in table.items():
            if not _FORM.fullmatch(endpoint):
                raise ValueError(
                    f"event_sources: {name} is {endpoint!r}; it must be amqp://HOST:PORT or amqps:// of RabbitMQ, "
                    "stomp://HOST:PORT or stomp+ssl:// of ActiveMQ, mongodb://HOST:PORT/?OPTIONS of DocumentDB, or "
                    f"HOST:PORT,… of Kafka, which may begin with {', '.join(f'{p}://' for p in PROTOCOLS)}"
                )
        self._table = dict(table)

    def of(self, arn: str) -> str:
        """Of a broker or cluster; empty when nothing is said."""
        return self._table.get(arn) or self._table.get(_name(arn), "")

    def servers(self, arn: str, servers: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """Servers of a Kafka cluster to begin with, and what is spoken with them where that is said."""
        found = [self.of(arn)] if arn else [self._table.get(server, server) for server in servers]
        protocol = ""
        places: list[str] = []
        for text in found:
            before, is_said, after = text.rpartition("://")
            protocol = before if is_said else protocol
            places += [place for place in after.split(",") if place]
        return tuple(places), protocol


def _name(arn: str) -> str:
    return next((match[1] for form in _NAMES if (match := form.fullmatch(arn))), arn)
