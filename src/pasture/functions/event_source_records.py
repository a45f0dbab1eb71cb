"""How the documents of event source mappings are named and written.

| key | holds |
|---|---|
| `event-source-mappings/ACCOUNT/REGION/UUID` | the mapping, as JSON of `domain.event_source.EventSourceMapping` |
| `mappings-by-function/ACCOUNT/REGION/FUNCTION/UUID` | nothing: this function may have that mapping |
| `mappings-by-source/ACCOUNT/REGION/DIGEST/FUNCTION/UUID` | nothing: this source may have that mapping |
| `mapping-transitions/ACCOUNT/REGION/UUID` | as JSON, the index entries that may have to go once it is at rest |

FUNCTION is a name with or without `:QUALIFIER`; DIGEST is the SHA-256 of a source's ARN or server. A transition and
the index entries are written before the mapping and removed after, so a crash leaves some too many and never one too
few: whoever reads an index looks whether the mapping says the same.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.scope import Scope
from pasture.functions.records import Form

MAPPINGS = "event-source-mappings/"
TRANSITIONS = "mapping-transitions/"
_BY_FUNCTION = "mappings-by-function/"
_BY_SOURCE = "mappings-by-source/"

MAPPING = Form(EventSourceMapping)
_ENTRIES = msgspec.json.Decoder(list[str])


class MappingKey(NamedTuple):
    scope: Scope
    uuid: str

    def __str__(self) -> str:
        return f"{_prefix(self.scope)}{self.uuid}"

    @property
    def mapping(self) -> str:
        return f"{MAPPINGS}{self}"

    @property
    def transition(self) -> str:
        return f"{TRANSITIONS}{self}"


def key_of(document_key: str) -> MappingKey:
    """Of a mapping's document or its transition's."""
    account, region, uuid = document_key.rsplit("/", 3)[1:]
    return MappingKey(Scope(account, region), uuid)


def mappings_prefix(scope: Scope) -> str:
    return f"{MAPPINGS}{_prefix(scope)}"


def by_function(scope: Scope, function: str) -> str:
    """The prefix of a function's mappings; `function` has its qualifier."""
    return f"{_BY_FUNCTION}{_prefix(scope)}{function}/"


def by_source(scope: Scope, source: str, function: str = "") -> str:
    """The prefix of a source's mappings, of those for a function when one is given."""
    digest = hashlib.sha256(source.encode()).hexdigest()
    return f"{_BY_SOURCE}{_prefix(scope)}{digest}/" + (f"{function}/" if function else "")


def index_entries(mapping: EventSourceMapping) -> frozenset[str]:
    """The keys of all that must be in the indexes."""
    scope, function = mapping.scope, mapping.function_name
    prefixes = [by_function(scope, function), *(by_source(scope, source, function) for source in mapping.sources)]
    return frozenset(f"{prefix}{mapping.uuid}" for prefix in prefixes)


def encode_entries(entries: Sequence[str]) -> bytes:
    return msgspec.json.encode(entries)


def decode_entries(value: bytes) -> list[str]:
    return _ENTRIES.decode(value)


def _prefix(scope: Scope) -> str:
    return f"{scope.account}/{scope.region}/"
