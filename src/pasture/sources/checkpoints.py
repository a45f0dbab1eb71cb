"""How far each part of a source has been read for a mapping: what a restart goes on from."""

from collections.abc import Mapping
from typing import Protocol


class Fenced(Exception):
    """Somebody else has taken over since: what this poller does no longer counts, and it must stop."""


class Checkpoints(Protocol):
    """Of one mapping. A part is a shard's id, or a topic's partition as `topic-3`."""

    async def load(self) -> Mapping[str, bytes]:
        """What is kept of every part. Whoever loads takes over: earlier holders are fenced off from here on."""
        ...

    async def save(self, part: str, value: bytes) -> None:
        """Returns when durable. Raises Fenced."""
        ...

    async def drop(self, part: str) -> None:
        """That part is no more. Raises Fenced."""
        ...
