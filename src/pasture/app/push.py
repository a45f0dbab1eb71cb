"""Composes push sources: what stands before the one door for events that services hand to functions."""

import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from pasture.app.data_directory import secret
from pasture.app.invoking import Invoking
from pasture.app.parts import Parts
from pasture.domain.errors import AccessDenied, ApiError
from pasture.domain.scope import Scope
from pasture.logs import names
from pasture.logs.subscriptions import Undelivered
from pasture.sources.push.accepting import Accepting, Origin, Pushed
from pasture.sources.push.mqtt import Mqtt
from pasture.store.errors import StoreFailed

_log = logging.getLogger(__name__)

# Who the embedded services may be: theirs is no word for anybody else, and least for the operator.
_EMBEDDED = frozenset({"s3.amazonaws.com", "sns.amazonaws.com"})


async def open_push(stack: AsyncExitStack, parts: Parts, invoking: Invoking) -> None:
    embedded = parts.neighbourhood.embedded
    if embedded is not None:
        embedded.answers = _Embedded(invoking.accepting)
    delivering = parts.logs.delivering(LogReaders(invoking.accepting).hand)
    stack.push_async_callback(delivering.close)
    delivering.open()
    await _open_mqtt(stack, parts, invoking.accepting)


async def _open_mqtt(stack: AsyncExitStack, parts: Parts, accepting: Accepting) -> None:
    options = parts.settings.mqtt_options
    if options is None:
        return
    server = (await secret(parts.documents, "mqtt-sessions")).hex()[:12]
    mqtt = Mqtt(*options, server, accepting.patiently, parts.clock)
    stack.push_async_callback(mqtt.close)
    mqtt.open()


class _Embedded:
    """What the embedded S3 and SNS hand to functions."""

    def __init__(self, accepting: Accepting) -> None:
        self._accepting = accepting

    async def __call__(self, said: Mapping[str, Any]) -> str:
        if said["service"] not in _EMBEDDED:
            return f"{said['service']} is none of the embedded services."
        origin = Origin(said["service"], said["source"], said["account"])
        try:
            if said["kind"] == "check":
                await self._accepting.check(said["function"], origin)
            else:
                payload = json.dumps(said["event"]).encode()
                await self._accepting.patiently(Pushed(said["function"], payload, origin, said["trace"]))
        except (ApiError, StoreFailed) as error:
            return str(error) or type(error).__name__
        return ""


class LogReaders:
    """Functions that are subscribed to log groups."""

    def __init__(self, accepting: Accepting) -> None:
        self._accepting = accepting

    async def may_have(self, scope: Scope, group: str, function: str) -> bool:
        try:
            await self._origin(scope, group, function)
        except ApiError:
            return False
        return True

    async def hand(self, batch: Undelivered, payload: bytes) -> None:
        """What a function may not or cannot have is skipped, as on AWS."""
        function = batch.subscription.destination
        try:
            origin = await self._origin(batch.scope, batch.group, function)
            await self._accepting(Pushed(function, payload, origin))
        except ApiError as error:
            _log.warning(
                "%d log events of %s are not handed to %s: %s", len(batch.events), batch.group, function, error
            )

    async def _origin(self, scope: Scope, group: str, function: str) -> Origin:
        """Permissions may name the service with its region, as was needed once."""
        arn = f"{names.group_arn(scope, group)}:*"
        try:
            origin = Origin("logs.amazonaws.com", arn, scope.account)
            await self._accepting.check(function, origin)
        except AccessDenied:
            origin = Origin(f"logs.{scope.region}.amazonaws.com", arn, scope.account)
            await self._accepting.check(function, origin)
        return origin
