"""The servers of other makers that sources are read from: one of each in a session, and only where one is wanted."""

from system.sources.servers.activemq import activemq
from system.sources.servers.kafka import kafka
from system.sources.servers.mongodb import mongodb
from system.sources.servers.rabbitmq import rabbitmq

__all__ = ["activemq", "kafka", "mongodb", "rabbitmq"]
