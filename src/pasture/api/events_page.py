"""`/_pasture/events/FUNCTION`: the asynchronous events of a function, for its operators (`pasture events`).

`GET` tells how many there are and shows the first, `POST …/purge` forgets what is queued (`?failed=true`: what has
failed), `POST …/redrive` queues again what has failed. With `?deliveries=true` both are for what was to tell of events
and could not be delivered, with `&id=` for one of these. A call must be signed as those of Lambda are, by someone who
may `lambda:GetFunctionEvents`, `lambda:PurgeFunctionEvents` or `lambda:RedriveFunctionEvents`: actions of ours.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from pasture.api.auth.authenticator import Authenticates
from pasture.api.call import Call
from pasture.domain.errors import InvalidParameterValue, ResourceNotFound, UnknownOperation
from pasture.domain.function import Function
from pasture.domain.identifiers import locate_function
from pasture.domain.scope import Scope
from pasture.http.message import Request, Response
from pasture.invoke.queued import QueuedInvoker
from pasture.kit.clock import Clock
from pasture.kit.random_ids import random_uuid
from pasture.store.events import EventQueue, Shown, Whose
from pasture.store.outbox import Outbox, Troubled

PREFIX = "/_pasture/events/"
SHOWN = 20
SHOWN_MOST = 1_000

Authorise = Callable[[str, Call, dict[str, Any]], Awaitable[None]]
Find = Callable[[Scope, str], Awaitable[Function | None]]

_ACTIONS = {
    ("GET", ""): "GetFunctionEvents",
    ("POST", "purge"): "PurgeFunctionEvents",
    ("POST", "redrive"): "RedriveFunctionEvents",
}


class EventsPage:
    def __init__(
        self,
        queue: EventQueue,
        outbox: Outbox,
        invoker: QueuedInvoker,
        find: Find,
        clock: Clock,
        authenticator: Authenticates,
        authorise: Authorise,
    ) -> None:
        self._queue = queue
        self._outbox = outbox
        self._invoker = invoker
        self._find = find
        self._clock = clock
        self._authenticator = authenticator
        self._authorise = authorise

    async def __call__(self, request: Request) -> Response:
        name, _, verb = request.raw_path.removeprefix(PREFIX).partition("/")
        action = _ACTIONS.get((request.method, verb))
        if action is None or not name:
            raise UnknownOperation(f"No page answers {request.method} {request.raw_path[:256]}.")
        who = await self._authenticator.authenticate(request)
        reference = locate_function(unquote(name), who.scope)
        call = Call(random_uuid(), action, who.scope, who.principal, request, "")
        await self._authorise("lambda", call, {"FunctionName": unquote(name)})
        whose = Whose(reference.scope(who.scope), reference.name)
        query = dict(request.query)
        of_deliveries = query.get("deliveries") == "true"
        if action == "PurgeFunctionEvents":
            told = {"Purged": await self._purge(whose, query, of_deliveries)}
        elif action == "RedriveFunctionEvents":
            told = {"Redriven": await self._redrive(whose, query, of_deliveries)}
        else:
            told = await self._listing(whose, _limit(query.get("limit", str(SHOWN))))
        return Response(200, {"Content-Type": "application/json"}, msgspec.json.encode(told))

    async def _purge(self, whose: Whose, query: Mapping[str, str], of_deliveries: bool) -> int:
        if of_deliveries:
            return await self._outbox.forget(whose, query.get("id", ""))
        return await self._queue.purge(whose, failed=query.get("failed") == "true")

    async def _redrive(self, whose: Whose, query: Mapping[str, str], of_deliveries: bool) -> int:
        if of_deliveries:
            return await self._outbox.deliver_again(whose, self._clock.now(), query.get("id", ""))
        return await self._queue.redrive(whose, self._clock.now())

    async def _listing(self, whose: Whose, limit: int) -> dict[str, Any]:
        now = self._clock.now()
        listing = await self._queue.listing(whose, now, limit)
        troubles = await self._outbox.troubles(whose, limit)
        counts = (listing.queued, listing.failed, troubles.waiting, troubles.failed)
        if not any(counts) and await self._find(*whose) is None:
            raise ResourceNotFound(f"Function not found: {whose.scope.function_arn(whose.name)}")
        running = self._invoker.running(*whose)
        return {
            "FunctionName": whose.name,
            "Queued": max(0, listing.queued - listing.retrying - len(running)),
            "Waiting": listing.retrying,
            "Running": len(running),
            "Failed": listing.failed,
            "Events": [_told(shown, now, running) for shown in listing.first],
            "FailedEvents": [_told(shown, now, running) for shown in listing.first_failed],
            "WaitingDeliveries": troubles.waiting,
            "FailedDeliveries": troubles.failed,
            "Deliveries": [_told_of_delivery(troubled) for troubled in troubles.first],
        }


def _told(shown: Shown, now: float, running: frozenset[str]) -> dict[str, Any]:
    state = "waiting" if shown.due > now else "queued"
    if shown.failed is not None:
        state = "failed"
    elif shown.is_claimed and shown.id in running:
        state = "running"
    return {
        "Id": shown.id,
        "State": state,
        "Qualifier": shown.qualifier,
        "Accepted": shown.accepted,
        "AgeSeconds": max(0.0, now - shown.accepted),
        "Attempts": shown.attempts,
        "Throttles": shown.setbacks,
        "PayloadBytes": shown.size,
        "LastError": shown.error,
        **({"NextAttempt": shown.due} if state == "waiting" else {}),
        **({"Condition": shown.condition, "GivenUp": shown.failed} if state == "failed" else {}),
    }


def _told_of_delivery(troubled: Troubled) -> dict[str, Any]:
    is_failed = troubled.failed is not None
    return {
        "Id": troubled.id,
        "State": "failed" if is_failed else "waiting",
        "Kind": troubled.channel,
        "Target": troubled.target,
        "Qualifier": troubled.qualifier,
        "Condition": troubled.condition,
        "Created": troubled.created,
        "Attempts": troubled.attempts,
        "BodyBytes": troubled.size,
        "LastError": troubled.error,
        **({"GivenUp": troubled.failed} if is_failed else {"NextAttempt": troubled.due}),
    }


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= SHOWN_MOST:
        raise InvalidParameterValue(f"limit must be a number between 1 and {SHOWN_MOST}.")
    return int(text)
