"""Kafka: Amazon MSK, and clusters that are managed by others."""

import importlib.util
import sys

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.source import Poller, Tools


def make(mapping: EventSourceMapping, tools: Tools) -> Poller:
    if importlib.util.find_spec("aiokafka") is None:
        raise ImportError(f"Kafka needs a package: {sys.executable} -m pip install 'pasture[kafka]'")
    from pasture.sources.brokers.kafka_poller import KafkaPoller

    return KafkaPoller(mapping, tools)
