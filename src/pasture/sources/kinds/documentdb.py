"""Amazon DocumentDB, or MongoDB: the change stream of a collection, or of all collections of a database."""

import importlib.util
import sys

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.brokers.message_poller import MessagePoller, nowhere
from pasture.sources.source import Poller, Tools


def make(mapping: EventSourceMapping, tools: Tools) -> Poller:
    endpoint = tools.endpoints.of(mapping.source)
    if not endpoint.startswith(("mongodb://", "mongodb+srv://")):
        return MessagePoller(mapping, tools, nowhere(mapping, endpoint))
    if importlib.util.find_spec("pymongo") is None:
        raise ImportError(f"DocumentDB needs a package: {sys.executable} -m pip install 'pasture[mongodb]'")
    from pasture.sources.brokers import change_stream

    return MessagePoller(mapping, tools, change_stream.connector(mapping, tools, endpoint))
