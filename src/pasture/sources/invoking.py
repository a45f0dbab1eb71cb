"""Hands a batch to its function, as that is now: alias, code and concurrency are looked up for every batch."""

import logging
from collections.abc import Awaitable, Callable

from pasture.domain.errors import ApiError, TooManyRequests
from pasture.domain.event_source import EventSourceMapping
from pasture.domain.function import FunctionVersion
from pasture.domain.identifiers import FunctionRef
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.scope import Scope
from pasture.invoke import lineage
from pasture.kit.random_ids import random_uuid
from pasture.sources.source import Ran

_log = logging.getLogger(__name__)

_TIMEOUT_DEFAULT = 3.0

Resolve = Callable[[Scope, FunctionRef], Awaitable[FunctionVersion]]
Invoke = Callable[[FunctionVersion, Invocation], Awaitable[Outcome]]
Check = Callable[[Scope, str, str], Awaitable[None]]
"""Raises RecursiveInvocation for a function and the tracing header of what goes round in circles."""


class MappedFunctions:
    """`Functions` of `sources.source`."""

    def __init__(self, resolve: Resolve, invoke: Invoke, check: Check) -> None:
        self._resolve = resolve
        self._invoke = invoke
        self._check = check

    async def invoke(self, mapping: EventSourceMapping, payload: bytes, *, trace_id: str = "") -> Ran:
        request_id = random_uuid()
        try:
            version = await self._resolve(mapping.scope, _ref(mapping))
            traced = lineage.counted(trace_id, mapping.function_arn)[0]
            await self._check(mapping.scope, mapping.function, traced)
            invocation = Invocation(request_id, mapping.function_arn, payload, traced, invocation_id=random_uuid())
            outcome = await self._invoke(version, invocation)
        except TooManyRequests as error:
            why = error.members.get("Reason") or error.message
            return Ran(None, request_id, why=f"PROBLEM: Function call was throttled: {why}", throttled=True)
        except ApiError as error:
            return Ran(None, request_id, why=f"PROBLEM: {error.message}")
        except Exception as error:  # noqa: BLE001 - told to the operator; it may be another time
            _log.error("a batch of mapping %s could not be handed over", mapping.uuid, exc_info=error)
            return Ran(None, request_id, why=f"PROBLEM: {type(error).__name__}")
        why = "PROBLEM: Function call failed" if outcome.failed else "OK"
        return Ran(outcome, request_id, version.version, why)

    async def timeout(self, mapping: EventSourceMapping) -> float:
        try:
            return float((await self._resolve(mapping.scope, _ref(mapping))).timeout)
        except ApiError:
            return _TIMEOUT_DEFAULT

    async def role(self, mapping: EventSourceMapping) -> str:
        try:
            return (await self._resolve(mapping.scope, _ref(mapping))).role
        except ApiError:
            return ""


def _ref(mapping: EventSourceMapping) -> FunctionRef:
    return FunctionRef(mapping.function, mapping.qualifier or None)
