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
    """Loaded when first wanted, for clients of brokers are large. Raises ImportError for lack of an extra or kind."""
    if (module := _MODULES.get(kind)) is None:
        raise ImportError(f"sources of kind {kind} are not built yet", name=kind)
    make: Make = importlib.import_module(f"{__name__}.{module}").make
    return make
