"""One attempt at an asynchronous event: by what the function is now, to what the queue is to be told.

Code, alias, configuration and reservation are looked up anew for every attempt.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from pasture.domain.errors import ApiError, RecursiveInvocation, ResourceNotFound, TooManyRequests
from pasture.domain.events import Condition, Delivery, Event
from pasture.domain.function import LATEST, Function, FunctionVersion
from pasture.domain.function_settings import EventInvoke
from pasture.domain.identifiers import FunctionRef
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.scope import Scope
from pasture.invoke import retry
from pasture.invoke.retry import Ended, GiveUp, Policy
from pasture.kit.clock import Clock
from pasture.kit.random_ids import random_uuid
from pasture.metrics.names import Place
from pasture.store.events import Failure

_log = logging.getLogger(__name__)

_WORDS = 1_000

Find = Callable[[Scope, str], Awaitable[Function | None]]
Resolve = Callable[[Scope, FunctionRef], Awaitable[FunctionVersion]]
Invoke = Callable[[FunctionVersion, Invocation], Awaitable[Outcome]]
Check = Callable[[Scope, str, str], Awaitable[None]]
"""Raises RecursiveInvocation for a function and the tracing header of an event that goes round in circles."""
Observe = Callable[[str, Place, float], None]


class Record(Protocol):
    """What is to be delivered when an event is over."""

    def __call__(
        self,
        event: Event,
        condition: Condition,
        *,
        settings: EventInvoke | None,
        dead_letter_arn: str,
        role: str,
        executed_version: str,
        invoke_count: int,
        outcome: Outcome | None,
        now: float,
        new_id: Callable[[], str],
    ) -> Sequence[Delivery]: ...


@dataclass(frozen=True, slots=True)
class Over:
    event: Event
    deliveries: Sequence[Delivery]
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Later:
    event: Event
    due: float
    error: str
    set_back: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """The function is there no more."""


Verdict = Over | Later | Gone


@dataclass(frozen=True, slots=True)
class _Attempt:
    event: Event
    function: Function
    settings: EventInvoke | None
    version: FunctionVersion | None = None


class Attempts:
    def __init__(
        self,
        find: Find,
        resolve: Resolve,
        invoke: Invoke,
        check: Check,
        record: Record,
        observe: Observe,
        clock: Clock,
        *,
        scale: float = 1.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`scale`: of all waits and ages."""
        self._find = find
        self._resolve = resolve
        self._invoke = invoke
        self._check = check
        self._record = record
        self._observe = observe
        self._clock = clock
        self._scale = scale
        self._draw = draw

    async def make(self, event: Event) -> Verdict:
        function = await self._find(event.scope, event.name)
        if function is None:
            self._observe("AsyncEventsDropped", place(event), 1)
            return Gone()
        settings = function.settings.event_invoke.get(event.qualifier or LATEST)
        policy = Policy.of(settings, self._scale)
        attempt = _Attempt(event, function, settings)
        given_up = retry.before(event, policy, function.reserved_concurrency, self._clock.now())
        if given_up is not None:
            return await self._unheard(attempt, given_up.condition, "")
        try:
            version = await self._resolve(event.scope, FunctionRef(event.name, event.qualifier or None))
            await self._check(event.scope, event.name, event.trace_id)
        except RecursiveInvocation as error:
            return await self._unheard(attempt, Condition.RECURSION, error.message)
        except ResourceNotFound as error:
            return self._over(attempt, Condition.NOT_FOUND, None, error.message)
        except Exception as error:  # noqa: BLE001 - told to the operator; it may be another time
            return self._decide(attempt, policy, Ended.SET_BACK, None, _said(error, event))
        return await self._run(_Attempt(event, function, settings, version), policy, version)

    async def _run(self, attempt: _Attempt, policy: Policy, version: FunctionVersion) -> Verdict:
        event, began = attempt.event, self._clock.now()
        try:
            outcome = await self._invoke(version, _invocation(event))
        except Exception as error:  # noqa: BLE001 - as above
            return self._decide(attempt, policy, Ended.SET_BACK, None, _said(error, event))
        age = max(0.0, began - event.accepted) * 1000
        self._observe("AsyncEventAge", place(event, version.version), age)
        if outcome.failed:
            return self._decide(attempt, policy, Ended.FAILED, outcome, _words(outcome))
        return self._decide(attempt, policy, Ended.WELL, outcome, "")

    def _decide(self, attempt: _Attempt, policy: Policy, ended: Ended, outcome: Outcome | None, error: str) -> Verdict:
        decision = retry.after(attempt.event, ended, policy, self._clock.now(), self._draw())
        if isinstance(decision, retry.Again):
            return Later(decision.event, decision.due, error, ended is Ended.SET_BACK)
        if isinstance(decision, GiveUp):
            tried = _Attempt(decision.event, attempt.function, attempt.settings, attempt.version)
            return self._over(tried, decision.condition, outcome, error)
        return self._over(attempt, Condition.SUCCESS, outcome, "")

    async def _unheard(self, attempt: _Attempt, condition: Condition, error: str) -> Over:
        """Given up before it could run: whom to tell is with the version that would have."""
        event = attempt.event
        try:
            version = await self._resolve(event.scope, FunctionRef(event.name, event.qualifier or None))
        except ApiError:
            version = attempt.function.latest
        return self._over(_Attempt(event, attempt.function, attempt.settings, version), condition, None, error)

    def _over(self, attempt: _Attempt, condition: Condition, outcome: Outcome | None, error: str) -> Over:
        event, version, now = attempt.event, attempt.version, self._clock.now()
        succeeded = condition is Condition.SUCCESS
        dead_letters = (version.more.get("DeadLetterConfig") or {}) if version is not None else {}
        deliveries = self._record(
            event,
            condition,
            settings=attempt.settings,
            dead_letter_arn=dead_letters.get("TargetArn") or "",
            role=(version or attempt.function.latest).role,
            executed_version=version.version if version is not None else "",
            invoke_count=event.attempts + succeeded,
            outcome=outcome,
            now=now,
            new_id=random_uuid,
        )
        if succeeded:
            return Over(event, deliveries, None)
        self._observe("AsyncEventsDropped", place(event, version.version if version is not None else ""), 1)
        return Over(event, deliveries, Failure(condition, now, error))


def place(event: Event, version: str = "") -> Place:
    resource = f"{event.name}:{event.qualifier}" if event.qualifier else event.name
    return Place(event.scope.account, event.scope.region, event.name, resource, version)


def _invocation(event: Event) -> Invocation:
    return Invocation(
        request_id=event.id,
        function_arn=event.function_arn,
        payload=event.payload,
        trace_id=event.trace_id,
        client_context=event.client_context,
        invocation_id=random_uuid(),
        tenant_id=event.tenant_id,
    )


def _said(error: Exception, event: Event) -> str:
    if isinstance(error, TooManyRequests):
        return f"{error.code}: {error.members.get('Reason') or error.message}"
    if isinstance(error, ApiError):
        return f"{error.code}: {error.message}"
    _log.error("event %s of %s failed", event.id, event.function_arn, exc_info=error)
    return f"ServiceException: {type(error).__name__}"


def _words(outcome: Outcome) -> str:
    """Type and message of the function's error, as far as it says either."""
    try:
        told = msgspec.json.decode(outcome.payload)
    except (ValueError, msgspec.DecodeError, RecursionError):
        told = None
    message = told.get("errorMessage") if isinstance(told, dict) else None
    kind = told.get("errorType") if isinstance(told, dict) else None
    return f"{kind or outcome.error_type or outcome.status}: {message or ''}"[:_WORDS].removesuffix(": ")
