"""A token bucket: so many at once, so many a second after that, refilled continuously. Pure; time is an argument."""

_ROUNDING = 1e-6


class Bucket:
    """Full at first. Size and rate are given with each call, since they may change meanwhile."""

    __slots__ = ("_since", "_tokens")

    def __init__(self, size: float, now: float) -> None:
        self._tokens = float(size)
        self._since = now

    def __repr__(self) -> str:
        return f"<Bucket {self._tokens:.1f} at {self._since:.1f}>"

    def holds(self, size: float, rate: float, now: float) -> float:
        """What is in it now; below zero after more was taken than there was."""
        if now > self._since:
            self._tokens += (now - self._since) * rate
            self._since = now
        self._tokens = min(self._tokens, size)
        return self._tokens

    def take(self, size: float, rate: float, now: float) -> bool:
        """One, if there is one."""
        if self.holds(size, rate, now) < 1.0 - _ROUNDING:
            return False
        self._tokens -= 1.0
        return True

    def must_take(self) -> None:
        """One, though there may be none: what has to happen is made up for later."""
        self._tokens -= 1.0

    def seconds(self, rate: float) -> float:
        """After a look at it: until there is one. Without a rate there never is."""
        missing = 1.0 - self._tokens
        return 0.0 if missing <= _ROUNDING else missing / rate if rate > 0 else float("inf")

    def age(self, now: float) -> float:
        """Seconds since it was last looked at."""
        return now - self._since
