"""Which servers are a server's neighbours: one for all services of AWS, or one for each. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

AMAZON = "aws"
"""In place of an endpoint's URL: the service itself."""

DEFAULT = "default"
_SERVICE = re.compile(r"[a-z][a-z0-9.-]{0,62}")
_URL = re.compile(r"https?://[^/?#@\s]+/?")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Where a service is, and with whose keys it is called."""

    endpoint: str
    """A URL without a path, or `aws`."""
    region: str = ""
    """That calls are signed for; that of whoever calls, when it is empty."""
    profile: str = ""
    """Of AWS's configuration files, for the keys."""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)

    @property
    def is_amazon(self) -> bool:
        return self.endpoint == AMAZON

    @property
    def has_keys(self) -> bool:
        """Whether they are said; without them AWS is called with the usual ones of this process, another server with
        the number of the caller's account in place of a key.
        """
        return bool(self.profile or self.access_key_id)


@dataclass(frozen=True, slots=True)
class NeighbourOptions:
    default: Neighbour | None = None
    """Of services that have none of their own."""
    services: Mapping[str, Neighbour] = field(default_factory=dict)
    """By the name that signatures have for the service: `sqs`."""
    embedded: bool = False
    """Whether services without a neighbour are served by a server that this one brings along."""

    @classmethod
    def read(cls, table: Mapping[str, Any], *, embedded: bool = False) -> "NeighbourOptions":
        """From `[neighbours]` of a TOML file. Raises ValueError, whose message says which entry cannot be."""
        found = {name: _entry(name, value) for name, value in table.items()}
        options = cls(found.pop(DEFAULT, None), found, embedded)
        if options.default is not None and embedded:
            raise ValueError("neighbours.default and the embedded services (with_aws) cannot both serve the rest")
        return options

    def of(self, service: str) -> Neighbour | None:
        return self.services.get(service) or self.default

    def has(self, service: str) -> bool:
        return self.embedded or self.of(service) is not None

    @property
    def is_empty(self) -> bool:
        return not (self.embedded or self.services or self.default)


def _entry(name: str, value: object) -> Neighbour:
    where = f"neighbours.{name}"
    if not _SERVICE.fullmatch(name):
        raise ValueError(f"{where}: {name!r} is no service's name, such as sqs, nor default")
    table = {"endpoint": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        problem = f"{where} is {value!r}; it must be a URL, {AMAZON}, or a table with an endpoint"
        raise ValueError(problem)  # noqa: TRY004 - a setting is wrong, not a program
    known = {f.name for f in fields(Neighbour)}
    for key, text in table.items():
        if key not in known:
            raise ValueError(f"{where}.{key} is no setting; known are: {', '.join(sorted(known))}")
        if not isinstance(text, str):
            raise ValueError(f"{where}.{key} is {text!r}, which is not a text")  # noqa: TRY004
    neighbour = Neighbour(**{"endpoint": "", **table})
    _check(where, neighbour)
    return neighbour


def _check(where: str, neighbour: Neighbour) -> None:
    if neighbour.endpoint != AMAZON and not _URL.fullmatch(neighbour.endpoint):
        raise ValueError(
            f"{where}: the endpoint is {neighbour.endpoint!r}; it must be a URL without a path, or {AMAZON} for "
            "Amazon's own"
        )
    if bool(neighbour.access_key_id) != bool(neighbour.secret_access_key):
        raise ValueError(f"{where}: access_key_id and secret_access_key go together")
    if neighbour.profile and neighbour.access_key_id:
        raise ValueError(f"{where}: either profile or access_key_id says whose keys are used, not both")
    if neighbour.session_token and not neighbour.access_key_id:
        raise ValueError(f"{where}: a session_token goes with an access_key_id")
