"""How fast a streamed response may flow: 6 MiB at once, then 2 MiB a second (RAPID's bandwidth shaper). Pure."""

BURST_BYTES = 6 * 1024 * 1024
BYTES_PER_SECOND = 2 * 1024 * 1024


class Bandwidth:
    """A bucket of tokens, a byte each. `now` is any clock that never goes back."""

    def __init__(self, now: float, burst: int = BURST_BYTES, rate: int = BYTES_PER_SECOND) -> None:
        self._tokens = float(burst)
        self._burst = burst
        self._rate = rate
        self._at = now

    def __repr__(self) -> str:
        return f"<Bandwidth {self._tokens:.0f} of {self._burst} bytes>"

    def take(self, size: int, now: float) -> float:
        """Spend `size` bytes; how many seconds to wait before they may go."""
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= size
        return max(0.0, -self._tokens / self._rate)
