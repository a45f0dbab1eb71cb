"""What every wire protocol can do: say which operation a request means, and write its answer."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from pasture.domain.errors import ApiError
from pasture.http.message import Request, Response


class Found(NamedTuple):
    """The operation that a request means, and how to read its input: parsing and validation may be slow."""

    operation: str
    read: Callable[[], dict[str, Any]]
    is_slow: bool = False
    """Whether it is, for as many bytes as there are."""


class Wire(Protocol):
    def prepare(self, operation: str) -> None:
        """Compile an operation now, so that its first call is not slower than the others."""
        ...

    def find(self, request: Request) -> Found:
        """Raises UnknownOperation."""
        ...

    def answer(self, operation: str, output: dict[str, Any], request_id: str) -> Response: ...

    def error(self, error: ApiError, request_id: str) -> Response: ...
