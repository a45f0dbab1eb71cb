"""One call of an operation, as the operation sees it: who, where, which, and the request it came in."""

from dataclasses import dataclass, field

from pasture.domain.scope import Scope
from pasture.http.message import Request
from pasture.iam.principal import Principal


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What a signature says once it is believed."""

    principal: Principal
    scope: Scope
    service: str | None = None
    """The credential scope's service; None when the request carries no signature."""


@dataclass(frozen=True, slots=True)
class Call:
    request_id: str
    operation: str
    scope: Scope
    principal: Principal
    request: Request
    base_url: str
    """How the client reached this server, without a trailing slash; links begin with it."""
    answer_headers: dict[str, str] = field(default_factory=dict)
    """Headers that the operation adds to a good answer beside those of the model (`X-Amzn-Trace-Id`)."""


__all__ = ["Authenticated", "Call", "Principal"]
