"""`/metrics`: the totals since the server's start, for Prometheus.

Open to everyone where the door is, or where the setting `metrics_open` says so. Else a call must be signed as those of
CloudWatch are, by someone who may `cloudwatch:GetMetricData`, and is told of its own account only.
"""

import asyncio
from collections.abc import Awaitable, Callable

from pasture.api.auth.authenticator import Authenticates
from pasture.api.call import Call
from pasture.domain.errors import ApiError
from pasture.http.message import Request, Response
from pasture.kit.random_ids import random_uuid
from pasture.metrics.prometheus import CONTENT_TYPE, page
from pasture.metrics.service import Metrics

PATH = "/metrics"

Authorise = Callable[[str, Call, dict[str, object]], Awaitable[None]]


class NoSuchPage(ApiError):
    code = "ResourceNotFoundException"
    status = 404


class MetricsPage:
    def __init__(self, metrics: Metrics, authenticator: Authenticates, authorise: Authorise, *, is_open: bool) -> None:
        self._metrics = metrics
        self._authenticator = authenticator
        self._authorise = authorise
        self._is_open = is_open

    async def __call__(self, request: Request) -> Response:
        if request.raw_path != PATH or request.method != "GET":
            raise NoSuchPage(f"No page answers {request.method} {request.raw_path[:256]}.")
        account = None if self._is_open else await self._account(request)
        totals = await self._metrics.totals()
        running = self._metrics.recorder.running()
        text = await asyncio.to_thread(page, totals, running, account)
        return Response(200, {"Content-Type": CONTENT_TYPE}, text)

    async def _account(self, request: Request) -> str:
        """Whose metrics the caller may read. Raises what the front door would."""
        who = await self._authenticator.authenticate(request)
        call = Call(random_uuid(), "GetMetricData", who.scope, who.principal, request, "")
        await self._authorise("cloudwatch", call, {})
        return who.scope.account
