"""Amazon MQ: a queue of RabbitMQ or ActiveMQ, whichever the endpoint of the broker says that it is."""

import importlib.util
import sys

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.brokers.message_poller import Connect, MessagePoller, nowhere
from pasture.sources.source import Poller, Tools


def make(mapping: EventSourceMapping, tools: Tools) -> Poller:
    return MessagePoller(mapping, tools, _connector(mapping, tools))


def _connector(mapping: EventSourceMapping, tools: Tools) -> Connect:
    endpoint = tools.endpoints.of(mapping.source)
    protocol = endpoint.partition("://")[0]
    if protocol in {"amqp", "amqps"}:
        if importlib.util.find_spec("aiormq") is None:
            raise ImportError(f"RabbitMQ needs a package: {sys.executable} -m pip install 'pasture[rabbitmq]'")
        from pasture.sources.brokers import rabbitmq

        return rabbitmq.connector(mapping, tools, endpoint)
    if protocol in {"stomp", "stomp+ssl"}:
        from pasture.sources.brokers import activemq

        return activemq.connector(mapping, tools, endpoint)
    return nowhere(mapping, endpoint)
