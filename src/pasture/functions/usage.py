"""How many functions an account has in a region, how much code they store and what they reserve. Pure.

Kept as functions change. The first look counts what is stored; while that count runs, changes arrive too, and what a
change has said about a function is newer than what the count says.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Share(NamedTuple):
    """One function's part."""

    code_bytes: int
    reserved_concurrency: int = 0


@dataclass(slots=True)
class Usage:
    code_bytes: int = 0
    reserved_concurrency: int = 0
    counted: bool = False
    _shares: dict[str, Share] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)

    @property
    def functions(self) -> int:
        return len(self._shares)

    def share_of(self, name: str) -> Share:
        return self._shares.get(name, Share(0))

    def changed(self, name: str, share: Share) -> None:
        self._gone.discard(name)
        self._add(share, self.share_of(name))
        self._shares[name] = share

    def removed(self, name: str) -> None:
        self._add(Share(0), self._shares.pop(name, Share(0)))
        if not self.counted:
            self._gone.add(name)

    def found(self, name: str, share: Share) -> None:
        """Said by the count."""
        if not self.counted and name not in self._shares and name not in self._gone:
            self.changed(name, share)

    def finish_count(self) -> None:
        self.counted = True
        self._gone.clear()

    def _add(self, new: Share, old: Share) -> None:
        self.code_bytes += new.code_bytes - old.code_bytes
        self.reserved_concurrency += new.reserved_concurrency - old.reserved_concurrency
