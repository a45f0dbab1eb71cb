"""Provisioned environments: those that are there, and those of them that wait for an invocation. Pure."""


class Provisions:
    def __init__(self, most_mb: int) -> None:
        self._most_mb = most_mb
        self._mb = 0
        # By key: those that are idle, and all but those being stopped.
        self._idle: dict[str, list[str]] = {}
        self._of_key: dict[str, set[str]] = {}

    @property
    def left_mb(self) -> int:
        return self._most_mb - self._mb

    def of(self, key: str) -> set[str]:
        return self._of_key.get(key, set())

    def idle(self, key: str) -> list[str]:
        return list(self._idle.get(key, ()))

    def add(self, environment: str, key: str, memory_mb: int) -> None:
        self._of_key.setdefault(key, set()).add(environment)
        self._mb += memory_mb

    def becomes_idle(self, environment: str, key: str) -> None:
        self._idle.setdefault(key, []).append(environment)

    def take(self, key: str) -> str | None:
        idle = self._idle.get(key)
        if not idle:
            return None
        environment = idle.pop()
        if not idle:
            del self._idle[key]
        return environment

    def remove(self, environment: str, key: str, memory_mb: int) -> None:
        """It is released or stopped, idle or not."""
        self._mb -= memory_mb
        self._of_key[key].discard(environment)
        if not self._of_key[key]:
            del self._of_key[key]
        idle = self._idle.get(key, [])
        if environment in idle:
            idle.remove(environment)
            if not idle:
                del self._idle[key]
