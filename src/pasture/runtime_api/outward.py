"""What else is answered on the socket of the Runtime API: calls of AWS, for which a function needs no network."""

from collections.abc import Awaitable
from typing import Protocol

from pasture.http.message import Headers, Request, Response


class Outward(Protocol):
    def takes(self, request: Request) -> bool:
        """Whether the call is one of AWS. Asked of every call, those of the runtime included."""
        ...

    def call(self, request: Request, /) -> Awaitable[Response]: ...

    def streams(self, target: str, headers: Headers, /) -> bool:
        """Whether the body of such a call is handed over as it comes."""
        ...

    def too_large(self, method: str, target: str, /) -> Response: ...
