"""What an account has in a region: how many functions, how much code they and layers store, what they reserve. Pure.

Kept as things change. The first look counts what is stored; while that count runs, changes arrive too, and what a
change has said about something is newer than what the count says.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Share(NamedTuple):
    """The part of one function, one published version or one layer version."""

    code_bytes: int
    claimed_concurrency: int = 0
    """Reserved for it, or without a reservation provisioned."""
    functions: int = 0


_NOTHING = Share(0)


@dataclass(slots=True)
class Usage:
    code_bytes: int = 0
    claimed_concurrency: int = 0
    functions: int = 0
    counted: bool = False
    _shares: dict[str, Share] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)

    def share_of(self, key: str) -> Share:
        return self._shares.get(key, _NOTHING)

    def changed(self, key: str, share: Share) -> None:
        self._gone.discard(key)
        self._add(share, self.share_of(key))
        self._shares[key] = share

    def removed(self, key: str) -> None:
        self._add(_NOTHING, self._shares.pop(key, _NOTHING))
        if not self.counted:
            self._gone.add(key)

    def found(self, key: str, share: Share) -> None:
        """Said by the count."""
        if not self.counted and key not in self._shares and key not in self._gone:
            self.changed(key, share)

    def finish_count(self) -> None:
        self.counted = True
        self._gone.clear()

    def _add(self, new: Share, old: Share) -> None:
        self.code_bytes += new.code_bytes - old.code_bytes
        self.claimed_concurrency += new.claimed_concurrency - old.claimed_concurrency
        self.functions += new.functions - old.functions
