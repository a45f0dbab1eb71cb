"""What has been counted since the server started, for who reads totals, not minutes. Used from several threads."""

import threading
from collections.abc import Mapping

from pasture.metrics.names import Place
from pasture.metrics.recorder import Batch
from pasture.metrics.sample import Sample
from pasture.metrics.series import samples

# So many places are remembered; the one that has been silent longest goes first.
_REMEMBERED = 20_000


class Totals:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Place, dict[str, Sample]] = {}

    def absorb(self, batch: Batch) -> None:
        with self._lock:
            for cells in batch.cells.values():
                for place, cell in cells.items():
                    known = self._places.pop(place, {})
                    for name, sample in samples(cell):
                        known.setdefault(name, Sample()).merge(sample)
                    self._places[place] = known
            while len(self._places) > _REMEMBERED:
                del self._places[next(iter(self._places))]

    def snapshot(self) -> Mapping[Place, Mapping[str, Sample]]:
        with self._lock:
            return {place: {name: sample.copy() for name, sample in by.items()} for place, by in self._places.items()}
