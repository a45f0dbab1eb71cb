"""Invoke: what the door checks before an invocation, and how its outcome is told (aws-lambda reference 4.1, 4.2)."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from pasture.api.payload import check_json
from pasture.api.streamed_answer import StreamedAnswer
from pasture.domain.errors import InvalidParameterValue, InvalidRequestContent, RequestTooLarge, ServiceError
from pasture.domain.events import Event
from pasture.domain.function import FunctionVersion
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.domain.invocation import Invocation, Outcome, ResponseSink
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.invoke import lineage
from pasture.invoke.recursion import Stop, stop_nothing
from pasture.kit.clock import Clock
from pasture.kit.random_ids import random_hex, random_uuid
from pasture.store.errors import StoreFailed

if TYPE_CHECKING:
    from pasture.api.call import Call

_log = logging.getLogger(__name__)

Resolve = Callable[[Scope, FunctionRef], Awaitable[FunctionVersion]]
"""The version that a reference means this time; raises the answer of AWS when it means none that can run."""
Invoke = Callable[[FunctionVersion, Invocation], Awaitable[Outcome]]
Accept = Callable[[Event], Awaitable[None]]
"""Keeps an event to be run: durable when it returns. Raises StoreFailed."""

# The words of AWS's message round the limit down to 6 MiB; what is enforced is RAPID's number, 100 bytes more.
_TOO_LARGE = "{size} byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
_EVENT_TOO_LARGE = "{size} byte payload is too large for the Event invocation type (limit {limit} bytes)"
# AWS's words for the code, in the service model, and ours for why.
_NOT_KEPT = "The Lambda service encountered an internal error: the event could not be queued, and will not run."
_NO_TENANT = (
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)
# Ours, in AWS's style: theirs for this case is not known.
_ANY_TENANT = (
    "The invoked function is not enabled with tenancy configuration. "
    "Remove the tenant ID from your request and try again."
)
# Below this, looking through a payload on the event loop is quicker than asking a thread to.
_CHECK_ELSEWHERE_BYTES = 256 * 1024


class InvokeOperations:
    def __init__(
        self,
        resolve: Resolve,
        invoke: Invoke,
        accept: Accept,
        limits: Limits,
        clock: Clock,
        stop_loop: Stop = stop_nothing,
    ) -> None:
        self._resolve = resolve
        self._invoke = invoke
        self._accept = accept
        self._limits = limits
        self._clock = clock
        self._stop_loop = stop_loop

    async def invoke(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        version, arn = await self._routed(call, request)
        kind = request.get("InvocationType", "RequestResponse")
        if kind == "DryRun":
            return {"StatusCode": 204}
        if kind == "Event":
            payload = request.get("Payload") or b"{}"
            await self._queue(call, request, payload, version, self._limits.async_payload_bytes)
            return {"StatusCode": 202}
        invocation = await self._invocation(call, request, arn)
        return _told(await self._invoke(version, invocation), version)

    async def invoke_async(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """As Invoke with the type Event was before it had types: deprecated by AWS, and still served."""
        version, _ = await self._routed(call, request)
        payload = request.get("InvokeArgs") or b"{}"
        await self._queue(call, request, payload, version, self._limits.invoke_async_payload_bytes)
        return {"Status": 202}

    async def invoke_with_response_stream(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        version, arn = await self._routed(call, request)
        if request.get("InvocationType") == "DryRun":
            return {"StatusCode": 204}
        answer = StreamedAnswer()
        invocation = await self._invocation(call, request, arn, sink=answer)
        await answer.begin(self._invoke(version, invocation))
        return {"StatusCode": 200, "ExecutedVersion": version.version, "EventStream": answer.events()}

    async def _routed(self, call: "Call", request: dict[str, Any]) -> tuple[FunctionVersion, str]:
        """Which version is meant, and the ARN as the caller addressed it."""
        reference, scope, arn = _addressed(request["FunctionName"], call.scope, request.get("Qualifier"))
        version = await self._resolve(scope, reference)
        if version.keeps_tenants_apart is not ("TenantId" in request):
            raise InvalidParameterValue(_NO_TENANT if version.keeps_tenants_apart else _ANY_TENANT)
        return version, arn

    async def _invocation(
        self, call: "Call", request: dict[str, Any], arn: str, sink: ResponseSink | None = None
    ) -> Invocation:
        payload = request.get("Payload") or b"{}"
        if len(payload) > self._limits.payload_bytes:
            raise RequestTooLarge(_TOO_LARGE.format(size=len(payload)))
        await _check_json(payload)
        trace = call.request.headers.first.get("x-amzn-trace-id") or new_trace(self._clock.now())
        trace, before = lineage.counted(trace, arn)
        call.answer_headers["X-Amzn-Trace-Id"] = trace
        if before >= lineage.INVOCATIONS:
            await self._stop_loop(arn)
        return Invocation(
            request_id=call.request_id,
            function_arn=arn,
            payload=payload,
            trace_id=trace,
            client_context=self._client_context(request.get("ClientContext", "")),
            tail=request.get("LogType") == "Tail",
            invocation_id=random_uuid(),
            sink=sink,
            tenant_id=request.get("TenantId", ""),
        )

    async def _queue(
        self, call: "Call", request: dict[str, Any], payload: bytes, version: FunctionVersion, limit: int
    ) -> None:
        """The client context is for synchronous invocations, and so is the tail of the log."""
        if len(payload) > limit:
            raise RequestTooLarge(_EVENT_TOO_LARGE.format(size=len(payload), limit=limit))
        await _check_json(payload)
        scope, name = version.scope, version.name
        trace = call.request.headers.first.get("x-amzn-trace-id") or new_trace(self._clock.now())
        call.answer_headers["X-Amzn-Trace-Id"] = trace
        reference, _, _ = _addressed(request["FunctionName"], call.scope, request.get("Qualifier"))
        event = Event(
            call.request_id,
            scope,
            name,
            reference.qualifier or "",
            bytes(payload),
            self._clock.now(),
            lineage.counted(trace, scope.function_arn(name))[0],
            tenant_id=request.get("TenantId", ""),
        )
        try:
            await self._accept(event)
        except StoreFailed as error:
            _log.error("an event of %s is refused: %s", name, error)
            raise ServiceError(_NOT_KEPT) from error

    def _client_context(self, header: str) -> str:
        """Base64 of a JSON object, handed to the runtime as its text."""
        if not header:
            return ""
        if len(header) > self._limits.client_context_bytes:
            raise InvalidRequestContent(
                f"Client context must be no more than {self._limits.client_context_bytes} bytes when base64-encoded."
            )
        try:
            text = base64.b64decode(header, validate=True)
            msgspec.json.decode(text, type=dict)
            return text.decode()
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from error


async def _check_json(payload: bytes) -> None:
    if len(payload) < _CHECK_ELSEWHERE_BYTES:
        check_json(payload)
    else:
        await asyncio.to_thread(check_json, payload)


@lru_cache(maxsize=4096)
def _addressed(name: str, caller: Scope, qualifier: str | None) -> tuple[FunctionRef, Scope, str]:
    """The function that is meant, whose it is, and its ARN as it was addressed."""
    reference = locate_function(name, caller, qualifier)
    return reference, reference.scope(caller), reference.arn(caller)


def _told(outcome: Outcome, version: FunctionVersion) -> dict[str, Any]:
    answer: dict[str, Any] = {"StatusCode": 200, "ExecutedVersion": version.version, "Payload": outcome.payload}
    if outcome.failed:
        answer["FunctionError"] = "Unhandled"
    if outcome.log_tail:
        answer["LogResult"] = base64.b64encode(outcome.log_tail).decode()
    return answer


def new_trace(now: float) -> str:
    """A trace header as AWS makes one for an invocation that came without (reference 2.6): not sampled."""
    return f"Root=1-{int(now):08x}-{random_hex(24)};Parent={random_hex(16)};Sampled=0"
