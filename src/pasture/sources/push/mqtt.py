"""Messages of an MQTT broker for functions: a session at the broker for every rule.

A message is acknowledged when its event is durable, and sessions outlive their connections: what comes while this
server is down waits at the broker. With QoS 1 everything comes at least once. A session of its own for every rule, so
that topic filters may overlap and a message is acknowledged by each rule for itself.
"""

import asyncio
import hashlib
import importlib.util
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from pasture.domain.errors import ApiError
from pasture.kit.clock import Clock
from pasture.kit.errors import OperatorError
from pasture.kit.tasks import Tasks
from pasture.sources.push.accepting import Pushed
from pasture.sources.push.mqtt_options import Broker, MqttRule
from pasture.sources.push.rule_sql import UNDEFINED, Message
from pasture.store.errors import StoreFailed

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

_log = logging.getLogger(__name__)

_QOS = 1
_KEEPALIVE = 30
# Seconds between tries to reach a broker that is away: at first, and at most.
_RETRY = (1, 15)

Accepts = Callable[[Pushed], Awaitable[str]]


class Mqtt:
    """All rules, from `open` until `close`. The broker need not be there."""

    def __init__(self, broker: Broker, rules: Sequence[MqttRule], server: str, accepts: Accepts, clock: Clock) -> None:
        """`server` tells this server's sessions from another's. Raises OperatorError."""
        if importlib.util.find_spec("paho") is None:
            raise OperatorError(
                "MQTT needs paho-mqtt, which is not installed.",
                f"Install it with: {sys.executable} -m pip install 'pasture[mqtt]'",
            )
        self._sessions = [_Session(broker, rule, server, accepts, clock) for rule in rules]

    def open(self) -> None:
        for session in self._sessions:
            session.open()

    async def close(self) -> None:
        await asyncio.gather(*(session.close() for session in self._sessions))


class _Session:
    """Of one rule. paho calls from a thread of its own; whatever it says is handled on the event loop."""

    def __init__(self, broker: Broker, rule: MqttRule, server: str, accepts: Accepts, clock: Clock) -> None:
        self._broker = broker
        self._rule = rule
        self._accepts = accepts
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks(f"MQTT rule of {rule.name}")
        self._client = self._new_client(server)

    def _new_client(self, server: str) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        # The same as long as the rule is: a rule that was changed begins anew.
        mark = hashlib.sha256(f"{self._rule.name}\n{self._rule.rule.topic_filter}".encode()).hexdigest()[:12]
        client = Client(CallbackAPIVersion.VERSION2, f"pasture-{server}-{mark}", clean_session=False, manual_ack=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._came
        client.reconnect_delay_set(*_RETRY)
        if self._broker.user:
            client.username_pw_set(self._broker.user, self._broker.password or None)
        if self._broker.is_tls:
            client.tls_set()
        return client

    def open(self) -> None:
        self._client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE)
        self._client.loop_start()

    async def close(self) -> None:
        """What is not durable is not acknowledged, and comes again to the next."""
        await self._tasks.close()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    # Called in paho's thread...

    def _connected(self, client: "Client", _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.error("the MQTT broker %s refuses the rule of %s: %s", self._broker, self._rule.name, reason)
            return
        client.subscribe(self._rule.rule.topic_filter, _QOS)

    def _disconnected(self, _client: "Client", _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("the MQTT broker %s is away for the rule of %s: %s", self._broker, self._rule.name, reason)

    def _came(self, _client: "Client", _data: Any, message: "MQTTMessage") -> None:
        self._loop.call_soon_threadsafe(self._begin, message)

    # ...and on the loop.

    def _begin(self, message: "MQTTMessage") -> None:
        self._tasks.start(self._handle(message), "message")

    async def _handle(self, message: "MQTTMessage") -> None:
        payload = self._payload(Message(message.topic, message.payload, self._clock.now()))
        while payload:
            try:
                await self._accepts(Pushed(self._rule.function, payload))
                break
            except StoreFailed:
                continue  # it has been told and tried for a while; the broker keeps the message
            except ApiError as error:
                _log.warning("%s does not get a message of %s: %s", self._rule.name, message.topic, error)
                break
        self._client.ack(message.mid, message.qos)

    def _payload(self, message: Message) -> bytes:
        result = self._rule.rule.result(message)
        if result is UNDEFINED:
            return b""
        try:
            return json.dumps(result, allow_nan=False).encode()
        except ValueError:
            _log.warning("%s does not get a message of %s: it has a number without end", self._rule.name, message.topic)
            return b""
