"""The kinds of event source, one file each: a module with `make(mapping, tools)`, named as its kind is below."""

import importlib

from pasture.domain.event_source import SourceKind
from pasture.sources.source import Make

_MODULES = {
    SourceKind.SQS: "sqs",
    SourceKind.KINESIS: "kinesis",
    SourceKind.DYNAMODB: "dynamodb",
    SourceKind.MSK: "kafka",
    SourceKind.SELF_MANAGED_KAFKA: "kafka",
    SourceKind.MQ: "mq",
    SourceKind.DOCUMENTDB: "documentdb",
}


def maker(kind: SourceKind) -> Make:
    """Loaded when it is first wanted: clients of brokers are large. Raises ImportError for lack of an extra."""
    make: Make = importlib.import_module(f"{__name__}.{_MODULES[kind]}").make
    return make
