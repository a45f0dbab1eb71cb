"""Which shards of a stream are to be read now. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    id: str
    parents: tuple[str, ...] = ()
    """What it was split from, or merged of."""


def ready(shards: Iterable[Shard], done: Collection[str]) -> list[str]:
    """Those that are not read to their end, once all that their parents had is: a parent that is no longer there has
    nothing left.
    """
    listed = {shard.id: shard for shard in shards}
    return [
        shard.id
        for shard in listed.values()
        if shard.id not in done and all(parent in done or parent not in listed for parent in shard.parents)
    ]
