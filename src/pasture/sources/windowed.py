"""Reads a shard in tumbling windows: the state goes from one batch to the next, and is kept with how far was read."""

from collections.abc import MutableMapping, Sequence
from dataclasses import replace

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.invocation import Status
from pasture.sources.ordered import PAYLOAD_MAX, OrderedReader
from pasture.sources.ordered_batches import Batch, Rules
from pasture.sources.shard import ShardReading, Stream, position
from pasture.sources.source import Ran, Tools
from pasture.sources.stream_records import StreamRecord
from pasture.sources.windows import (
    STATE_MAX,
    Window,
    answered_state,
    kept_window,
    names_failures,
    window_of,
    windowed_event,
)

_GRACE = 5.0
"""Seconds that a window stays open for what arrived in it and is not read yet."""
_READ_SECONDS = 2.0
_NO_STATE = "PROBLEM: Function call failed: a function of a mapping with a tumbling window must answer a state"


class WindowedShard(ShardReading):
    """Mutable state: the window that is open."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        tools: Tools,
        stream: Stream,
        shard: str,
        sequence: str,
        begun: float,
        windows: MutableMapping[str, Window | None],
    ) -> None:
        """`windows`: as they are kept of each shard, that whoever reads on finds its own."""
        super().__init__(mapping, tools, stream, shard, sequence, begun)
        self._windows = windows
        self.window = windows.get(shard)
        self._length = (mapping.tumbling_window_seconds or 0) * 1000

    def begin(self, timestamp: int) -> None:
        """The window of that time is the one that is open."""
        start = self.start_of(timestamp)
        if self.window is None or self.window.start != start:
            self.window = Window(start, self._length)

    def start_of(self, timestamp: int) -> int:
        return window_of(timestamp, self._length, self.window)

    def event(self, records: Sequence[StreamRecord]) -> bytes:
        return self._event(records)

    def final_event(self) -> bytes:
        return self._event((), is_final=True)

    def _event(self, records: Sequence[StreamRecord], *, is_final: bool = False) -> bytes:
        assert self.window is not None
        return windowed_event(records, self.window, self._shard, self._mapping.source, is_final=is_final)

    def take_state(self, payload: bytes) -> bool:
        """False when it has none."""
        state = answered_state(payload)
        if state is None or self.window is None:
            return False
        self.window = replace(self.window, state=state, is_begun=True)
        return True

    def stopped(self, records: Sequence[StreamRecord], response: bytes) -> int | None:
        """An answer that has a state need not speak of failures."""
        return super().stopped(records, response) if names_failures(response) else None

    async def commit(self, last: StreamRecord) -> None:
        await self._keep(last.sequence)

    async def close_window(self) -> None:
        """It is over: what follows begins with nothing. Raises Fenced."""
        window, self.window = self.window, None
        if window is not None and window.is_too_large:
            # Over before its time: what else is in it has a state of its own.
            self.window = replace(window, state=b"{}", is_begun=False)
        await self._keep(self.committed)

    async def _keep(self, sequence: str) -> None:
        value = position(sequence, **kept_window(self.window))
        await self._tools.checkpoints.save(self._shard, value)
        self.committed = sequence
        self._windows[self._shard] = self.window if self.window is not None and self.window.is_begun else None


class WindowedReader(OrderedReader[StreamRecord]):
    def __init__(self, mapping: EventSourceMapping, tools: Tools, part: WindowedShard, rules: Rules) -> None:
        super().__init__(mapping, tools, part, rules, room=PAYLOAD_MAX - STATE_MAX)
        self._shard = part

    def _patience(self) -> float:
        left = super()._patience()
        window = self._shard.window
        if window is not None and window.is_begun:
            left = 0.0 if window.is_too_large else min(left, window.end / 1000 + _GRACE - self._tools.clock.now())
        return max(_READ_SECONDS, left)

    def _has_time_come(self) -> bool:
        window = self._shard.window
        if window is None or not window.is_begun or self._shard.is_behind:
            return False
        return window.is_too_large or self._tools.clock.now() >= window.end / 1000 + _GRACE

    def _goes_with(self, first: StreamRecord, record: StreamRecord) -> bool:
        return self._shard.start_of(first.timestamp) == self._shard.start_of(record.timestamp)

    async def _before(self, records: Sequence[StreamRecord]) -> None:
        window = self._shard.window
        is_over = not records or window is None or self._shard.start_of(records[0].timestamp) != window.start
        if window is not None and window.is_begun and (is_over or window.is_too_large):
            await self._finish_window()
        if records and not self._closing.is_set():
            self._shard.begin(records[0].timestamp)

    async def _finish_window(self) -> None:
        """The function is called once more for it; returns without an end when the reader is stopped."""
        failures = setbacks = 0
        while not self._closing.is_set():
            ran = await self._tools.functions.invoke(self._mapping, self._shard.final_event())
            self._tools.told(ran.why or "OK")
            if ran.outcome is not None and not ran.outcome.failed:
                break
            failures += ran.outcome is not None
            if 0 <= self._rules.retries < failures:
                self._tools.told("PROBLEM: Function call failed: the state of a window was given up")
                break
            await self._back_off(setbacks)
            setbacks += 1
        else:
            return
        await self._shard.close_window()

    async def _invoke(self, batch: Batch[StreamRecord]) -> Ran:
        ran = await super()._invoke(batch)
        if ran.outcome is None or ran.outcome.failed or self._shard.take_state(ran.outcome.payload):
            return ran
        self._tools.told(_NO_STATE)
        return ran._replace(outcome=replace(ran.outcome, status=Status.ERROR))
