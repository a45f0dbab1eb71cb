"""The endpoint that functions find inside their sandboxes (`AWS_ENDPOINT_URL`), on the socket of the Runtime API.

The two are told apart by the signature: every call of AWS has one, none of the Runtime API does. What is there is what
signed calls find outside, and no page, link or function URL.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pasture.api.gateway import too_large
from pasture.api.passing.claims import is_signed, streams_to_s3
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request, Response

Answer = Callable[[Scope, Request], Awaitable[Response]]
"""The answer to a call from a sandbox of this account and region."""


class Insides:
    """Functions may be initialised before the gateway is there: their calls wait for it."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def open(self, answer: Answer) -> None:
        self._answer.set_result(answer)

    def of(self, scope: Scope) -> "Inside":
        return Inside(self._answer, scope)


@dataclass(frozen=True, slots=True)
class Inside:
    """An `Outward` of the Runtime API."""

    _answer: asyncio.Future[Answer]
    _scope: Scope

    def takes(self, request: Request) -> bool:
        """Who has signed it, and how well, is found out by serving it."""
        return is_signed(request.target, request.headers)

    async def call(self, request: Request) -> Response:
        answer = await self._answer if not self._answer.done() else self._answer.result()
        return await answer(self._scope, request)

    def streams(self, target: str, headers: Headers) -> bool:
        return streams_to_s3(target, headers)

    def too_large(self, method: str, target: str) -> Response:
        return too_large(method, target)
