"""What of the machine's memory is promised: to every environment, from its start until it is gone. Pure."""


class Memory:
    def __init__(self, total_mb: int) -> None:
        self.total_mb = total_mb
        self.promised_mb = 0
        self._leaving_mb = 0
        """Of it, what comes back when those that are being stopped have gone."""

    def __repr__(self) -> str:
        return f"<Memory {self.promised_mb} of {self.total_mb} MB>"

    def fits(self, memory_mb: int) -> bool:
        return self.promised_mb + memory_mb <= self.total_mb

    def will_fit(self, memory_mb: int) -> bool:
        """When those that are being stopped have gone."""
        return self.promised_mb - self._leaving_mb + memory_mb <= self.total_mb

    def promise(self, memory_mb: int) -> None:
        self.promised_mb += memory_mb

    def leaves(self, memory_mb: int) -> None:
        """Who has it is being stopped."""
        self._leaving_mb += memory_mb

    def comes_back(self, memory_mb: int) -> None:
        self.promised_mb -= memory_mb
        self._leaving_mb -= memory_mb
