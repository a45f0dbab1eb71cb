"""How many batches of a queue may run at once. Pure; time is an argument, in seconds.

Source: "Using Lambda with Amazon SQS" in the developer guide: five at first, 300 more a minute while messages come, at
most 1,250; fewer when the function is throttled or fails.
"""

from dataclasses import dataclass, field

FIRST = 5
MOST = 1_250
_A_SECOND = 300 / 60
_PAUSES = (1.0, 30.0)


@dataclass(slots=True)
class Pace:
    most: int = MOST
    _limit: float = field(default=FIRST)
    _since: float | None = None
    _pause: float = 0.0
    _resumes: float = 0.0

    def limit(self, now: float) -> int:
        """At this moment."""
        return 1 if now < self._resumes else max(1, min(self.most, int(self._limit)))

    def rests_until(self) -> float:
        """Nothing new is to be begun before that."""
        return self._resumes

    def busy(self, now: float) -> None:
        """As many run as may: more may, the longer this lasts."""
        if self._since is not None and now > self._since:
            self._limit = min(float(self.most), self._limit + (now - self._since) * _A_SECOND)
        self._since = now

    def idle(self) -> None:
        """Nothing came."""
        self._since, self._limit = None, min(self._limit, float(FIRST))

    def went_well(self) -> None:
        self._pause = self._resumes = 0.0

    def set_back(self, now: float) -> None:
        """Half as many, and a pause that grows."""
        self._since = None
        self._limit = max(1.0, self._limit / 2)
        if now >= self._resumes:
            self._pause = min(max(self._pause * 2, _PAUSES[0]), _PAUSES[1])
            self._resumes = now + self._pause
