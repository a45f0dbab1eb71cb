"""`/_pasture/status`: what the machine's memory is promised to, for its operators (`pasture status`).

A call must be signed as those of Lambda are, by someone who may `lambda:GetAccountSettings`, and is told of the
functions of its own account and region; what all of them make together is told to everyone who may ask.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from pasture.api.auth.authenticator import Authenticates
from pasture.api.call import Call
from pasture.domain.errors import UnknownOperation
from pasture.domain.scope import Scope
from pasture.environments.assignment import Assignment
from pasture.http.message import Request, Response
from pasture.invoke.admission import Admission
from pasture.kit.random_ids import random_uuid

PATH = "/_pasture/status"

_SERVE = ("starting", "idle", "busy", "stopping")
_SNAPSHOTS = ("initialising", "resting")

Authorise = Callable[[str, Call, dict[str, Any]], Awaitable[None]]


class StatusPage:
    def __init__(
        self,
        assignment: Assignment,
        admission: Admission,
        stock: Callable[[], int],
        authenticator: Authenticates,
        authorise: Authorise,
    ) -> None:
        """`stock`: how many sandboxes are half made."""
        self._assignment = assignment
        self._admission = admission
        self._stock = stock
        self._authenticator = authenticator
        self._authorise = authorise

    async def __call__(self, request: Request) -> Response:
        if request.raw_path != PATH or request.method != "GET":
            raise UnknownOperation(f"No page answers {request.method} {request.raw_path[:256]}.")
        who = await self._authenticator.authenticate(request)
        call = Call(random_uuid(), "GetAccountSettings", who.scope, who.principal, request, "")
        await self._authorise("lambda", call, {})
        return Response(200, {"Content-Type": "application/json"}, msgspec.json.encode(self.status(who.scope)))

    def status(self, scope: Scope) -> dict[str, Any]:
        assignment = self._assignment
        by_function = assignment.by_function()
        promised, total = assignment.memory
        states: Counter[str] = Counter()
        for counts in by_function.values():
            states.update(counts)
        return {
            "environments": _of(states, _SERVE),
            "snapshots": _of(states, _SNAPSHOTS),
            "memory": {
                "promised_mb": promised,
                "snapshots_mb": assignment.snapshots_promised_mb,
                "total_mb": total,
            },
            "starts_at_once": assignment.starts_at_once,
            "waiting": {"invocations": len(assignment.waiting), "without_room": assignment.waiting.short_in_all},
            "stock": self._stock(),
            "functions": self._functions(scope, by_function),
        }

    def _functions(self, scope: Scope, by_function: dict[str, dict[str, int]]) -> dict[str, Any]:
        prefix = f"{scope.account}/{scope.region}/"
        running = self._admission.running((scope.account, scope.region))
        names = {name.removeprefix(prefix) for name in by_function if name.startswith(prefix)} | running.keys()
        return {
            name: {
                "invocations": running.get(name, 0),
                "environments": _of(by_function.get(prefix + name, {}), _SERVE),
                "snapshots": _of(by_function.get(prefix + name, {}), _SNAPSHOTS),
                "memory_mb": self._assignment.memory_of(prefix + name),
                "without_room": self._assignment.waiting.short_of(prefix + name),
            }
            for name in sorted(names)
        }


def _of(counts: Mapping[str, int], states: tuple[str, ...]) -> dict[str, int]:
    return {state: counts.get(state, 0) for state in states}
